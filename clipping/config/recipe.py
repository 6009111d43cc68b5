"""The recipe: what decides the bytes of a clip.

The names that NeMo Curator's FixedStrideExtractorStage and ClipTranscodingStage have are kept.
"""

from __future__ import annotations

import hashlib
import json
from fractions import Fraction

from pydantic import ConfigDict, Field

from clipping.config.encoder_settings import EncoderSettings
from clipping.config.picture_settings import PictureSettings
from clipping.config.sound_settings import SoundSettings
from clipping.config.span_settings import SpanSettings
from clipping.models import VideoFacts

__all__ = ["Recipe"]

# Raised when the same recipe would give other bytes than before; every clip is then remade.
_RECIPE_VERSION = 3


# Settings that came later: at their default they decide nothing, and clips made before stay.
_LATER = frozenset({"fps"})


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
