"""The part of the recipe that says what becomes of the sound."""

from __future__ import annotations

from pydantic import BaseModel, Field

__all__ = ["SoundSettings"]


class SoundSettings(BaseModel):
    """What becomes of the sound."""

    audio: bool = Field(
        default=True,
        title="Audio",
        description="Keep the default audio track (or the first): copied if MP4 can hold its "
        "codec (FLAC is encoded anew, without loss), else encoded to AAC.",
    )
