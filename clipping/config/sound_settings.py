"""The part of the recipe that says what becomes of the sound."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, model_validator

from clipping.models import SoundWish

__all__ = ["SoundSettings", "sound_choice"]

# What AAC-LC knows (ISO/IEC 14496-3, table 1.18), but for rates that nobody hears.
_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 88_200, 96_000)
OPUS_RATE = 48_000  # Hz, of which Opus in MP4 always is
# The setting was yes or no once; so it stands in environments and saved deployments.
_YES, _NO = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


def sound_choice(value: Any) -> Any:
    """What was meant by yes or no; anything else as it is."""
    text = str(value).strip().lower()
    return "auto" if text in _YES else "none" if text in _NO else value


def _as_text(value: Any) -> Any:
    return "" if value is None else str(value) if isinstance(value, int) else value


def _known_rate(rate: int) -> int:
    if rate and rate not in _RATES:
        raise ValueError(f"AAC has no such rate; choose one of {', '.join(map(str, _RATES))}")
    return rate


class SoundSettings(BaseModel):
    """What becomes of the sound."""

    audio: Annotated[Literal["auto", "aac", "opus", "none"], BeforeValidator(sound_choice)] = Field(
        default="auto",
        title="Audio",
        description="auto copies what MP4 can hold (FLAC is encoded anew, without loss) and encodes"
        " the rest to AAC; aac and opus encode whatever is not that; none leaves it out.",
    )
    audio_sample_rate: Annotated[int, AfterValidator(_known_rate)] = Field(
        default=0,
        ge=0,
        title="Audio: sample rate (Hz)",
        description="Sample rate of the sound in Hz (16000 for speech); 0 keeps the source's. Sound"
        " of another rate is encoded.",
    )
    audio_channels: int = Field(
        default=0,
        ge=0,
        le=2,
        title="Audio: channels",
        description="1 for mono, 2 for stereo, mixed down by FFmpeg's rules; 0 keeps the source's."
        " Sound of another number of channels is encoded.",
    )
    audio_track: Annotated[str, BeforeValidator(_as_text)] = Field(
        default="",
        pattern=r"^([A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*|[1-9][0-9]?)?$",
        title="Audio: track",
        description="Which audio track: a language (eng, en), or a number from 1;"
        " empty takes the default one, or the first. A video without such a track gets that one"
        " too, and its clips' records say so.",
    )

    @model_validator(mode="after")
    def _of_some_sound(self) -> Self:
        if self.audio == "none" and (self.audio_sample_rate or self.audio_channels):
            raise ValueError("audio none has neither a sample rate nor channels: leave them out")
        if self.audio == "opus" and self.audio_sample_rate not in (0, OPUS_RATE):
            raise ValueError(
                f"audio opus has {OPUS_RATE} Hz, whatever it is made of: leave out"
                " audio_sample_rate"
            )
        return self

    @property
    def sound_wish(self) -> SoundWish:
        """What is wanted of a source's sound."""
        return SoundWish(
            codec=self.audio if self.audio in ("aac", "opus") else "",
            sample_rate=self.audio_sample_rate,
            channels=self.audio_channels,
            track=self.audio_track,
        )
