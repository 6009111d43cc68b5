"""Clips and chunks, and the records of what became of them."""

from __future__ import annotations

from enum import StrEnum
from fractions import Fraction
from typing import Any

from pydantic import AliasChoices, Field

from clipping.models.sources import (
    Source,
    SourceFile,
    Stretch,
)
from clipping.models.values import Failure, Value

__all__ = [
    "Chunk",
    "ChunkRecord",
    "Clip",
    "ClipRecord",
    "ClipStatus",
    "FrameClock",
    "ListedSpan",
    "ProbedSource",
    "ProbedStretch",
    "Resampled",
    "SourceRecord",
    "SourceStatus",
    "Span",
]


class Span(Value):
    """Half-open interval `[start, end)` in seconds; 0 is the first presented frame."""

    start: Fraction
    end: Fraction


class ListedSpan(Value):
    """A row of a list of spans.

    row: its number in the list, from 1, the heading not counted.
    start, end: in seconds, 0 being the video's first frame; or frame numbers, if `in_frames`. The
    end is not part of it.
    id, label: what the list calls it; None where it says nothing.
    """

    row: int
    start: Fraction
    end: Fraction
    in_frames: bool = Field(default=False, exclude_if=lambda in_frames: not in_frames)
    id: str | None = Field(default=None, exclude_if=lambda text: text is None)
    label: str | None = Field(default=None, exclude_if=lambda text: text is None)


class FrameClock(Value):
    """What frame numbers and PTS count where a source gets another frame rate.

    Frame k, whose PTS is k, shows what the source presents at `zero` + k / `rate`.
    rate: frames per second; zero: when the source's first frame is shown, in seconds of the
    source's own clock.
    """

    rate: Fraction
    zero: Fraction

    @property
    def time_base(self) -> Fraction:
        """Seconds in one unit of PTS."""
        return 1 / self.rate


class Clip(Value):
    """A span with an id and the frames that lie in it.

    Frames are `[start_frame, end_frame)`, numbered from 0 in presentation order.
    start_pts: PTS of its first frame; end_pts: where its last frame's display ends.
    count: above 1 if it stands for that many consecutive clips in which no frame lies. `number` is
    then the first one's, and `span` goes to the end of the last one.
    stretch: number of the recording that it lies in, by whose clock its PTS are, if there are
    several in the file.
    shot: number of the shot that it lies in, from 0, if shots were looked for; listed: the row of
    the list that it was made for, if there was one.
    asked_span: of a clip that is copied, the span that was asked for; `span` is what it holds.
    clock: what its frames and PTS count, if the frame rate is not the source's; shown_pts: PTS of
    the source's frame that is shown first then.
    """

    id: str
    number: int
    count: int = Field(default=1, exclude_if=lambda count: count == 1)
    span: Span
    start_frame: int
    end_frame: int
    start_pts: int
    end_pts: int
    stretch: int | None = Field(default=None, exclude_if=lambda number: number is None)
    shot: int | None = Field(default=None, exclude_if=lambda number: number is None)
    listed: ListedSpan | None = Field(default=None, exclude_if=lambda row: row is None)
    asked_span: Span | None = Field(default=None, exclude_if=lambda span: span is None)
    clock: FrameClock | None = Field(default=None, exclude_if=lambda clock: clock is None)
    shown_pts: int | None = Field(default=None, exclude_if=lambda pts: pts is None)

    @property
    def frame_count(self) -> int:
        """How many frames lie in the span."""
        return self.end_frame - self.start_frame

    @property
    def source_pts(self) -> int:
        """PTS of the source's frame that it shows first."""
        return self.start_pts if self.shown_pts is None else self.shown_pts

    def seconds_at(self, pts: int, time_base: Fraction) -> Fraction:
        """When `pts` is, in seconds of the source's own clock; time_base: of the source."""
        return self.clock.zero + pts / self.clock.rate if self.clock else pts * time_base


class Resampled(Value):
    """The source's own frames behind a chunk whose frame rate is not the source's.

    frame_pts: packed PTS of the frames from the one that is shown first on, and one frame beyond,
    if there is one; keyframes: packed PTS, the last one before the first frame included.
    """

    clock: FrameClock
    frame_pts: str
    keyframes: str


