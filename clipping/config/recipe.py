"""The recipe: what decides the bytes of a clip.

The names that NeMo Curator's FixedStrideExtractorStage and ClipTranscodingStage have are kept.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from clipping.ffmpeg.encoders import (
    AUTO,
    DEFAULT,
    ENCODERS,
    Encoder,
    Rate,
    bit_rate_for,
    candidates,
    choices,
    gpu_encoder,
)
from clipping.models import VideoFacts
from clipping.plan.spans import SpanSource, StrideSpans, exact

__all__ = ["Recipe"]

# Raised when the same recipe would give other bytes than before; every clip is then remade.
_RECIPE_VERSION = 3

# Seconds: one frame of a fast camera. Nothing shorter can be meant.
_SHORTEST = 0.001
# How many clips a frame may be in; with far more, a minute of video has millions of clips.
_MOST_OVERLAP = 1000


def _known_encoder(name: str) -> str:
    if name not in choices():
        raise ValueError(f"choose one of {', '.join(choices())}")
    return name


def _encoder_help() -> str:
    gpu = gpu_encoder(AUTO)
    assert gpu is not None
    return (
        f"Video encoder. {gpu.name} needs a GPU that has it. {AUTO} uses {gpu.name} on the nodes"
        f" that have it and {DEFAULT.name} on the others, at the same time."
    )


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


class Recipe(BaseModel):
    """What decides the content of the clips. Changing it makes them anew."""

    model_config = ConfigDict(extra="forbid", title="Recipe", allow_inf_nan=False)

    clip_len_s: float = Field(
        default=10.0,
        ge=_SHORTEST,
        le=86_400,
        title="Clip length (s)",
        description="Length of a clip in seconds.",
    )
    clip_stride_s: float = Field(
        default=10.0,
        ge=_SHORTEST,
        le=86_400,
        title="Clip stride (s)",
        description="Seconds from the start of one clip to the start of the next. Less than the "
        "clip length makes clips overlap, more leaves gaps.",
    )
    min_clip_length_s: float = Field(
        default=2.0,
        ge=0,
        le=86_400,
        title="Shortest clip (s)",
        description="Drop a last clip that the end of the video cuts to less than this many "
        "seconds. Unless set, never more than the clip length.",
    )
    limit_clips: int = Field(
        default=0,
        ge=0,
        title="Clips per video, at most",
        description="Make at most this many clips of each video; 0 means all.",
    )
    encoder: Annotated[str, AfterValidator(_known_encoder)] = Field(
        default=DEFAULT.name,
        title="Encoder",
        description=_encoder_help(),
        json_schema_extra={"enum": [*choices()]},
    )
    preset: str | None = Field(default=None, title="Preset", description=_preset_help())
    quality: float | None = Field(
        default=None,
        ge=min(row.quality_range[0] for row in ENCODERS.values()),
        le=max(row.quality_range[1] for row in ENCODERS.values()),
        title="Quality",
        description=_quality_help(),
    )
    use_input_bit_rate: bool = Field(
        default=False,
        title="Use the source's bit rate",
        description="Aim at the source's video bit rate instead of a constant quality.",
    )
    audio: bool = Field(
        default=True,
        title="Audio",
        description="Keep the default audio track (or the first): copied if MP4 can hold its "
        "codec (FLAC is encoded anew, without loss), else encoded to AAC.",
    )
    tone_map: bool = Field(
        default=True,
        title="Tone-map HDR",
        description="Convert PQ and HLG video to BT.709 (SDR).",
    )
    deinterlace: bool = Field(
        default=True,
        title="Deinterlace",
        description="Deinterlace frames that are marked interlaced.",
    )
    max_damage: float = Field(
        default=0.2,
        ge=0,
        le=1,
        title="Largest damage (share)",
        description="The largest share of a clip's frames that may be lost or damaged in the "
        "source. Such a clip is written and its record names the damage; with more damage the "
        "clip fails.",
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
        if exact(self.clip_len_s) > _MOST_OVERLAP * exact(self.clip_stride_s):
            raise ValueError(
                f"clip_stride_s ({self.clip_stride_s:g}) is too short for a clip_len_s of"
                f" {self.clip_len_s:g}: a frame would be in more than {_MOST_OVERLAP} clips; give"
                f" {self.clip_len_s / _MOST_OVERLAP:g} or more"
            )
        if self.preset is not None and self.encoder == AUTO:
            raise ValueError(
                f"encoder {AUTO} takes no preset, since its encoders' presets differ: each uses its"
                " own default; leave preset out, or name one encoder"
            )
        row = candidates(self.encoder)[0]
        if self.preset is not None and self.preset not in row.presets:
            named = ", ".join(row.presets) or "it has none"
            raise ValueError(f"{self.encoder} has no preset {self.preset!r} (choices: {named})")
        if self.quality is not None:
            if self.use_input_bit_rate:
                raise ValueError("quality and use_input_bit_rate exclude each other: give one")
            for each in candidates(self.encoder):
                low, high = each.quality_range
                if not low <= self.quality <= high:
                    raise ValueError(f"{each.name} takes a quality from {low:g} to {high:g}")
        return self

    @property
    def span_source(self) -> SpanSource:
        """What decides where clips begin and end; times are exact, as they were typed."""
        return StrideSpans(
            length=exact(self.clip_len_s),
            stride=exact(self.clip_stride_s),
            least=exact(self.min_clip_length_s),
            limit=self.limit_clips,
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
        if row.has_constant_quality:
            return Rate(quality=quality)
        return Rate(bit_rate=bit_rate_for(width, height, video.frame_rate, quality))

    def digest(self) -> str:
        """A short digest of everything that decides the bytes of a clip."""
        of_spans = {"clip_len_s", "clip_stride_s", "min_clip_length_s", "limit_clips"}
        others = {k: getattr(self, k) for k in Recipe.model_fields if k not in of_spans}
        values = {**others, **self.span_source.digest_part()}
        text = json.dumps([_RECIPE_VERSION, values], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]
