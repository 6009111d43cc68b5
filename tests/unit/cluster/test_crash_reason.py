"""Why a worker died."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from clipping.cluster.crash_reason import CrashReasons

CRASHED = (
    "Execution was interrupted by an unexpected exception: WorkerCrashedError: The worker died"
    " unexpectedly while executing this task. Check python-core-worker-*.log files for more"
    " information."
)


@pytest.fixture
def reasons(tmp_path: Path) -> CrashReasons:
    """A machine where the kernel killed twice before, and a Ray without crashes."""
    (tmp_path / "vmstat").write_text("nr_free_pages 1\noom_kill 2\n")
    (tmp_path / "worker-1.err").write_text("it works\n")
    return CrashReasons(vmstat=tmp_path / "vmstat", logs=tmp_path)


def test_a_crash_is_told_by_its_signal(reasons: CrashReasons, tmp_path: Path) -> None:
    """Ray's words name a log file; what stands there is told, if it is of this death."""
    line = "*** SIGSEGV received at time={} on cpu 1 ***\n"
    (tmp_path / "worker-2.err").write_text(line.format(int(time.time()) - 3600))
    assert "SIGSEGV" not in reasons.reason(CRASHED)
    (tmp_path / "worker-3.err").write_text(line.format(int(time.time())))
    assert reasons.reason(CRASHED).startswith("it crashed (SIGSEGV)")


def test_memory_that_ran_out_is_told(reasons: CrashReasons, tmp_path: Path) -> None:
    """By the kernel's own count, which only grows; of others that died with it, too."""
    assert reasons.reason(CRASHED) == "something outside killed it"
    (tmp_path / "vmstat").write_text("oom_kill 3\n")
    for _ in range(2):
        assert reasons.reason(CRASHED) == "the kernel killed it since memory ran out"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("OutOfMemoryError: Task was killed due to the node running low", "ran low on memory"),
        ("NodeDiedError: Task failed because its node died", "its node is gone"),
        ("Something else\nand more", "Something else"),
        ("", "no reason that Ray knows"),
    ],
)
def test_rays_other_words_are_told_in_ours(reasons: CrashReasons, words: str, told: str) -> None:
    """One line, whatever they are."""
    assert told in reasons.reason(words)
    assert "\n" not in reasons.reason(words)
