"""The part of the recipe that says how clips are encoded."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, model_validator

from clipping.config.units import as_text
from clipping.ffmpeg.encoders import (
    AUTO,
    COPY,
    DEFAULT,
    ENCODERS,
    Encoder,
    Gop,
    Rate,
    bit_rate_for,
    candidates,
    choices,
    cpu_encoders,
    gpu_encoder,
    is_auto,
)
from clipping.models import VideoFacts
from clipping.plan.spans import exact

__all__ = ["EncoderSettings"]


def _known_encoder(name: str) -> str:
    if name not in choices():
        raise ValueError(f"choose one of {', '.join(choices())}")
    return name


def _known_fallback(name: str) -> str:
    if name and name not in cpu_encoders():
        raise ValueError(f"choose one of {', '.join(cpu_encoders())}, or leave it empty")
    return name


def _encoder_help() -> str:
    gpu = gpu_encoder(AUTO)
    assert gpu is not None
    codecs = {"h264": "H.264", "hevc": "HEVC", "av1": "AV1", "vp9": "VP9"}
    named = {c: [row.name for row in ENCODERS.values() if row.codec == c] for c in codecs}
    rows = "; ".join(f"{codecs[c]}: {', '.join(names)}" for c, names in named.items())
    return (
        f"Video encoder ({rows}). NVENC needs a GPU. {AUTO} uses {gpu.name} on the nodes that have"
        f" it and {DEFAULT.name} on the others; auto-hevc, auto-av1 do the same. {COPY} takes the"
        " source's own packets, from keyframe to keyframe."
    )


_LONGEST_GOP = 100_000  # frames
_GOP = re.compile(r"(\d{1,6}(?:\.\d{1,6})?)\s*(s|f|)")


def _known_gop(text: str) -> str:
    found = _GOP.fullmatch(text.strip().lower())
    frames = found and found[2] != "s"
    if not found or (frames and not 1 <= exact(found[1]) <= _LONGEST_GOP) or not exact(found[1]):
        raise ValueError("give seconds (2s, 0.5s) or a number of frames (48), 1 at least")
    if frames and exact(found[1]).denominator != 1:
        raise ValueError(f"there is no fraction of a frame; {found[1]}s are seconds")
    return found[1] if frames else f"{found[1]}s"


def _preset_help() -> str:
    rows = [
        f"{row.name}: {row.presets[0]} … {row.presets[-1]}, default {row.default_preset}"
        for row in ENCODERS.values()
        if row.presets
    ]
    without = ", ".join(row.name for row in ENCODERS.values() if not row.presets)
    return (
        f"The encoder's preset ({'; '.join(rows)}). {without} has none; {AUTO} takes no preset and"
        " uses each encoder's default."
    )


def _quality_help() -> str:
    rows = [
        f"{row.name}: {row.quality_name}, default {row.default_quality:g}"
        for row in ENCODERS.values()
        if row.has_constant_quality
    ]
    without = ", ".join(row.name for row in ENCODERS.values() if not row.has_constant_quality)
    return (
        f"Constant quality; lower is better ({'; '.join(rows)}). {without} has no constant quality:"
        " its bit rate is computed from this value, the picture's size and the frame rate."
    )


class EncoderSettings(BaseModel):
    """How clips are encoded."""

    encoder: Annotated[str, AfterValidator(_known_encoder)] = Field(
        default=DEFAULT.name,
        title="Encoder",
        description=_encoder_help(),
        json_schema_extra={"enum": [*choices()]},
    )
    copy_fallback: Annotated[str, AfterValidator(_known_fallback)] = Field(
        default="",
        title="Encoder for what cannot be copied",
        description=f"With encoder {COPY}: what encodes the videos that cannot be cut without"
        " encoding; empty makes them fail.",
        json_schema_extra={"enum": ["", *cpu_encoders()]},
    )
    preset: Annotated[str | None, BeforeValidator(as_text)] = Field(
        default=None, title="Preset", description=_preset_help()
    )
    quality: float | None = Field(
        default=None,
        ge=min(row.quality_range[0] for row in ENCODERS.values()),
        le=max(row.quality_range[1] for row in ENCODERS.values()),
        title="Quality",
        description=_quality_help(),
    )
    gop: Annotated[str, BeforeValidator(as_text), AfterValidator(_known_gop)] = Field(
        default="2s",
        title="Keyframes at least every (seconds, frames)",
        description="The longest way from one keyframe to the next: seconds (2s, 0.5s) or frames"
        " (48); 1 makes every frame a keyframe. Shorter ways make random access faster and files"
        " larger. At a variable rate, seconds go by the average.",
    )
    b_frames: bool = Field(
        default=True,
        title="B-frames",
        description="Let the encoder refer to frames that are shown later; off, frames are stored"
        " in the order in which they are shown.",
    )
    pixel_format: Literal["yuv420p", "yuv420p10le"] = Field(
        default="yuv420p",
        title="Pixel format",
        description="4:2:0 with 8 bits (yuv420p) or 10 bits (yuv420p10le). HDR that is not"
        " tone-mapped needs 10.",
    )
    use_input_bit_rate: bool = Field(
        default=False,
        title="Use the source's bit rate",
        description="Aim at the source's video bit rate instead of a constant quality.",
    )

    @model_validator(mode="after")
    def _what_the_encoder_takes(self) -> Self:
        if self.copy_fallback and not self.copies:
            raise ValueError(f"copy_fallback means nothing without encoder {COPY}: leave it out")
        if self.copies:
            return self
        if self.preset is not None and is_auto(self.encoder):
            raise ValueError(
                f"encoder {self.encoder} takes no preset, since its encoders' presets differ: each"
                " uses its own default; leave preset out, or name one encoder"
            )
        row = candidates(self.encoder)[0]
        if self.preset is not None and self.preset not in row.presets:
            named = ", ".join(row.presets) or "it has none"
            raise ValueError(f"{self.encoder} has no preset {self.preset!r} (choices: {named})")
        for each in candidates(self.encoder):
            if self.bits == 10 and not each.ten_bits:
                able = ", ".join(row.name for row in ENCODERS.values() if row.ten_bits)
                raise ValueError(f"{each.name} encodes 8 bits; those with 10 bits: {able}")
        if self.quality is not None:
            if self.use_input_bit_rate:
                raise ValueError("quality and use_input_bit_rate exclude each other: give one")
            for each in candidates(self.encoder):
                low, high = each.quality_range
                if not low <= self.quality <= high:
                    raise ValueError(f"{each.name} takes a quality from {low:g} to {high:g}")
        return self

    @property
    def bits(self) -> int:
        """Bits of a sample of the pictures."""
        return 10 if self.pixel_format == "yuv420p10le" else 8

    @property
    def copies(self) -> bool:
        """Whether clips are to be the source's own packets."""
        return self.encoder == COPY

    def preset_for(self, row: Encoder) -> str | None:
        """The preset that was given, if `row` is what it was given for; else its default."""
        return self.preset if row.name == self.encoder else None

    def rate(
        self,
        video: VideoFacts,
        width: int,
        height: int,
        frame_rate: float,
        row: Encoder | None = None,
    ) -> Rate:
        """What `row` is to spend on a source's picture of `width` x `height` pixels.

        frame_rate: frames per second to encode; row: what encodes, where that is not the only
        encoder that the recipe names.
        """
        row = row or candidates(self.encoder)[0]
        if self.use_input_bit_rate:
            return Rate(bit_rate=max(16_000, video.bit_rate))
        quality = row.default_quality if self.quality is None else self.quality
        if row.has_constant_quality:
            return Rate(quality=quality)
        return Rate(bit_rate=bit_rate_for(width, height, frame_rate, quality))

    def trial_rate(self, row: Encoder) -> Rate:
        """What to tell `row` in a test encode."""
        if self.use_input_bit_rate:
            return Rate(bit_rate=1_000_000)
        quality = row.default_quality if self.quality is None else self.quality
        if row.has_constant_quality:
            return Rate(quality=quality)
        return Rate(bit_rate=bit_rate_for(256, 256, 30, quality))

    def gop_for(self, frame_rate: Fraction) -> Gop:
        """How far keyframes may lie apart in clips of `frame_rate` frames per second, exactly."""
        frames = exact(self.gop.removesuffix("s"))
        if self.gop.endswith("s"):
            frames *= frame_rate
        longest = min(max(1, round(frames)), _LONGEST_GOP)
        return Gop(longest, b_frames=self.b_frames, rate=frame_rate)