class Chunk(Value):
    """Consecutive clips of one source, done by one task.

    frame_pts: packed PTS of the frames `[first_frame, first_frame + n)`, which covers all
    clips and one frame beyond, if there is one.
    keyframes: the source's keyframe PTS that matter here, the last one before the first
    frame included.
    repeated: packed PTS of the frames that are left out, since one with that PTS is there.
    stretch: the recording that it lies in, if there are several in the file; `source` is then that
    of the recording, and PTS are by its clock.
    copied: whether its clips are the source's own packets.
    resampled: the source's frames, if the frame rate is not the source's. `frame_pts` and
    `keyframes` are then by the clock of its clips, and a keyframe stands at the first frame that
    needs nothing before it.
    """

    source: Source
    number: int
    clips: tuple[Clip, ...]
    first_frame: int
    frame_pts: str
    keyframes: str
    repeated: str = ""
    stretch: Stretch | None = Field(default=None, exclude_if=lambda stretch: stretch is None)
    copied: bool = Field(default=False, exclude_if=lambda copied: not copied)
    resampled: Resampled | None = Field(default=None, exclude_if=lambda found: found is None)

    @property
    def source_frame_pts(self) -> str:
        """Packed PTS of the source's own frames in it."""
        return self.resampled.frame_pts if self.resampled else self.frame_pts

    @property
    def time_base(self) -> Fraction:
        """Seconds in one unit of its frames' PTS."""
        clock = self.resampled and self.resampled.clock
        return clock.time_base if clock else self.source.video.time_base

    @property
    def frame_rate(self) -> float:
        """Frames per second to encode, on average."""
        return float(self.resampled.clock.rate if self.resampled else self.source.video.frame_rate)

    @property
    def name(self) -> str:
        """What people and the progress store call it."""
        return f"{self.source.file.key}#{self.number}"

    @property
    def seconds(self) -> float:
        """Seconds of source that its clips with frames cover; overlaps count once."""
        total, reached = Fraction(0), Fraction(0)
        for clip in self.clips:
            if not clip.frame_count:
                continue
            begin = max(clip.span.start, reached)
            total += max(Fraction(0), clip.span.end - begin)
            reached = max(reached, clip.span.end)
        return float(total)


class ClipStatus(StrEnum):
    """How a planned clip ended."""

    WRITTEN = "written"
    FAILED = "failed"
    ABSENT = "absent"


class ClipRecord(Value):
    """How one planned clip, or a row of absent ones, ended, and the proof.

    errors: why it failed or is absent; for a written clip, damage that it holds.
    damaged_frames: of the planned frames, how many are lost or damaged in the source; None if that
    was not found out (absent, failed for another reason, a record made before it was counted).
    first_pts: PTS of its first frame, where the source has lost those that were planned before it.
    duration: seconds that its file lasts, exactly; None without a file, and in older records.
    frame_rate: frames/s, exactly, if all its frames are shown for equally long.
    on_grid: whether its times are those of the source's grid, of which the source's PTS are
    roundings; else they are the source's PTS.
    dropped_frames, repeated_frames: where the frame rate is not the source's, how many frames that
    the source presents while it lasts are not shown, and how many are shown once more; else None.
    encoder: what encoded it; decoder: "cuda" where frames were decoded on a GPU.
    node: the machine that made it, and Ray's id of the node where there is one.
    package_version, ffmpeg_version: of what made it, or failed to.
    """

    clip: Clip
    status: ClipStatus
    failure: Failure | None = None
    errors: tuple[str, ...] = ()
    damaged_frames: int | None = None
    location: str | None = None
    width: int = 0
    height: int = 0
    frames: int = 0
    first_pts: int | None = Field(default=None, exclude_if=lambda pts: pts is None)
    duration: Fraction | None = None
    frame_rate: Fraction | None = None
    on_grid: bool = False
    dropped_frames: int | None = Field(default=None, exclude_if=lambda count: count is None)
    repeated_frames: int | None = Field(default=None, exclude_if=lambda count: count is None)
    video_codec: str | None = None
    encoder: str | None = None
    decoder: str | None = None
    node: str | None = None
    bytes: int = 0
    sha256: str | None = None
    audio: dict[str, Any] | None = None
    encode_seconds: float = 0.0
    package_version: str | None = None
    ffmpeg_version: str | None = None

    @property
    def start_pts(self) -> int:
        """Source PTS of what it shows first: its time 0."""
        return self.clip.start_pts if self.first_pts is None else self.first_pts

    def seconds(self, time_base: Fraction) -> Fraction:
        """Seconds that it lasts, or was planned to; time_base: of the source."""
        base = self.clip.clock.time_base if self.clip.clock else time_base
        planned = (self.clip.end_pts - self.start_pts) * base
        return planned if self.duration is None else self.duration

    @classmethod
    def absent(cls, clip: Clip) -> ClipRecord:
        """The record of a clip, or a row of them, that no frame lies in."""
        where = "its span" if clip.count == 1 else f"the spans of these {clip.count} clips"
        reason = f"no frame is presented in {where}"
        if row := clip.listed:
            unit = " s" if not row.in_frames else ""
            edges = f"{float(row.start):g}{unit} to {float(row.end):g}{unit}"
            reason = f"row {row.row} of the list: no frame is presented from {edges}"
        if clip.asked_span:
            where = f"{float(clip.asked_span.start):g} s to {float(clip.asked_span.end):g} s"
            reason = f"no keyframe to cut at is near enough: {where} would be empty"
        return cls(clip=clip, status=ClipStatus.ABSENT, errors=(reason,))


