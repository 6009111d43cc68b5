"""How far running tasks are: a number a task, in the key-value store that every Ray has.

An actor would do the same with a process more: 1.7 s of CPU at the start, and 90 MB.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from ray.experimental import internal_kv

__all__ = ["ProgressStore", "Reporter"]

# Ray's own libraries use it, but its names begin with an underscore: ours is the version pinned.
_store: Any = internal_kv
_NAMESPACE = "clipping"
_REPORT_EVERY = 1.0


@dataclass(frozen=True, slots=True)
class ProgressStore:
    """The numbers of one run's tasks. A board that cannot be reached stops nothing."""

    run: str

    def put(self, task: str, frames: int) -> None:
        """Say how many frames a task has encoded so far."""
        with suppress(Exception):  # progress is a courtesy
            _store._internal_kv_put(self._key(task), str(frames), namespace=_NAMESPACE)

    def frames(self, tasks: Iterable[str]) -> dict[str, int]:
        """How many frames each of those tasks has encoded; those without a number are left out."""
        found: dict[str, int] = {}
        with suppress(Exception):
            for task in tasks:
                if value := _store._internal_kv_get(self._key(task), namespace=_NAMESPACE):
                    found[task] = int(value)
        return found

    def drop(self, task: str) -> None:
        """Forget a task that has ended."""
        with suppress(Exception):
            _store._internal_kv_del(self._key(task), namespace=_NAMESPACE)

    def _key(self, task: str) -> str:
        return f"{self.run}/{task}"


@dataclass(slots=True)
class Reporter:
    """Writes a task's encoded frames into the store, about once a second, chunk by chunk."""

    board: ProgressStore
    task: str
    _done: int = 0
    _frames: int = 0
    _last: float = field(default=0.0)

    def chunk(self) -> Callable[[int], None]:
        """For the next chunk of the task: to be called with the frames encoded of it."""
        self._done += self._frames
        self._frames = 0
        return self._report

    def _report(self, frames: int) -> None:
        self._frames = frames
        now = time.monotonic()
        if now - self._last >= _REPORT_EVERY:
            self._last = now
            self.board.put(self.task, self._done + frames)
