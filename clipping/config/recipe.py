"""The recipe: what decides the bytes of a clip.

The names that NeMo Curator's FixedStrideExtractorStage and ClipTranscodingStage have are kept.
"""

from __future__ import annotations

import hashlib
import json

from pydantic import ConfigDict, Field

from clipping.config.encoder_settings import EncoderSettings
from clipping.config.picture_settings import PictureSettings
from clipping.config.sound_settings import SoundSettings
from clipping.config.span_settings import SpanSettings

__all__ = ["Recipe"]

# Raised when the same recipe would give other bytes than before; every clip is then remade.
_RECIPE_VERSION = 3


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

    def digest(self) -> str:
        """A short digest of everything that decides the bytes of a clip."""
        of_spans = SpanSettings.model_fields
        others = {k: getattr(self, k) for k in Recipe.model_fields if k not in of_spans}
        values = {**others, **self.span_source.digest_part()}
        text = json.dumps([_RECIPE_VERSION, values], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]
