"""How far a run is: a bar on a terminal, plain lines elsewhere, JSON for programs."""

import json
import sys
import time
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column

__all__ = ["JsonLines", "Lines", "Screen", "Snapshot", "View", "current_view", "shown_on"]

_NARROW = 90


@dataclass(slots=True)
class Snapshot:
    """Where a run stands.

    phase: what goes on before the first clip; is_working: whether that is over.
    done, failed, planned: clips, of the videos opened so far. frames: encoded, by this run.
    share: of the work, between 0 and 1; seconds_left: None where that is not known yet.
    waiting_for: what keeps chunks waiting that should not have to.
    """

    phase: str = "looking for videos"
    done: int = 0
    failed: int = 0
    planned: int = 0
    videos: int = 0
    videos_opened: int = 0
    frames: float = 0.0
    share: float = 0.0
    seconds_left: float | None = None
    waiting_for: str = ""
    began: float = field(default_factory=time.monotonic)

    @property
    def is_working(self) -> bool:
        """Whether there are clips to speak of."""
        return self.planned > 0

    @property
    def frames_per_second(self) -> float:
        """Encoded since the work began."""
        spent = time.monotonic() - self.began
        return self.frames / spent if spent > 0 else 0.0

    def text(self, width: int = 1000) -> str:
        """In a line of at most `width` characters, if the first of it fits; the rest is left out.

        What matters most comes first.
        """
        if not self.is_working:
            opened = f": {self.videos_opened} of {self.videos}" if self.videos else ""
            return f"{self.phase}{opened}"
        is_open = self.videos_opened < self.videos
        parts = [f"{self.done} of {self.planned}{'+' if is_open else ''} clips"]
        if self.failed:
            parts.append(f"{self.failed} failed")
        if self.waiting_for:
            parts.append(f"waiting for {self.waiting_for}")
        if self.seconds_left is not None and self.share < 1:
            parts.append(f"{_duration(self.seconds_left)} left")
        if self.frames:
            parts.append(f"{self.frames_per_second:.0f} frames/s")
        if is_open:
            parts.append(f"{self.videos_opened} of {self.videos} videos opened")
        return _fitting(parts, width)


def _fitting(parts: list[str], width: int) -> str:
    text = parts[0]
    for part in parts[1:]:
        if len(text) + 2 + len(part) <= width:
            text = f"{text}, {part}"
    return text


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class View(Protocol):
    """Where progress is shown."""

    def show(self, snapshot: Snapshot) -> None:
        """Show it now, or when it is time."""
        ...

    def say(self, lines: list[str]) -> None:
        """The run's last words."""
        ...


class Lines:
    """Plain lines, one every few seconds, for logs and pipes."""

    def __init__(
        self, write: "Writer", last_words: "Writer | None" = None, every: float = 10.0
    ) -> None:
        self._write = write
        self._last_words = last_words or write
        self._every = every
        self._last = time.monotonic()

    def show(self, snapshot: Snapshot) -> None:
        """A line, if the last one is old enough."""
        now = time.monotonic()
        if now - self._last >= self._every:
            self._last = now
            self._write(f"{snapshot.share:4.0%}  {snapshot.text()}")

    def say(self, lines: list[str]) -> None:
        """Write the lines to where results go."""
        for line in lines:
            self._last_words(line)


class Writer(Protocol):
    """Writes a line."""

    def __call__(self, line: str, /) -> object: ...


class JsonLines:
    """A JSON object a line, for programs: docs/settings.md names the keys."""

    def __init__(self, write: "Writer", every: float = 1.0) -> None:
        self._write = write
        self._every = every
        self._last: float | None = None
        self._phase = ""

    def show(self, snapshot: Snapshot) -> None:
        """A line, if the last one is old enough or another phase has begun."""
        now = time.monotonic()
        phase = "clipping" if snapshot.is_working else snapshot.phase
        if phase == self._phase and self._last is not None and now - self._last < self._every:
            return
        self._last, self._phase = now, phase
        left = snapshot.seconds_left
        self.tell(
            "progress",
            phase=phase,
            share=round(snapshot.share, 4),
            seconds_left=None if left is None else round(left, 1),
            clips_done=snapshot.done,
            clips_failed=snapshot.failed,
            clips_planned=snapshot.planned,
            videos=snapshot.videos,
            videos_opened=snapshot.videos_opened,
            frames_per_second=round(snapshot.frames_per_second, 1),
            waiting_for=snapshot.waiting_for,
        )

    def say(self, lines: list[str]) -> None:
        """The run's last words."""
        self.tell("summary", lines=lines)

    def tell(self, event: str, **more: Any) -> None:
        """Any other event."""
        self._write(json.dumps({"event": event, **more}, ensure_ascii=False))


class Screen:
    """A bar on a terminal."""

    def __init__(self, console: Console) -> None:
        width = 30 if console.width >= _NARROW else 10
        self._bar = Progress(
            BarColumn(bar_width=width),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.description}", table_column=Column(no_wrap=True)),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        # Beside the bar, the percentage, the time (0:00:00) and the blanks between them.
        self._width = max(10, console.width - width - 4 - 7 - 4)
        self._task = self._bar.add_task("starting", total=1.0)

    def show(self, snapshot: Snapshot) -> None:
        """Move the bar."""
        words = snapshot.text(self._width)
        self._bar.update(self._task, completed=snapshot.share, description=words)

    def say(self, lines: list[str]) -> None:
        """Take the bar away and print the lines in its place."""
        self._bar.stop()
        for line in lines:
            print(line, flush=True)

    @contextmanager
    def live(self) -> Generator[None]:
        """The bar, while the block lasts."""
        with self._bar:
            yield


_current: View | None = None


def current_view() -> View | None:
    """The view of this process, if `shown_on` set one."""
    return _current


@contextmanager
def shown_on(console: Console, *, as_json: bool = False) -> Generator[View]:
    """Show progress on `console` while the block lasts, or as JSON lines on stdout."""
    global _current
    live: AbstractContextManager[None]
    if as_json:
        live, _current = nullcontext(), JsonLines(lambda line: print(line, flush=True))
    elif console.is_terminal:
        screen = Screen(console)
        live, _current = screen.live(), screen
    else:
        live, _current = (
            nullcontext(),
            Lines(
                lambda line: print(line, file=sys.stderr, flush=True),
                lambda line: print(line, flush=True),
            ),
        )
    with live:
        try:
            yield _current
        finally:
            _current = None
