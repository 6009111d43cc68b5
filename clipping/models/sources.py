"""Input videos: what a probe learns of them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from fractions import Fraction
from typing import Literal

from pydantic import AliasChoices, Field, SecretStr

from clipping.models.values import Value

__all__ = [
    "AudioTrack",
    "FrameGrid",
    "PictureShape",
    "SoundWish",
    "Source",
    "SourceFile",
    "Stretch",
    "VideoFacts",
]


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
    """One audio stream: absolute stream index, codec name, rate in Hz, channels, ticks in seconds.

    layout: the channels in FFmpeg's words ("5.1", "2 channels (FL+FL)"); places: of each channel
    ("FL"), "" where none is said. is_default: whether the file has a player take it. is_edited:
    whether its edit list has several parts.
    """

    stream: int
    codec: str
    sample_rate: int
    channels: int
    time_base: Fraction = Fraction(1, 90_000)
    layout: str = ""
    places: tuple[str, ...] = ()
    language: str | None = None
    is_default: bool = False
    is_edited: bool = Field(default=False, exclude_if=lambda is_edited: not is_edited)


class SoundWish(Value):
    """What is wanted of a source's sound.

    codec: encode what is not of it; empty for AAC where the source's cannot be copied.
    sample_rate (Hz), channels: 0 for the source's own.
    track: a language, or a number from 1; empty for the one that players take.
    """

    codec: Literal["", "aac", "opus"] = ""
    sample_rate: int = 0
    channels: int = 0
    track: str = ""

    def is_met_by(self, track: AudioTrack) -> bool:
        """Whether a track's packets are as wanted."""
        return (
            self.codec in ("", track.codec)
            and self.sample_rate in (0, track.sample_rate)
            and self.channels in (0, track.channels)
        )


