"""Records to numbers that must add up. Memory is bounded throughout."""

from __future__ import annotations

import heapq
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from clipping.dataset.coverage import Holding
from clipping.dataset.manifest import Origin, clip_row
from clipping.dataset.tables import HeldSource
from clipping.models import ChunkRecord, Clip, ClipRecord, ClipStatus, Failure

__all__ = ["Tally"]

_ROWS_SHOWN = 500
_FAILURES_SHOWN = 50
_SLOWEST_SHOWN = 5
_NEWEST_SHOWN = 48
_NAMED = 3
_PASSED_OVER_NAMED = 50


@dataclass(slots=True)
class Tally:
    """What became of everything: numbers that must add up, and a bounded choice of details.

    without_frames: of the planned clips, those in which no frame lies; a clock that jumps may plan
    millions of them. stretches: how many stretches of a video the absent clips are.
    failed_before, failed_sources_before, empty_before: how many of them an earlier run had told
    of already. failures: the new ones; known_failures: those of an earlier run.
    empty_named, damaged_named, passed_over_named: the first few of the videos that gave no clip, of
    the clips with damage, and of the other files.
    on_failure: told of each new one, with its video and what of it failed.
    uneven: videos of variable frame rate that keep it. moves: by how many milliseconds edges of
    copied clips moved to a keyframe, and how often.
    newest: rows of the clips that were made last. report: the line that says where the report
    is; report_at: its path or URI.
    """

    sources: int = 0
    clipped: int = 0
    empty: int = 0
    failed_sources: int = 0
    failed_sources_before: int = 0
    empty_before: int = 0
    planned: int = 0
    without_frames: int = 0
    written: int = 0
    failed: int = 0
    failed_before: int = 0
    absent: int = 0
    stretches: int = 0
    reused: int = 0
    damaged: int = 0
    uneven: int = 0
    moves: Counter[int] = field(default_factory=Counter[int])
    chunks: int = 0
    chunks_done_before: int = 0
    made_seconds: float = 0.0
    frames_encoded: int = 0
    bytes_written: int = 0
    crashes: int = 0
    retries: int = 0
    passed_over: int = 0
    began: float = field(default_factory=time.monotonic)
    seconds: float = 0.0
    failures: list[tuple[str, Failure]] = field(default_factory=list[tuple[str, Failure]])
    known_failures: list[tuple[str, Failure]] = field(default_factory=list[tuple[str, Failure]])
    empty_named: list[str] = field(default_factory=list[str])
    damaged_named: list[str] = field(default_factory=list[str])
    passed_over_named: list[str] = field(default_factory=list[str])
    kinds: Counter[str] = field(default_factory=Counter[str])
    reasons_empty: Counter[str] = field(default_factory=Counter[str])
    rows: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    rows_total: int = 0
    newest: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=_NEWEST_SHOWN))
    slowest: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])
    warnings: list[str] = field(default_factory=list[str])
    warnings_total: int = 0
    encoders: Counter[str] = field(default_factory=Counter[str])
    cluster_notes: list[str] = field(default_factory=list[str])
    holding: Holding = field(default_factory=Holding)
    on_failure: Callable[[str, str, Failure], None] | None = None
    report: str = ""
    report_at: str | None = None

    def add_planned(self, clips: Iterable[Clip]) -> int:
        """Count what is planned; how many clips that is."""
        planned = 0
        for clip in clips:
            planned += clip.count
            self.without_frames += 0 if clip.frame_count else clip.count
        self.planned += planned
        return planned

    @property
    def with_frames(self) -> int:
        """How many clips are planned that there is something to make of."""
        return self.planned - self.without_frames

    def add_chunk(
        self,
        record: ChunkRecord,
        origin: Origin,
        *,
        done_before: bool,
        known: Collection[str] = (),
    ) -> list[dict[str, Any]]:
        """Count a finished chunk of the video `origin`; its rows for the manifest.

        known: ids of clips whose failure an earlier run had told of.
        """
        self.chunks += 1
        self.chunks_done_before += done_before
        rows: list[dict[str, Any]] = []
        for clip in record.clips:
            self._add_clip(clip, origin.key, before=done_before or clip.clip.id in known)
            rows.append(clip_row(clip, origin, record.recipe_digest))
        self.rows_total += len(rows)
        self.show(rows)
        if done_before:
            self.reused += sum(c.status is ClipStatus.WRITTEN for c in record.clips)
            return rows
        self.newest.extend(row for row in rows if row["status"] == ClipStatus.WRITTEN)
        self.reused += record.reused
        self.frames_encoded += record.encoded_frames
        self.made_seconds += record.made_seconds
        name = f"{origin.key} chunk {record.chunk}"
        heapq.heappush(self.slowest, (record.seconds, name))
        if len(self.slowest) > _SLOWEST_SHOWN:
            heapq.heappop(self.slowest)
        return rows

    @property
    def room(self) -> int:
        """How many more rows are shown."""
        return max(0, _ROWS_SHOWN - len(self.rows))

    def show(self, rows: list[dict[str, Any]]) -> None:
        """Keep rows for the table that Prefect shows, up to a bound."""
        self.rows.extend(rows[: self.room])

    def add_held(self, source: HeldSource) -> None:
        """Count a video of which an earlier run's tables tell that it needs no work."""
        self.planned += source.written + source.absent
        self.without_frames += source.absent
        self.written += source.written
        self.reused += source.written
        self.absent += source.absent
        self.stretches += source.counted - source.written
        self.rows_total += source.counted
        self.damaged += source.damaged
        self.bytes_written += source.size
        self.chunks += source.chunks
        self.chunks_done_before += source.chunks
        self.encoders.update({name or "unknown": n for name, n in source.encoders.items()})

    def _add_clip(self, record: ClipRecord, key: str, *, before: bool) -> None:
        if record.status is ClipStatus.WRITTEN:
            self.written += 1
            self.bytes_written += record.bytes
            unknown = record.damaged_frames is None  # an old record: there is what it says
            if record.errors if unknown else record.damaged_frames:
                self.damaged += 1
                _name(self.damaged_named, f"{key} clip {record.clip.number}")
            self.encoders[record.encoder or "unknown"] += 1
            if asked := record.clip.asked_span:
                span = record.clip.span
                for edge, real in ((asked.start, span.start), (asked.end, span.end)):
                    self.moves[round(abs(real - edge) * 1000)] += 1
        elif record.status is ClipStatus.FAILED:
            self.failed += 1
            self.failed_before += before
            if record.failure:
                name = f"{key} clip {record.clip.number}"
                self.add_failure(name, record.failure, source=key, before=before)
        else:
            self.absent += record.clip.count
            self.stretches += 1

    def add_empty_source(self, name: str, *, before: bool) -> None:
        """Count a video that gives no clip."""
        self.empty += 1
        self.empty_before += before
        _name(self.empty_named, name)

    def add_passed_over(self, names: Sequence[str]) -> None:
        """Count files in an input that are no videos by their names."""
        self.passed_over = len(names)
        self.passed_over_named = sorted(names)[:_PASSED_OVER_NAMED]

    def add_failed_source(self, name: str, failure: Failure | None, *, before: bool) -> None:
        """Count a video that could not be clipped."""
        self.failed_sources += 1
        self.failed_sources_before += before
        if failure:
            self.add_failure(name, failure, before=before)

    def add_failure(
        self, name: str, failure: Failure, *, source: str = "", before: bool = False
    ) -> None:
        """Keep a failure's reason, up to a bound, and count its kind if it is new.

        source: the video, if `name` is something of it.
        """
        if not before:
            self.kinds[failure.kind.value] += 1
            if self.on_failure:
                self.on_failure(source or name, name, failure)
        kept = self.known_failures if before else self.failures
        if len(kept) < _FAILURES_SHOWN:
            kept.append((name, failure))

    @property
    def known(self) -> int:
        """How many clips and videos had failed before, and were not tried again."""
        return self.failed_before + self.failed_sources_before

    @property
    def new_failures(self) -> int:
        """How many clips and videos this run saw fail."""
        return self.failed + self.failed_sources - self.known

    @property
    def has_results(self) -> bool:
        """Whether anything became of a video, in this run or before."""
        return bool(self.chunks or self.failed_sources or self.empty)

    def add_warning(self, text: str) -> None:
        """Keep a warning, up to a bound."""
        self.warnings_total += 1
        if len(self.warnings) < _FAILURES_SHOWN:
            self.warnings.append(text)

    def problems(self) -> list[str]:
        """What does not add up; empty if everything planned is accounted for."""
        found: list[str] = []
        if self.written + self.failed + self.absent != self.planned:
            found.append(
                f"{self.planned} clips were planned, but {self.written} written + {self.failed}"
                f" failed + {self.absent} absent = {self.written + self.failed + self.absent}"
            )
        if self.clipped + self.empty + self.failed_sources != self.sources:
            found.append(
                f"{self.sources} videos were found, but {self.clipped} clipped + {self.empty}"
                f" without clips + {self.failed_sources} failed"
            )
        return found

    def speed(self) -> float:
        """Seconds of clips made for each second of this run."""
        return self.made_seconds / self.seconds if self.seconds else 0.0


def _name(names: list[str], name: str) -> None:
    """Keep a name if it is one of the first few."""
    if len(names) < _NAMED:
        names.append(name)