class ChunkRecord(Value):
    """The proof that a chunk is done; written after everything else of it.

    clips: called so in the JSON of earlier versions, where NeMo Curator has a list of ids.
    seconds, encoded_frames, made_seconds (of clips), reused (clips): of the run that wrote it.
    """

    source_key: str
    chunk: int
    recipe_digest: str
    fingerprint: str
    clips: tuple[ClipRecord, ...] = Field(validation_alias=AliasChoices("clip_records", "clips"))
    seconds: float = 0.0
    encoded_frames: int = 0
    made_seconds: float = 0.0
    reused: int = 0

    @property
    def name(self) -> str:
        """Its chunk's name."""
        return f"{self.source_key}#{self.chunk}"


class SourceStatus(StrEnum):
    """How a source ended."""

    CLIPPED = "clipped"
    EMPTY = "no clips"
    FAILED = "failed"


class SourceRecord(Value):
    """How one source ended; its presence with all chunk records makes a resume free.

    package_version, ffmpeg_version: of what opened it; None where nothing got that far.
    spans_digest: of what a list of spans had for it, if there was a list.
    """

    key: str
    uri: str
    fingerprint: str
    recipe_digest: str
    status: SourceStatus
    chunks: int = 0
    clips: int = 0
    reason: str | None = None
    failure: Failure | None = None
    source: Source | None = None
    package_version: str | None = None
    ffmpeg_version: str | None = None
    spans_digest: str | None = Field(default=None, exclude_if=lambda digest: digest is None)


class ProbedStretch(Value):
    """A recording of a source, with the facts and the times of its frames.

    cuts: packed PTS of the first frames of its shots, the first shot's left out; None if they were
    not looked for.
    cut_points: packed PTS of the keyframes that begin a closed GOP.
    """

    stretch: Stretch
    source: Source
    frame_pts: str
    keyframes: str
    repeated: str = ""
    cuts: str | None = None
    cut_points: str = ""


class ProbedSource(Value):
    """What a probe task gives back: a source with its chunks' plan, or why there is none.

    stretches: its recordings, if its clock jumps; they hold the times of frames, and cuts, then.
    cuts, cut_points: as those of a stretch.
    """

    file: SourceFile
    source: Source | None = None
    failure: Failure | None = None
    frame_pts: str = ""
    keyframes: str = ""
    repeated: str = ""
    cuts: str | None = None
    cut_points: str = ""
    stretches: tuple[ProbedStretch, ...] = ()

    @property
    def parts(self) -> tuple[ProbedSource | ProbedStretch, ...]:
        """What holds times of frames: its recordings, or itself."""
        return self.stretches or (self,)
