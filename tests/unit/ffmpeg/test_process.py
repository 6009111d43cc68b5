"""A child process that stands still is ended, one that talks too much is kept short."""

from __future__ import annotations

import sys
import time

import pytest

from clipping.errors import FailureKind, FfmpegError
from clipping.ffmpeg import process


def test_a_child_that_stands_still_is_ended() -> None:
    """No progress for the limit: ended, and called timed out."""
    began = time.monotonic()
    with pytest.raises(FfmpegError) as caught:
        process.run(["sleep", "60"], what="a nap", stall_limit=1)
    assert caught.value.kind is FailureKind.TIMED_OUT
    assert time.monotonic() - began < 10


def test_a_child_that_reports_nothing_new_stands_still() -> None:
    """Repeating the same frame number is no progress."""
    script = "while true; do echo frame=7; sleep 0.1; done"
    with pytest.raises(FfmpegError) as caught:
        process.run(["sh", "-c", script], what="a loop", stall_limit=1)
    assert caught.value.kind is FailureKind.TIMED_OUT


def test_a_child_that_takes_too_much_memory_is_ended() -> None:
    """Within a second, and the setting that bounds it is named; less is left alone."""
    take = [sys.executable, "-c", "x = bytes(range(256)) * 400_000; import time; time.sleep({})"]
    began = time.monotonic()
    with pytest.raises(FfmpegError, match="ffmpeg_memory_gb") as caught:
        process.run([*take[:2], take[2].format(60)], what="it", memory_limit=80_000_000)
    assert caught.value.kind is FailureKind.OUT_OF_MEMORY
    assert time.monotonic() - began < 20
    process.run([*take[:2], take[2].format(1)], what="it", memory_limit=400_000_000)


def test_a_flood_of_messages_is_bounded() -> None:
    """A hundred thousand lines of stderr leave a short tail."""
    finished = process.run(["sh", "-c", "seq 1 100000 >&2"], what="a flood")
    assert finished.stderr.splitlines()[-1] == "100000"
    assert len(finished.stderr) < 1000


def test_news_and_metadata_tell_no_failure() -> None:
    """A title is not why ffmpeg failed, whatever it says, over however many lines."""
    said = (
        "[info] Input #0, mov, from 'x': \n  Metadata:\n"
        "    title : No space left on device\n          : Cannot allocate memory\n"
        "[in#0] [error] Invalid data found when processing input\n"
    )
    with pytest.raises(FfmpegError) as caught:
        process.run(["sh", "-c", f'printf %s "{said}" >&2; exit 1'], what="it")
    assert caught.value.kind is FailureKind.BAD_INPUT
    assert caught.value.message.endswith("Invalid data found when processing input")
