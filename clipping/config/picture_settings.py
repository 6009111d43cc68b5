"""The part of the recipe that says what becomes of the picture."""

from __future__ import annotations

from pydantic import BaseModel, Field

__all__ = ["PictureSettings"]


class PictureSettings(BaseModel):
    """What becomes of the picture."""

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
