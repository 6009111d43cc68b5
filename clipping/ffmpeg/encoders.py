"""The table of video encoders: one row each, with its options and what it needs.

Constant quality is the default; a bit rate replaces it. Sources of the options:
`ffmpeg -h encoder=NAME` of the bundled build, and FFmpeg's nvenc.c for the rule that `-cq`
discards the average bit rate, so that never both are given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from clipping.errors import UsageError

__all__ = ["AUTO", "ENCODERS", "Encoder", "Rate", "bit_rate_for", "candidates", "encoder"]

# Not a row: NVENC where a node has it, libx264 on the others.
AUTO = "auto"
_AUTO_ROWS = ("h264_nvenc", "libx264")


@dataclass(frozen=True, slots=True)
class Rate:
    """How much to spend on a picture: a quality (lower is better) or a bit rate in bit/s."""

    quality: float | None = None
    bit_rate: int | None = None


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
    options: (preset, rate, threads) to argv.
    constant_quality: False if the encoder can only be given a bit rate.
    """

    name: str
    codec: str
    on_gpu: bool
    presets: tuple[str, ...]
    default_preset: str | None
    default_quality: float
    quality_range: tuple[float, float]
    constant_quality: bool
    options: Callable[[str | None, Rate, int], list[str]]


def _average(bit_rate: int) -> list[str]:
    return [
        "-b:v",
        str(bit_rate),
        "-maxrate",
        str(2 * bit_rate),
        "-bufsize",
        str(4 * bit_rate),
    ]


def _libx264(preset: str | None, rate: Rate, threads: int) -> list[str]:
    spend = _average(rate.bit_rate) if rate.bit_rate else ["-crf", f"{rate.quality:g}"]
    # Cells are cut at IDRs, so forced keyframes must be IDRs and GOPs closed.
    closed = ["-forced-idr", "1", "-flags", "+cgop"]
    return ["-preset", preset or _X264_DEFAULT, *spend, *closed, "-threads", str(threads)]


def _libopenh264(_preset: str | None, rate: Rate, threads: int) -> list[str]:
    if not rate.bit_rate:
        raise ValueError("libopenh264 needs a bit rate")
    spend = [
        "-rc_mode",
        "bitrate",
        "-b:v",
        str(rate.bit_rate),
        "-allow_skip_frames",
        "0",
    ]
    # It makes no keyframe by itself except every -g frames; a long GOP leaves the forced ones.
    return [*spend, "-profile:v", "high", "-g", "250", "-threads", str(threads)]


def _nvenc(preset: str | None, rate: Rate, _threads: int) -> list[str]:
    spend = _average(rate.bit_rate) if rate.bit_rate else ["-cq", f"{rate.quality:g}", "-b:v", "0"]
    tuned = ["-preset", preset or "p4", "-tune", "hq", "-rc", "vbr"]
    return [*tuned, *spend, "-forced-idr", "1", "-strict_gop", "1", "-g", "250"]


# Chosen from the README's table: half of medium's CPU time at nearly the same VMAF and bytes.
_X264_DEFAULT = "veryfast"
_X264_PRESETS = (
    "ultrafast",
    "superfast",
    "veryfast",
    "faster",
    "fast",
    "medium",
    "slow",
    "slower",
    "veryslow",
    "placebo",
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
            default_quality=21,
            quality_range=(0, 51),
            constant_quality=True,
            options=_libx264,
        ),
        Encoder(
            name="libopenh264",
            codec="h264",
            on_gpu=False,
            presets=(),
            default_preset=None,
            default_quality=23,
            quality_range=(0, 51),
            constant_quality=False,
            options=_libopenh264,
        ),
        Encoder(
            name="h264_nvenc",
            codec="h264",
            on_gpu=True,
            presets=("p1", "p2", "p3", "p4", "p5", "p6", "p7"),
            default_preset="p4",
            default_quality=23,
            quality_range=(0, 51),
            constant_quality=True,
            options=_nvenc,
        ),
    )
}


def candidates(name: str) -> tuple[Encoder, ...]:
    """The rows that `name` may stand for: itself, or those that `auto` chooses from."""
    return tuple(encoder(n) for n in (_AUTO_ROWS if name == AUTO else (name,)))


def encoder(name: str) -> Encoder:
    """The row called `name`. Raises UsageError that names the choices."""
    row = ENCODERS.get(name)
    if row is None:
        raise UsageError(f"unknown encoder {name!r}: choose one of {', '.join(ENCODERS)}")
    return row
