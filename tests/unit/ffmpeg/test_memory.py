"""Memory for ffmpeg: how much, and who waits for whom."""

from __future__ import annotations

from pathlib import Path
from threading import Event, Thread

import psutil

from clipping.ffmpeg.memory import alone_if_large, memory_limit

LARGE = 16_000 * 16_000


def test_the_limit_is_the_setting_or_most_of_the_machine() -> None:
    """In bytes."""
    assert memory_limit(1.5) == 1_500_000_000
    assert 0 < memory_limit(0) <= 0.8 * psutil.virtual_memory().total


def test_one_large_picture_at_a_time(tmp_path: Path) -> None:
    """A second one waits for the first; one of 8K or less does not."""
    begun = Event()

    def second() -> None:
        with alone_if_large(LARGE, str(tmp_path)):
            begun.set()

    waiting = Thread(target=second)
    with alone_if_large(LARGE, str(tmp_path)):
        waiting.start()
        with alone_if_large(7680 * 4320, str(tmp_path)):
            assert not begun.wait(0.5)
    assert begun.wait(10)
    waiting.join()
