"""What a run gives back to the program that called it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from clipping.config.run_config import RunConfig
from clipping.dataset.layout import manifest_name
from clipping.errors import ClippingError, FailureKind
from clipping.models import Failure
from clipping.run.summary import named
from clipping.run.tally import Tally
from clipping.storage.outputs import open_output

__all__ = ["FailedItem", "RunFailedError", "RunResult", "result_of"]


@dataclass(frozen=True, slots=True)
class FailedItem:
    """A video or clip that failed. name: the video's, with the clip's number if it is a clip."""

    name: str
    kind: FailureKind
    message: str


@dataclass(frozen=True, slots=True)
class RunResult:
    """What became of everything that a run was to do.

    output, manifest, report: paths or URIs; report is None if none could be written.
    videos: found; of those, clipped, without_clips and failed_videos add up to it.
    clips: planned; written, failed and absent add up to it. reused: of the written ones, those
    that were there already. damaged: of the written ones, those with damage of the source.
    failures: what failed anew, and known_failures what had failed before, up to 50 of each;
    new_failures and failed_before are how many there are.
    seconds: that the run took. clip_seconds: of clips that it made.
    message: the outcome in a line.
    """

    output: str
    manifest: str
    report: str | None
    videos: int
    clipped: int
    without_clips: int
    failed_videos: int
    clips: int
    written: int
    reused: int
    failed: int
    absent: int
    damaged: int
    new_failures: int
    failed_before: int
    failures: tuple[FailedItem, ...]
    known_failures: tuple[FailedItem, ...]
    seconds: float
    clip_seconds: float
    message: str

    @property
    def made(self) -> int:
        """Clips that this run made."""
        return self.written - self.reused


class RunFailedError(ClippingError):
    """A run that failed: `result` holds what it did all the same.

    ended_early: why it could not go on, if that was it.
    """

    def __init__(
        self, message: str, result: RunResult, ended_early: FailureKind | None = None
    ) -> None:
        super().__init__(message, ended_early)
        self.result = result
        self.ended_early = ended_early

    def __reduce__(self) -> Any:
        return (type(self), (self.message, self.result, self.ended_early), self._context())


def result_of(tally: Tally, config: RunConfig, message: str) -> RunResult:
    """The result of a run that has ended; message: its outcome in a line."""
    manifest = manifest_name(config.execution.shard)
    return RunResult(
        output=config.output,
        manifest=open_output(config.output).location(manifest),
        report=tally.report_at,
        videos=tally.sources,
        clipped=tally.clipped,
        without_clips=tally.empty,
        failed_videos=tally.failed_sources,
        clips=tally.planned,
        written=tally.written,
        reused=tally.reused,
        failed=tally.failed,
        absent=tally.absent,
        damaged=tally.damaged,
        new_failures=tally.new_failures,
        failed_before=tally.known,
        failures=_items(tally.failures),
        known_failures=_items(tally.known_failures),
        seconds=round(tally.seconds, 3),
        clip_seconds=round(tally.made_seconds, 3),
        message=message,
    )


def _items(failures: Iterable[tuple[str, Failure]]) -> tuple[FailedItem, ...]:
    return tuple(FailedItem(name, f.kind, named(name, f)) for name, f in failures)
