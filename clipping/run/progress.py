"""How far a run is: a bar on a terminal, plain lines elsewhere, and a number for Prefect."""

import sys
import time
from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

__all__ = ["Lines", "Screen", "Snapshot", "View", "current_view", "shown_on"]

# From a few videos nothing can be told of the rest: they may be the short ones.
_KNOWN_SHARE = 0.3
_KNOWN_VIDEOS = 50
_FIRST_SECONDS = 15.0  # workers still import then


@dataclass(slots=True)
class Snapshot:
    """Where a run stands.

    frames: done, of the frames_known of the videos opened so far. bytes: of all videos.
    waiting_for: what keeps chunks waiting that should not have to.
    """

    phase: str = "looking at the videos"
    done: int = 0
    failed: int = 0
    planned: int = 0
    videos: int = 0
    videos_opened: int = 0
    bytes: int = 0
    bytes_opened: int = 0
    frames: float = 0.0
    frames_known: float = 0.0
    clip_seconds: float = 0.0
    waiting_for: str = ""
    began: float = field(default_factory=time.monotonic)

    @property
    def frames_total(self) -> float:
        """The frames of all videos: of those not opened yet, as many for each byte."""
        unopened = max(0, self.bytes - self.bytes_opened)
        return self.frames_known * (1 + unopened / max(1, self.bytes_opened))

    @property
    def share(self) -> float:
        """Between 0 and 1."""
        return min(1.0, self.frames / self.frames_total) if self.frames_total else 0.0

    @property
    def seconds_left(self) -> float | None:
        """A guess from the speed so far, once enough is known of the videos."""
        spent = time.monotonic() - self.began
        if self.share < 0.01 or spent < _FIRST_SECONDS or not self._knows_enough:
            return None
        return spent / self.share * (1 - self.share)

    @property
    def _knows_enough(self) -> bool:
        most = self.bytes_opened >= _KNOWN_SHARE * self.bytes
        return most or self.videos_opened >= _KNOWN_VIDEOS

    def text(self) -> str:
        """In a line."""
        known = f" of {self.planned}" if self.planned else ""
        parts = [f"{self.done}{known} clips"]
        if self.failed:
            parts.append(f"{self.failed} failed")
        if self.videos_opened < self.videos:
            parts.append(f"{self.videos_opened} of {self.videos} videos opened")
        spent = time.monotonic() - self.began
        if self.clip_seconds and spent:
            parts.append(f"{self.clip_seconds / spent:.1f}x real time")
        if self.waiting_for:
            parts.append(f"waiting for {self.waiting_for}")
        left = self.seconds_left
        if left is not None and self.share < 1:
            parts.append(f"{_duration(left)} left")
        return ", ".join(parts)


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


class Screen:
    """A bar on a terminal."""

    def __init__(self, console: Console) -> None:
        self._bar = Progress(
            BarColumn(bar_width=30),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self._task = self._bar.add_task("starting", total=1.0)

    def show(self, snapshot: Snapshot) -> None:
        """Move the bar."""
        known = snapshot.planned or snapshot.videos_opened
        words = snapshot.text() if known else snapshot.phase
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
def shown_on(console: Console) -> Generator[View]:
    """Show progress on `console` while the block lasts."""
    global _current
    if console.is_terminal:
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
