"""The log of a run, kept in its output: what was asked, how far it was when, what went wrong."""

from __future__ import annotations

import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

from clipping.dataset.layout import log_name
from clipping.run.progress import Snapshot, View
from clipping.storage.outputs import Output

__all__ = ["LoggedView", "RunLog"]

# Lines; what lies between the first and the last of them is left out.
_FIRST, _LAST = 2000, 8000
_PROGRESS_EVERY = 30.0


@dataclass(slots=True)
class RunLog:
    """Lines with their times, bounded. run_id: of the flow run; began: when, in UTC."""

    run_id: str
    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    _first: list[str] = field(default_factory=list[str])
    _last: deque[str] = field(default_factory=lambda: deque[str](maxlen=_LAST))
    _count: int = 0

    @property
    def name(self) -> str:
        """Where it lies below the output."""
        return log_name(self.began, self.run_id)

    def add(self, text: str) -> None:
        """Note a line, or several."""
        now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
        for line in text.splitlines():
            self._count += 1
            kept = self._first if len(self._first) < _FIRST else self._last
            kept.append(f"{now}  {line}")

    def text(self) -> str:
        """All of it."""
        left_out = self._count - len(self._first) - len(self._last)
        gap = [f"… {left_out} lines are left out here …"] if left_out else []
        return "\n".join([*self._first, *gap, *self._last, ""])

    def write(self, output: Output) -> None:
        """Write it as it is now. An output that takes nothing stops nothing."""
        with suppress(Exception):
            output.write_text(self.name, self.text())


class LoggedView:
    """A view that also notes in the log how far the run is, every half a minute."""

    def __init__(self, view: View, log: RunLog) -> None:
        self._view, self._log = view, log
        self._last = time.monotonic()

    def show(self, snapshot: Snapshot) -> None:
        """Show it, and note it if it is time."""
        self._view.show(snapshot)
        now = time.monotonic()
        if now - self._last >= _PROGRESS_EVERY:
            self._last = now
            self._log.add(f"{snapshot.share:4.0%}  {snapshot.text()}")

    def say(self, lines: list[str]) -> None:
        """The run's last words."""
        self._view.say(lines)
        for line in lines:
            self._log.add(line)
