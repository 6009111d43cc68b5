"""The table of video encoders: one row each, with all that is the encoder's own.

Choices, help texts, the schema of Prefect's form, commands and proofs derive from the rows; no
other module names an encoder. Constant quality is the default; a bit rate replaces it. Sources
of the options: `ffmpeg -h encoder=NAME` of the bundled build, and FFmpeg's nvenc.c for the rule
that `-cq` discards the average bit rate, so that never both are given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction

from clipping.errors import UsageError

__all__ = [
    "AUTO",
    "DEFAULT",
    "ENCODERS",
    "Encoder",
    "Gop",
    "Rate",
    "bit_rate_for",
    "candidates",
    "choices",
    "cpu_encoders",
    "encoder",
    "gpu_encoder",
    "rate_for_frames",
]


_ABOUT_THE_SAME = 0.05


@dataclass(frozen=True, slots=True)
class Rate:
    """How much to spend on a picture: a quality (lower is better) or a bit rate in bit/s."""

    quality: float | None = None
    bit_rate: int | None = None


@dataclass(frozen=True, slots=True)
class Gop:
    """How pictures refer to each other.

    frames: the most from one keyframe to the next. b_frames: whether a picture may refer to one
    that is shown later.
    """

    frames: int = 250
    b_frames: bool = True


def bit_rate_for(width: int, height: int, frames_per_second: float, quality: float) -> int:
    """A bit rate for an encoder that has no constant quality, in bit/s.

    3 Mb/s at 1280x720, 30 frames/s and quality 23, growing with the 0.75th power of pixels a
    second (larger pictures hold less detail per pixel) and doubling for 6 steps of quality,
    as x264's CRF does.
    """
    pixels = width * height * frames_per_second / (1280 * 720 * 30)
    return max(64_000, round(3_000_000 * pixels**0.75 * 2 ** ((23 - quality) / 6)))


@dataclass(frozen=True, slots=True)
class Encoder:
    """One row: what an encoder is called, can do, and is told.

    presets: fastest first; empty if it has none.
    quality_name: what its constant quality is called; empty if it can only be given a bit rate.
    quality_range: the lowest and highest quality that it takes.
    pixel_format: of the frames that it is given.
    mp4_tag: the sample entry that players expect for it in MP4.
    starts_clean: whether an MP4 sample is one that decoding can start with, nothing of what
    comes before being needed.
    counts_frames: whether it spends a bit rate by frames, at the frame rate that ffmpeg tells it,
    whatever the frames' times are.
    clock: frames/s to the bitstream filter that writes it into the parameter sets. Unset, they hold
    what the encoder makes of the time base (x264: a thousand times the rate), or nothing, and
    readers go by it (FFmpeg before 8, for the durations of packets).
    options: (preset, rate, GOP, threads) to argv. Forced keyframes must be clean starts.
    """

    name: str
    codec: str
    on_gpu: bool
    presets: tuple[str, ...]
    default_preset: str | None
    quality_name: str
    default_quality: float
    quality_range: tuple[float, float]
    pixel_format: str
    mp4_tag: str
    starts_clean: Callable[[bytes], bool]
    counts_frames: bool
    clock: Callable[[Fraction], str]
    options: Callable[[str | None, Rate, Gop, int], list[str]]

    @property
    def has_constant_quality(self) -> bool:
        """Whether it can be asked for a quality rather than a bit rate."""
        return bool(self.quality_name)


def rate_for_frames(rate: Rate, told: float, actual: float) -> Rate:
    """What to tell an encoder that `counts_frames`, so that it spends `rate`.

    told: the frame rate that ffmpeg tells it, which for a variable rate is about the highest that
    occurs; actual: frames per second on average. As given where the two are about the same.
    """
    if not rate.bit_rate or abs(told / actual - 1) < _ABOUT_THE_SAME:
        return rate
    return replace(rate, bit_rate=max(1, round(rate.bit_rate * told / actual)))


def _average(bit_rate: int) -> list[str]:
    return [
        *["-b:v", str(bit_rate)],
        *["-maxrate", str(2 * bit_rate)],
        *["-bufsize", str(4 * bit_rate)],
    ]


def _keyframes(gop: Gop) -> list[str]:
    return ["-g", str(gop.frames), *([] if gop.b_frames else ["-bf", "0"])]


def _libx264(preset: str | None, rate: Rate, gop: Gop, threads: int) -> list[str]:
    spend = _average(rate.bit_rate) if rate.bit_rate else ["-crf", f"{rate.quality:g}"]
    # Clips are cut at IDRs, so forced keyframes must be IDRs and GOPs closed.
    closed = ["-forced-idr", "1", "-flags", "+cgop"]
    return [
        *["-preset", preset or _X264_DEFAULT, *spend, *closed, *_keyframes(gop)],
        *["-threads", str(threads)],
    ]


def _libopenh264(_preset: str | None, rate: Rate, gop: Gop, threads: int) -> list[str]:
    if not rate.bit_rate:
        raise ValueError("libopenh264 needs a bit rate")
    spend = ["-rc_mode", "bitrate", "-b:v", str(rate.bit_rate), "-allow_skip_frames", "0"]
    # It makes no keyframe by itself except every -g frames; a long GOP leaves the forced ones.
    return [*spend, "-profile:v", "high", "-g", str(gop.frames), "-threads", str(threads)]


def _nvenc(preset: str | None, rate: Rate, gop: Gop, _threads: int) -> list[str]:
    spend = _average(rate.bit_rate) if rate.bit_rate else ["-cq", f"{rate.quality:g}", "-b:v", "0"]
    tuned = ["-preset", preset or "p4", "-tune", "hq", "-rc", "vbr"]
    return [*tuned, *spend, "-forced-idr", "1", "-strict_gop", "1", *_keyframes(gop)]


_MOST_TICKS = 2**29  # a quarter of what the filter takes


def _h264_clock(rate: Fraction) -> str:
    """A frame takes two ticks of the clock, one a field (ITU-T H.264, E.2.1).

    `fixed_frame_rate_flag` stays the encoder's, 0 from x264 and OpenH264: a clip may lack frames
    that its source has lost, and the filter refuses to change the flag without an HRD.
    """
    largest = max(rate.numerator, rate.denominator)
    if largest > _MOST_TICKS:
        # An average over days, of which a millionth is more than enough.
        rate = Fraction(
            max(1, rate.numerator * _MOST_TICKS // largest),
            max(1, rate.denominator * _MOST_TICKS // largest),
        )
    return f"h264_metadata=tick_rate={2 * rate.numerator}/{rate.denominator}"


_IDR = 5  # nal_unit_type of an IDR slice, ITU-T H.264 table 7-1


def _h264_starts_clean(sample: bytes) -> bool:
    """Whether an MP4 sample with four-byte lengths (ISO/IEC 14496-15) holds an IDR slice."""
    at = 0
    while at + 5 <= len(sample):
        if sample[at + 4] & 0x1F == _IDR:
            return True
        at += 4 + int.from_bytes(sample[at : at + 4], "big")
    return False


# Chosen from docs/quality.md: half of medium's CPU time at nearly the same VMAF and bytes.
_X264_DEFAULT = "veryfast"
_X264_PRESETS = (
    *("ultrafast", "superfast", "veryfast", "faster", "fast"),
    *("medium", "slow", "slower", "veryslow", "placebo"),
)

ENCODERS: dict[str, Encoder] = {
    row.name: row
    for row in (
        Encoder(
            name="libx264",
            codec="h264",
            on_gpu=False,
            presets=_X264_PRESETS,
            default_preset=_X264_DEFAULT,
            quality_name="CRF",
            default_quality=21,
            quality_range=(0, 51),
            pixel_format="yuv420p",
            mp4_tag="avc1",
            starts_clean=_h264_starts_clean,
            counts_frames=False,
            clock=_h264_clock,
            options=_libx264,
        ),
        Encoder(
            name="libopenh264",
            codec="h264",
            on_gpu=False,
            presets=(),
            default_preset=None,
            quality_name="",
            default_quality=23,
            quality_range=(0, 51),
            pixel_format="yuv420p",
            mp4_tag="avc1",
            starts_clean=_h264_starts_clean,
            counts_frames=True,
            clock=_h264_clock,
            options=_libopenh264,
        ),
        Encoder(
            name="h264_nvenc",
            codec="h264",
            on_gpu=True,
            presets=("p1", "p2", "p3", "p4", "p5", "p6", "p7"),
            default_preset="p4",
            quality_name="CQ",
            default_quality=23,
            quality_range=(0, 51),
            pixel_format="yuv420p",
            mp4_tag="avc1",
            starts_clean=_h264_starts_clean,
            counts_frames=True,
            clock=_h264_clock,
            options=_nvenc,
        ),
    )
}

DEFAULT = ENCODERS["libx264"]
# Not a row: the encoder on the GPU where a node has it, the default one on the others.
AUTO = "auto"
_AUTO_ROWS = (ENCODERS["h264_nvenc"], DEFAULT)


def choices() -> list[str]:
    """What the setting `encoder` may be."""
    return [*ENCODERS, AUTO]


def cpu_encoders() -> list[str]:
    """The names of the rows that need no GPU."""
    return [row.name for row in ENCODERS.values() if not row.on_gpu]


def candidates(name: str) -> tuple[Encoder, ...]:
    """The rows that `name` may stand for: itself, or those that `auto` chooses from."""
    return _AUTO_ROWS if name == AUTO else (encoder(name),)


def gpu_encoder(name: str) -> Encoder | None:
    """Of the rows that `name` may stand for, the one on a GPU; None if there is none."""
    return next((row for row in candidates(name) if row.on_gpu), None)


def encoder(name: str) -> Encoder:
    """The row called `name`. Raises UsageError that names the choices."""
    row = ENCODERS.get(name)
    if row is None:
        raise UsageError(f"unknown encoder {name!r}: choose one of {', '.join(ENCODERS)}")
    return row
