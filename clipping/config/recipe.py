"""All parameters: the recipe decides the bytes of a clip, the execution decides where and how.

Each is settable by a `.env` file, the environment (`CLIPPING_CLIP_LEN_S`), a flag
(`--clip-len-s`) and as a flow parameter; the later of these wins. The names that NeMo
Curator's FixedStrideExtractorStage and ClipTranscodingStage have are kept.
"""

from __future__ import annotations

import hashlib
import json
from fractions import Fraction
from typing import Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    model_validator,
)

from clipping.ffmpeg.encoders import AUTO, Encoder, Rate, bit_rate_for, candidates
from clipping.models import VideoFacts
from clipping.plan.spans import exact

__all__ = ["EncoderName", "Recipe"]

# Raised when the same recipe would give other bytes than before; every clip is then remade.
_RECIPE_VERSION = 2


EncoderName = Literal["libx264", "libopenh264", "h264_nvenc", "auto"]


class Recipe(BaseModel):
    """What decides the content of the clips. Changing it remakes them."""

    model_config = ConfigDict(extra="forbid", title="Recipe")

    clip_len_s: float = Field(
        10.0,
        gt=0,
        le=86_400,
        title="Clip length",
        description="Length of a clip in seconds.",
    )
    clip_stride_s: float = Field(
        10.0,
        gt=0,
        le=86_400,
        title="Clip stride",
        description="Seconds from one clip's start to the next one's; less than the length "
        "makes clips overlap, more leaves gaps.",
    )
    min_clip_length_s: float = Field(
        2.0,
        ge=0,
        title="Shortest clip",
        description="A last clip that the video's end cuts below this many seconds is dropped; "
        "unless set, never more than the clip length.",
    )
    limit_clips: int = Field(
        0,
        ge=0,
        title="Clips per video",
        description="At most so many clips a video; 0 = all.",
    )
    encoder: EncoderName = Field(
        "libx264",
        title="Encoder",
        description="Video encoder; h264_nvenc needs a GPU that has NVENC. auto uses h264_nvenc "
        "on the nodes that have it and libx264 on the others, at the same time.",
    )
    preset: str | None = Field(
        None,
        title="Preset",
        description="The encoder's preset (libx264: ultrafast … placebo, default veryfast; "
        "h264_nvenc: p1 … p7, default p4; libopenh264 has none, auto takes the defaults).",
    )
    quality: float | None = Field(
        None,
        ge=0,
        le=51,
        title="Quality",
        description="Constant quality, lower is better (libx264: CRF, default 21; h264_nvenc: CQ, "
        "default 23). libopenh264 has none: it gets a bit rate chosen from size and frame rate.",
    )
    use_input_bit_rate: bool = Field(
        False,
        title="Use the source's bit rate",
        description="Aim at the source's video bit rate instead of a constant quality.",
    )
    audio: bool = Field(
        True,
        title="Audio",
        description="Keep the first audio track: copied where MP4 may hold its codec, else AAC.",
    )
    tone_map: bool = Field(
        True,
        title="Tone-map HDR",
        description="Turn PQ and HLG video into BT.709 (SDR).",
    )
    deinterlace: bool = Field(
        True,
        title="Deinterlace",
        description="Deinterlace frames that are marked interlaced.",
    )
    max_damage: float = Field(
        0.2,
        ge=0,
        le=1,
        title="Largest damage",
        description="The largest share of a clip's frames that may be lost or damaged in the "
        "source. Such a clip is written and its record says so; beyond this it fails.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        # A form sends its defaults as well. Not an assignment: what was not set stays so, and
        # the environment may replace it.
        if self.min_clip_length_s == Recipe.model_fields["min_clip_length_s"].default:
            least = min(self.min_clip_length_s, self.clip_len_s)
            object.__setattr__(self, "min_clip_length_s", least)
        if self.min_clip_length_s > self.clip_len_s:
            raise ValueError(
                f"min_clip_length_s ({self.min_clip_length_s:g}) is more than clip_len_s "
                f"({self.clip_len_s:g}), so that no clip could ever be made"
            )
        if self.preset is not None and self.encoder == AUTO:
            raise ValueError(
                "encoder auto takes no preset, since its encoders' presets differ: each uses its"
                " own default; leave preset out, or name one encoder"
            )
        row = candidates(self.encoder)[0]
        if self.preset is not None and self.preset not in row.presets:
            choices = ", ".join(row.presets) or "it has none"
            raise ValueError(f"{self.encoder} has no preset {self.preset!r} (choices: {choices})")
        if self.quality is not None and self.use_input_bit_rate:
            raise ValueError("quality and use_input_bit_rate exclude each other: give one")
        return self

    @property
    def exact_stride(self) -> tuple[Fraction, Fraction, Fraction]:
        """Length, stride and minimum in exact seconds, as they were typed."""
        return (
            exact(self.clip_len_s),
            exact(self.clip_stride_s),
            exact(self.min_clip_length_s),
        )

    def preset_for(self, row: Encoder) -> str | None:
        """The preset that was given, if `row` is what it was given for; else its default."""
        return self.preset if row.name == self.encoder else None

    def rate(self, video: VideoFacts, width: int, height: int, row: Encoder | None = None) -> Rate:
        """What `row` is to spend on a source's picture of `width` x `height` pixels.

        row: what encodes, where that is not the only encoder that the recipe names.
        """
        row = row or candidates(self.encoder)[0]
        if self.use_input_bit_rate:
            return Rate(bit_rate=max(16_000, video.bit_rate))
        quality = row.default_quality if self.quality is None else self.quality
        if row.constant_quality:
            return Rate(quality=quality)
        frames_per_second = float(video.frame_count / video.duration)
        return Rate(bit_rate=bit_rate_for(width, height, frames_per_second, quality))

    def digest(self) -> str:
        """A short digest of everything that decides the bytes of a clip."""
        values = {k: getattr(self, k) for k in Recipe.model_fields}
        text = json.dumps([_RECIPE_VERSION, values], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]
