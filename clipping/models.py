"""The frozen values that travel between tasks and into records.

Times are exact: `Fraction` seconds, or integer PTS with the source's time base. JSON holds a
`Fraction` as text ("30000/1001").
"""

from __future__ import annotations

from enum import StrEnum
from fractions import Fraction
from typing import Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, SecretStr

from clipping.errors import ClippingError, FailureKind, FfmpegError

__all__ = [
    "AudioTrack",
    "Chunk",
    "ChunkRecord",
    "Clip",
    "ClipRecord",
    "ClipStatus",
    "Failure",
    "ProbedSource",
    "ProbedStretch",
    "Source",
    "SourceFile",
    "SourceRecord",
    "SourceStatus",
    "Span",
    "Stretch",
    "VideoFacts",
]


class Value(BaseModel):
    """A frozen value; unknown keys in stored JSON are ignored, so that old records still read."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Failure(Value):
    """Why something failed, for a person and for the resume logic.

    command: the ffmpeg command that failed, if one did.
    """

    kind: FailureKind
    message: str
    command: str | None = Field(default=None, exclude_if=lambda command: command is None)

    @classmethod
    def of(cls, error: ClippingError) -> Failure:
        """The failure that an error stands for."""
        command = error.command if isinstance(error, FfmpegError) else None
        return cls(kind=error.kind, message=error.message, command=command)


class SourceFile(Value):
    """A file found under an input, not opened yet.

    key: its identity: the path relative to the input root.
    uri: where it is read from, without anything that signs the request.
    fingerprint: changes whenever the content may have changed (size and mtime, or ETag).
    signed: the address with its signature, where it needs one; it stands in no record.
    """

    key: str
    uri: str
    size: int
    fingerprint: str
    signed: SecretStr | None = Field(default=None, exclude=True, repr=False)

    @property
    def address(self) -> str:
        """What to open; may hold a secret, and is for nothing else."""
        return self.signed.get_secret_value() if self.signed else self.uri


class AudioTrack(Value):
    """One audio stream: absolute stream index, codec name, rate in Hz, channels.

    is_edited: whether its edit list has several parts.
    """

    stream: int
    codec: str
    sample_rate: int
    channels: int
    language: str | None = None
    is_edited: bool = Field(default=False, exclude_if=lambda is_edited: not is_edited)


class VideoFacts(Value):
    """What a probe learned about the first real video stream.

    width, height: of the decoded picture after rotation, in pixels.
    average_rate, nominal_rate: of the header, in frames/s; guessed_rate: what ffmpeg makes of them,
    and tells encoders.
    frame_count: presented frames, counted; duration: seconds, first start to last end.
    gap_pts: how much of that is in gaps of more than an hour without a frame.
    in_order: whether frames are decoded in the order of their timestamps, but for reordering.
    is_edited: whether its edit list has several parts (MP4, QuickTime).
    bit_rate: of the video in bit/s; bit_rate_estimated: from file size and duration.
    seeks_exactly: whether a seek lands on the keyframe asked for (records made before it had
    that name call it `tidy_seek`).
    """

    container: str
    stream: int
    codec: str
    profile: str | None
    coded_width: int
    coded_height: int
    width: int
    height: int
    rotation: int
    pixel_format: str
    bit_depth: int
    color_range: str | None
    color_space: str | None
    color_primaries: str | None
    color_transfer: str | None
    field_order: str
    sample_aspect_ratio: Fraction | None
    time_base: Fraction
    average_rate: Fraction | None
    nominal_rate: Fraction | None
    guessed_rate: Fraction | None = None
    bit_rate: int
    bit_rate_estimated: bool
    first_pts: int
    end_pts: int
    frame_count: int
    nominal_duration: int
    gap_pts: int = Field(default=0, exclude_if=lambda pts: pts == 0)
    in_order: bool = Field(default=True, exclude_if=lambda in_order: in_order)
    is_edited: bool = Field(default=False, exclude_if=lambda is_edited: not is_edited)
    index: str
    seekable: bool
    seeks_exactly: bool = Field(validation_alias=AliasChoices("seeks_exactly", "tidy_seek"))

    @property
    def duration(self) -> Fraction:
        """Seconds from the first frame's start to the last frame's end."""
        return (self.end_pts - self.first_pts) * self.time_base

    @property
    def filled_duration(self) -> Fraction:
        """Seconds in which frames come: the duration without gaps of more than an hour."""
        return (self.end_pts - self.first_pts - self.gap_pts) * self.time_base

    @property
    def frame_rate(self) -> float:
        """Frames per second, on average, where frames come."""
        return float(self.frame_count / self.filled_duration)

    @property
    def is_hdr(self) -> bool:
        """Whether the transfer is PQ (SMPTE 2084) or HLG (ARIB STD-B67), ITU-R BT.2100."""
        return self.color_transfer in ("smpte2084", "arib-std-b67")


class Stretch(Value):
    """One of several recordings in a file, each with a clock of its own.

    number: of the recording in the file, from 0; ranges: the bytes of the file that are read as a
    file of its own, one after the other.
    start, first_frame: where it begins, in seconds and frames, when they are laid end to end.
    first_pts, end_pts: of its own clock, from the first frame's start to the last one's end.
    width, height, codec: of its pictures.
    """

    number: int
    ranges: tuple[tuple[int, int], ...]
    start: Fraction
    first_frame: int
    frame_count: int
    first_pts: int
    end_pts: int
    time_base: Fraction
    width: int
    height: int
    codec: str

    @property
    def duration(self) -> Fraction:
        """Seconds that it lasts."""
        return (self.end_pts - self.first_pts) * self.time_base


class Source(Value):
    """One input video that can be clipped.

    stretches: its recordings, if its clock jumps; `video` and `audio` are then the first one's,
    with the duration and the frames of all.
    """

    file: SourceFile
    video: VideoFacts
    audio: tuple[AudioTrack, ...]
    warnings: tuple[str, ...] = ()
    stretches: tuple[Stretch, ...] = Field(default=(), exclude_if=lambda found: not found)


class Span(Value):
    """Half-open interval `[start, end)` in seconds; 0 is the first presented frame."""

    start: Fraction
    end: Fraction


class Clip(Value):
    """A span with an id and the frames that lie in it.

    Frames are `[start_frame, end_frame)`, numbered from 0 in presentation order.
    start_pts: PTS of its first frame; end_pts: where its last frame's display ends.
    count: above 1 if it stands for that many consecutive clips in which no frame lies. `number` is
    then the first one's, and `span` goes to the end of the last one.
    stretch: number of the recording that it lies in, by whose clock its PTS are, if there are
    several in the file.
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

    @property
    def frame_count(self) -> int:
        """How many source frames lie in the span."""
        return self.end_frame - self.start_frame