class FrameGrid(Value):
    """Equal steps that the times of all frames of a source lie on, but for rounding.

    rate: steps a second, exactly; origin: a step's PTS, a fraction where PTS are rounded.
    off_by: how far a PTS is from its step at the most, in PTS; 0 where they are exact.
    is_constant: whether there is a frame at each step between the first and the last one.
    """

    rate: Fraction
    origin: Fraction
    off_by: Fraction
    is_constant: bool

    def numbers(self, pts: Iterable[int], time_base: Fraction) -> list[int]:
        """The numbers of the steps nearest to these PTS, from the origin."""
        # In integers: a chunk has thousands of frames, and fractions are slow.
        step, origin = 1 / (self.rate * time_base), self.origin
        p, q, scale = step.numerator, step.denominator, origin.denominator
        half, whole = p * scale, 2 * p * scale
        return [(2 * q * (at * scale - origin.numerator) + half) // whole for at in pts]

    def nearest(self, pts: int, time_base: Fraction) -> Fraction:
        """When the step nearest to a PTS is, in seconds of the source's own clock."""
        (number,) = self.numbers([pts], time_base)
        return self.origin * time_base + number / self.rate


class PictureShape(Value):
    """What a source's pictures are like from `pts` on; the fields are those of VideoFacts.

    rotation: degrees anticlockwise by which they are to be turned, a multiple of 90; flipped:
    whether they are stored mirrored as well.
    """

    pts: int
    width: int
    height: int
    rotation: int = 0
    flipped: bool = False
    sample_aspect_ratio: Fraction | None
    pixel_format: str
    color_range: str | None
    color_space: str | None
    color_primaries: str | None
    color_transfer: str | None


class VideoFacts(Value):
    """What a probe learned about the first real video stream.

    width, height: of the decoded picture after rotation, in pixels.
    average_rate, nominal_rate: of the header, in frames/s; guessed_rate: what ffmpeg makes of them,
    and tells encoders.
    frame_count: presented frames, counted; duration: seconds, first start to last end.
    gap_pts: how much of that is in gaps of more than an hour without a frame.
    grid: the equal steps that its frames' times lie on, if they do.
    in_order: whether frames are decoded in the order of their timestamps, but for reordering.
    is_edited: whether its edit list has several parts (MP4, QuickTime).
    bit_rate: of the video in bit/s; bit_rate_estimated: from file size and duration.
    is_late: whether pictures, or sound, begin so late that FFmpeg has to look longer for them.
    dolby_vision: profile and compatibility id, if it is that.
    seeks_exactly: whether a seek lands on the keyframe asked for (records made before it had
    that name call it `tidy_seek`).
    shapes: what the pictures are like, stretch by stretch, if that changes in mid-stream or is told
    within the stream; empty if all are as the other facts say, which are those of the first.
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
    grid: FrameGrid | None = None
    in_order: bool = Field(default=True, exclude_if=lambda in_order: in_order)
    is_edited: bool = Field(default=False, exclude_if=lambda is_edited: not is_edited)
    index: str
    is_late: bool = Field(default=False, exclude_if=lambda is_late: not is_late)
    dolby_vision: tuple[int, int] | None = Field(default=None, exclude_if=lambda dv: dv is None)
    seekable: bool
    seeks_exactly: bool = Field(validation_alias=AliasChoices("seeks_exactly", "tidy_seek"))
    shapes: tuple[PictureShape, ...] = Field(default=(), exclude_if=lambda shapes: not shapes)

    def shape_number(self, pts: int) -> int:
        """Which of its shapes the frame at `pts` has; 0 if there is but one."""
        return max(0, bisect_right(self.shapes, pts, key=lambda shape: shape.pts) - 1)

    def with_shape(self, number: int) -> VideoFacts:
        """The facts of a video whose pictures all have shape `number`."""
        if not self.shapes:
            return self
        shape = self.shapes[number]
        return self.model_copy(update={n: v for n, v in shape if n in VideoFacts.model_fields})

    @property
    def largest_picture(self) -> int:
        """Pixels of the largest picture."""
        return max((p.width * p.height for p in self.shapes), default=self.width * self.height)

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
        return float(self.frame_count / (self.filled_duration or 1))

    @property
    def fps(self) -> float:
        """Frames per second for a person: the constant rate, else what the header says."""
        if self.grid and self.grid.is_constant:
            return float(self.grid.rate)
        return float(self.average_rate or self.frame_rate)

    @property
    def exact_rate(self) -> Fraction:
        """Frames per second, exactly: of its grid, or on average where it has none."""
        return self.grid.rate if self.grid else self.frame_count / self.filled_duration

    @property
    def is_dolby_vision_alone(self) -> bool:
        """Whether its pictures are in Dolby Vision's own colours, and no other decoder's.

        Profiles 5 (HEVC), 10 (AV1) and 20 with compatibility id 0 have no base layer that can be
        shown as it is ("Dolby Vision Profiles and Levels", table 2).
        """
        return self.dolby_vision is not None and self.dolby_vision in ((5, 0), (10, 0), (20, 0))

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


def _language(tag: str) -> str:
    """The language that a tag names: `de` for `ger`, `deu`, `de` and `de-AT` (ISO 639, BCP 47)."""
    import langcodes  # is seldom needed

    try:
        return langcodes.Language.get(tag).language or tag.lower()
    except ValueError:  # no tag at all: files say what they like
        return tag.lower()


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

    def sound_for(self, wish: SoundWish) -> tuple[AudioTrack | None, bool]:
        """The track that clips get, and whether it is the one that is asked for."""
        if not wish.track:
            return self.sound, True
        if wish.track.isdecimal():
            number = int(wish.track) - 1
            found = self.audio[number : number + 1]
        else:
            language = _language(wish.track)
            found = tuple(t for t in self.audio if t.language and _language(t.language) == language)
        return (found[0], True) if found else (self.sound, False)

    @property
    def sound(self) -> AudioTrack | None:
        """The audio track that clips get: the default one, as players have it, else the first."""
        defaults = (track for track in self.audio if track.is_default)
        return next(defaults, self.audio[0] if self.audio else None)
