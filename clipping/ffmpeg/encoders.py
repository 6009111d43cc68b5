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
from clipping.ffmpeg.clean_starts import (
    av1_starts_clean,
    h264_starts_clean,
    hevc_may_start,
    hevc_starts_clean,
    vp9_starts_clean,
)

__all__ = [
    "AUTO",
    "COPY",
    "DEFAULT",
    "ENCODERS",
    "Encoder",
    "Gop",
    "Rate",
    "bit_rate_for",
    "candidates",
    "choices",
    "copied",
    "cpu_encoders",
    "encoder",
    "gpu_encoder",
    "is_auto",
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
    that is shown later. rate: frames per second, on average.
    """

    frames: int = 250
    b_frames: bool = True
    rate: Fraction = Fraction(25)


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
    pixel_format: of the frames that it is given; ten_bits: the same for 10 bits, empty for 8 alone.
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
    ten_bits: str = ""

    def of_depth(self, bits: int) -> Encoder:
        """The same row for pictures of 8 or 10 bits. Raises ValueError if it cannot."""
        if bits == 8:
            return self
        if not self.ten_bits:
            raise ValueError(f"{self.name} has no {bits} bits")
        return replace(self, pixel_format=self.ten_bits)

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


def _within_32_bits(rate: Fraction) -> Fraction:
    """The rate, or what is next to it: an average over days, of which a millionth is enough."""
    largest = max(rate.numerator, rate.denominator)
    if largest <= _MOST_TICKS:
        return rate
    return Fraction(
        max(1, rate.numerator * _MOST_TICKS // largest),
        max(1, rate.denominator * _MOST_TICKS // largest),
    )


def _h264_clock(rate: Fraction) -> str:
    """A frame takes two ticks of the clock, one a field (ITU-T H.264, E.2.1).

    `fixed_frame_rate_flag` stays the encoder's, 0 from x264 and OpenH264: a clip may lack frames
    that its source has lost, and the filter refuses to change the flag without an HRD.
    """
    rate = _within_32_bits(rate)
    return f"h264_metadata=tick_rate={2 * rate.numerator}/{rate.denominator}"


def _hevc_clock(rate: Fraction) -> str:
    """A frame takes one tick of the clock (ITU-T H.265, E.3.1)."""
    rate = _within_32_bits(rate)
    return f"hevc_metadata=tick_rate={rate.numerator}/{rate.denominator}"


def _av1_clock(rate: Fraction) -> str:
    """The same (AV1, 6.4.2)."""
    rate = _within_32_bits(rate)
    return f"av1_metadata=tick_rate={rate.numerator}/{rate.denominator}"


def _no_clock(_rate: Fraction) -> str:
    """VP9 has none: its containers tell the times."""
    return "null"


def _libx265(preset: str | None, rate: Rate, gop: Gop, threads: int) -> list[str]:
    spend = _average(rate.bit_rate) if rate.bit_rate else ["-crf", f"{rate.quality:g}"]
    # The bytes are not to depend on the number of threads, nor parameter sets on what is written
    # into them: one frame at a time, its rows side by side.
    fixed = "open-gop=0:info=0:log-level=error:frame-threads=1:lookahead-slices=0:wpp=1"
    return [
        *["-preset", preset or _X265_DEFAULT, *spend, "-forced-idr", "1", *_keyframes(gop)],
        *["-x265-params", f"{fixed}:pools={threads}"],
    ]


def _libsvtav1(preset: str | None, rate: Rate, gop: Gop, threads: int) -> list[str]:
    spend = ["-b:v", str(rate.bit_rate)] if rate.bit_rate else ["-crf", f"{rate.quality:g}"]
    # A refresh of type 2 is a key frame: GOPs are closed. A low delay is the structure without
    # frames that refer to later ones.
    order = "" if gop.b_frames else ":pred-struct=1"
    return [
        *["-preset", preset or _SVT_DEFAULT, *spend, "-g", str(gop.frames)],
        *["-svtav1-params", f"lp={threads}:irefresh-type=2{order}:{_svt_rate(gop.rate)}"],
    ]


def _svt_rate(rate: Fraction) -> str:
    """The frame rate, within what it takes: it refuses what ffmpeg makes of a variable one."""
    near = min(max(rate, Fraction(1)), Fraction(240)).limit_denominator(1001)
    return f"fps-num={near.numerator}:fps-denom={near.denominator}"


def _libvpx_vp9(preset: str | None, rate: Rate, gop: Gop, threads: int) -> list[str]:
    if rate.bit_rate:
        spend = ["-b:v", str(rate.bit_rate)]
    else:
        spend = ["-crf", f"{rate.quality:g}", "-b:v", "0"]
    later = [] if gop.b_frames else ["-auto-alt-ref", "0", "-lag-in-frames", "0"]
    return [
        *["-deadline", "good", "-cpu-used", preset or _VP9_DEFAULT, *spend, *later],
        *["-g", str(gop.frames), "-row-mt", "0", "-threads", str(threads)],
    ]


# Chosen from docs/quality.md: half of medium's CPU time at nearly the same VMAF and bytes.
_X264_DEFAULT = "veryfast"
_X265_DEFAULT = "veryfast"
_SVT_DEFAULT = "10"
_VP9_DEFAULT = "5"
_NVENC_PRESETS = ("p1", "p2", "p3", "p4", "p5", "p6", "p7")
_X264_PRESETS = (
    *("ultrafast", "superfast", "veryfast", "faster", "fast"),
    *("medium", "slow", "slower", "veryslow", "placebo"),
)

_H264_NVENC = Encoder(
    name="h264_nvenc",
    codec="h264",
    on_gpu=True,
    presets=_NVENC_PRESETS,
    default_preset="p4",
    quality_name="CQ",
    default_quality=23,
    quality_range=(0, 51),
    pixel_format="yuv420p",
    mp4_tag="avc1",
    starts_clean=h264_starts_clean,
    counts_frames=True,
    clock=_h264_clock,
    options=_nvenc,
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
            starts_clean=h264_starts_clean,
            counts_frames=False,
            clock=_h264_clock,
            options=_libx264,
            ten_bits="yuv420p10le",
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
            starts_clean=h264_starts_clean,
            counts_frames=True,
            clock=_h264_clock,
            options=_libopenh264,
        ),
        Encoder(
            name="libx265",
            codec="hevc",
            on_gpu=False,
            presets=_X264_PRESETS,
            default_preset=_X265_DEFAULT,
            quality_name="CRF",
            default_quality=24,
            quality_range=(0, 51),
            pixel_format="yuv420p",
            mp4_tag="hvc1",
            starts_clean=hevc_starts_clean,
            counts_frames=True,
            clock=_hevc_clock,
            options=_libx265,
            ten_bits="yuv420p10le",
        ),
        Encoder(
            name="libsvtav1",
            codec="av1",
            on_gpu=False,
            presets=tuple(map(str, range(13, -1, -1))),
            default_preset=_SVT_DEFAULT,
            quality_name="CRF",
            default_quality=35,
            quality_range=(1, 63),
            pixel_format="yuv420p",
            mp4_tag="av01",
            starts_clean=av1_starts_clean,
            counts_frames=True,
            clock=_av1_clock,
            options=_libsvtav1,
            ten_bits="yuv420p10le",
        ),
        Encoder(
            name="libvpx-vp9",
            codec="vp9",
            on_gpu=False,
            presets=("5", "4", "3", "2", "1", "0"),
            default_preset=_VP9_DEFAULT,
            quality_name="CRF",
            default_quality=34,
            quality_range=(0, 63),
            pixel_format="yuv420p",
            mp4_tag="vp09",
            starts_clean=vp9_starts_clean,
            counts_frames=True,
            clock=_no_clock,
            options=_libvpx_vp9,
            ten_bits="yuv420p10le",
        ),
        _H264_NVENC,
        replace(
            _H264_NVENC,
            name="hevc_nvenc",
            codec="hevc",
            default_quality=26,
            mp4_tag="hvc1",
            starts_clean=hevc_starts_clean,
            clock=_hevc_clock,
            ten_bits="p010le",
        ),
        replace(
            _H264_NVENC,
            name="av1_nvenc",
            codec="av1",
            default_quality=34,
            quality_range=(0, 63),
            mp4_tag="av01",
            starts_clean=av1_starts_clean,
            clock=_av1_clock,
            ten_bits="p010le",
        ),
    )
}

DEFAULT = ENCODERS["libx264"]
# Not a row: the encoder on the GPU where a node has it, one on the CPU on the others.
AUTO = "auto"
_AUTOS: dict[str, tuple[Encoder, Encoder]] = {
    AUTO: (ENCODERS["h264_nvenc"], DEFAULT),
    "auto-hevc": (ENCODERS["hevc_nvenc"], ENCODERS["libx265"]),
    "auto-av1": (ENCODERS["av1_nvenc"], ENCODERS["libsvtav1"]),
}
# Nor this: the source's own packets, as what encodes its codec would have made them.
COPY = "copy"
_COPIED = {
    row.codec: replace(row, name=COPY, presets=(), default_preset=None, quality_name="")
    for row in reversed([row for row in ENCODERS.values() if not row.on_gpu])
}
_COPIED["hevc"] = replace(_COPIED["hevc"], starts_clean=hevc_may_start)


def choices() -> list[str]:
    """What the setting `encoder` may be."""
    return [*ENCODERS, *_AUTOS, COPY]


def is_auto(name: str) -> bool:
    """Whether it stands for one encoder or another, as nodes have them."""
    return name in _AUTOS


def cpu_encoders() -> list[str]:
    """The names of the rows that need no GPU."""
    return [row.name for row in ENCODERS.values() if not row.on_gpu]


def candidates(name: str) -> tuple[Encoder, ...]:
    """The rows that `name` may stand for: itself, or those that `auto` chooses from."""
    if name == COPY:
        return (copied(DEFAULT.codec),)
    return _AUTOS[name] if name in _AUTOS else (encoder(name),)


def copied(codec: str) -> Encoder:
    """The row of packets that are copied: what their clips are called, and how they start."""
    return _COPIED[codec]


def gpu_encoder(name: str) -> Encoder | None:
    """Of the rows that `name` may stand for, the one on a GPU; None if there is none."""
    return next((row for row in candidates(name) if row.on_gpu), None)


def encoder(name: str) -> Encoder:
    """The row called `name`. Raises UsageError that names the choices."""
    row = ENCODERS.get(name)
    if row is None:
        raise UsageError(f"unknown encoder {name!r}: choose one of {', '.join(ENCODERS)}")
    return row