class Chunk(Value):
    """Consecutive clips of one source, done by one task.

    frame_pts: packed PTS of the frames `[first_frame, first_frame + n)`, which covers all
    clips and one frame beyond, if there is one.
    keyframes: the source's keyframe PTS that matter here, the last one before the first
    frame included.
    repeated: packed PTS of the frames that are left out, since one with that PTS is there.
    stretch: the recording that it lies in, if there are several in the file; `source` is then that
    of the recording, and PTS are by its clock.
    """

    source: Source
    number: int
    clips: tuple[Clip, ...]
    first_frame: int
    frame_pts: str
    keyframes: str
    repeated: str = ""
    stretch: Stretch | None = Field(default=None, exclude_if=lambda stretch: stretch is None)

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

    @classmethod
    def absent(cls, clip: Clip) -> ClipRecord:
        """The record of a clip, or a row of them, that no frame lies in."""
        where = "its span" if clip.count == 1 else f"the spans of these {clip.count} clips"
        reason = f"no frame is presented in {where}"
        return cls(clip=clip, status=ClipStatus.ABSENT, errors=(reason,))


class ChunkRecord(Value):
    """The proof that a chunk is done; written after everything else of it.

    seconds, encoded_frames, made_seconds (of clips), reused (clips): of the run that wrote it.
    """

    source_key: str
    chunk: int
    recipe_digest: str
    fingerprint: str
    clips: tuple[ClipRecord, ...]
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


class ProbedStretch(Value):
    """A recording of a source, with the facts and the times of its frames."""

    stretch: Stretch
    source: Source
    frame_pts: str
    keyframes: str
    repeated: str = ""


class ProbedSource(Value):
    """What a probe task gives back: a source with its chunks' plan, or why there is none.

    stretches: its recordings, if its clock jumps; they hold the times of the frames then.
    """

    file: SourceFile
    source: Source | None = None
    failure: Failure | None = None
    frame_pts: str = ""
    keyframes: str = ""
    repeated: str = ""
    stretches: tuple[ProbedStretch, ...] = ()
