"""The recipe: what decides the bytes of a clip.

The names that NeMo Curator's FixedStrideExtractorStage and ClipTranscodingStage have are kept.
"""

from __future__ import annotations

import hashlib
import json
from fractions import Fraction
from typing import Self

from pydantic import ConfigDict, Field, model_validator

from clipping.config.encoder_settings import EncoderSettings
from clipping.config.picture_settings import PictureSettings
from clipping.config.sound_settings import SoundSettings
from clipping.config.span_settings import SpanSettings
from clipping.models import VideoFacts

__all__ = ["Recipe"]

# Raised when the same recipe would give other bytes than before; every clip is then remade.
_RECIPE_VERSION = 3


# Settings that came later: at their default they decide nothing, and clips made before stay.
_LATER = frozenset({"fps", "copy_fallback", "pixel_format"})
# What may be given besides; tone mapping and deinterlacing are for what is encoded.
_OF_COPIES = frozenset({"encoder", "copy_fallback", "tone_map", "deinterlace"})


# Pydantic takes the last parent's fields first: spans lead in flags, form and tables.
class Recipe(PictureSettings, SoundSettings, EncoderSettings, SpanSettings):
    """What decides the content of the clips. Changing it makes them anew."""

    model_config = ConfigDict(extra="forbid", title="Recipe", allow_inf_nan=False)

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
    def _nothing_for_an_encoder(self) -> Self:
        """What a copy cannot do is not asked of it."""
        if not self.copies:
            return self
        of_encoders = (*PictureSettings.model_fields, *EncoderSettings.model_fields)
        for name in of_encoders:
            default = Recipe.model_fields[name].default
            if name not in _OF_COPIES and getattr(self, name) != default:
                raise ValueError(
                    f"encoder {self.encoder} takes packets as they are, and {name} would change"
                    " them: leave it out, or name an encoder"
                )
        if self.spans == "scenes":
            raise ValueError(
                f"encoder {self.encoder} cuts at keyframes, and spans scenes at cuts, which are"
                " others: name an encoder"
            )
        return self

    def frame_rate(self, video: VideoFacts) -> Fraction:
        """Frames per second of a source's clips, exactly: on average, where that varies."""
        return self.constant_rate or video.exact_rate

    def digest(self) -> str:
        """A short digest of everything that decides the bytes of a clip."""
        of_spans = SpanSettings.model_fields
        others = {
            name: getattr(self, name)
            for name, field in Recipe.model_fields.items()
            if name not in of_spans and (name not in _LATER or getattr(self, name) != field.default)
        }
        values = {**others, **self.span_source.digest_part()}
        text = json.dumps([_RECIPE_VERSION, values], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]
