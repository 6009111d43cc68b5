"""How much memory an ffmpeg may take, and that only one takes very much at a time."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

__all__ = ["alone_if_large", "memory_limit", "resident"]

# More than 8K. A picture of 16,000 x 16,000 took 5.5 GB.
_LARGE_PIXELS = 7680 * 4320
_CGROUP_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


def memory_limit(gigabytes: float) -> int:
    """The setting in bytes; 0 stands for 80% of what this machine, or container, has."""
    if gigabytes:
        return int(gigabytes * 1e9)
    total = psutil.virtual_memory().total
    for limit in _CGROUP_LIMITS:
        with suppress(OSError, ValueError):  # "max" is no number
            total = min(total, int(limit.read_text()))
    return total * 8 // 10


def resident(process: int) -> int:
    """Bytes of memory that a process has now; 0 if it has ended."""
    with suppress(psutil.Error):
        return int(psutil.Process(process).memory_info().rss)
    return 0


@contextmanager
def alone_if_large(pixels: int, folder: str = "") -> Generator[None]:
    """Keep other large pictures on this machine waiting while the block works on one.

    folder: where the lock lies; empty means the system's temporary folder.
    """
    if pixels <= _LARGE_PIXELS:
        yield
        return
    path = Path(folder or tempfile.gettempdir()) / f"clipping-large-{os.getuid()}.lock"
    with open(path, "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
