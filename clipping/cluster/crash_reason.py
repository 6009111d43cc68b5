"""Why a worker process died, as far as it can be told."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from clipping.cluster._ray_private import session_logs

__all__ = ["CrashReasons"]

# A death is told of within this time; older ones in the logs are other workers'.
_FRESH_SECONDS = 60.0
_SIGNAL = re.compile(rb"\*\*\* (SIG[A-Z]+) received at time=(\d+)")
_VMSTAT = Path("/proc/vmstat")
_TAIL_BYTES = 65_536


@dataclass(slots=True)
class CrashReasons:
    """Tells why workers died: by Ray's words; on this machine by its logs and the kernel's count.

    vmstat: the kernel's counters; logs: Ray's, found out if not given.
    """

    vmstat: Path = _VMSTAT
    logs: Path | None = None
    _killed: int = field(init=False)
    _killed_at: float = float("-inf")

    def __post_init__(self) -> None:
        self._killed = self._out_of_memory_kills()

    def reason(self, words: str) -> str:
        """In a few words, for a person. words: what the task's future said."""
        line = next(iter(words.strip().splitlines()), "")
        if "OutOfMemoryError" in words:
            return "Ray ended it since its node ran low on memory"
        if "NodeDiedError" in words:
            return "its node is gone"
        if "WorkerCrashedError" not in words:
            return line[:300] or "for no reason that Ray knows"
        logs = self.logs or session_logs()
        if logs is None:  # of another machine
            return "it crashed or was killed; memory that ran out is the usual reason"
        name = _fresh_signal(logs.glob("worker-*.err"))
        if name is not None:
            return f"it crashed ({name}); a broken file can do that to a decoder"
        before, self._killed = self._killed, self._out_of_memory_kills()
        if self._killed > before:
            self._killed_at = time.monotonic()
        if time.monotonic() - self._killed_at < _FRESH_SECONDS:
            return "the kernel killed it since memory ran out"
        return "something outside killed it"

    def _out_of_memory_kills(self) -> int:
        with suppress(OSError, ValueError):
            for line in self.vmstat.read_text().splitlines():
                name, _, value = line.partition(" ")
                if name == "oom_kill":
                    return int(value)
        return 0


def _fresh_signal(logs: Iterable[Path]) -> str | None:
    """The signal that a worker died of in the last minute, by what it wrote itself."""
    since = time.time() - _FRESH_SECONDS
    for log in logs:
        with suppress(OSError):
            if log.stat().st_mtime < since:
                continue
            with open(log, "rb") as stream:
                stream.seek(max(0, log.stat().st_size - _TAIL_BYTES))
                for name, at in _SIGNAL.findall(stream.read()):
                    if int(at) >= since and name != b"SIGTERM":
                        return name.decode()
    return None
