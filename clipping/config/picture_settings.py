"""The part of the recipe that says what becomes of the picture."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, model_validator

from clipping.config.units import as_text
from clipping.plan.picture_size import Fit, SizeRule

__all__ = ["PictureSettings"]

_LARGEST = 16_384  # pixels
_SHORT_SIDE = re.compile(r"(\d{1,5})p")
_BOX = re.compile(r"(\d{1,5})[x×](\d{1,5})")


def _known_size(text: str) -> str:
    given = text.strip().lower()
    sides = [int(s) for found in (_short(given), _box(given)) if found for s in found]
    if given and (not sides or min(sides) < 16 or max(sides) > _LARGEST):
        raise ValueError(
            f"give a short side (720p) or a width and height (1280x720), 16 to {_LARGEST} pixels"
        )
    if any(side % 2 for side in sides):
        raise ValueError("sides have to be even")
    return given.replace("×", "x")


def _short(text: str) -> tuple[int] | None:
    found = _SHORT_SIDE.fullmatch(text)
    return (int(found[1]),) if found else None


def _box(text: str) -> tuple[int, int] | None:
    found = _BOX.fullmatch(text)
    return (int(found[1]), int(found[2])) if found else None


_RATE = re.compile(r"(\d{1,6})(?:/(\d{1,5})|\.(\d{1,3}))?")
_RATES = Fraction(1, 60), Fraction(240)
# What decimals mean: those of television are 1000/1001 of a whole number.
_TELEVISION = {
    text: Fraction(whole * 1000, 1001)
    for text, whole in (
        *(("23.976", 24), ("23.98", 24), ("29.97", 30), ("47.952", 48), ("47.95", 48)),
        *(("59.94", 60), ("119.88", 120)),
    )
}


def _known_rate(text: str) -> str:
    given = text.strip().lower().removesuffix("fps").strip()
    if not given:
        return ""
    found = _RATE.fullmatch(given)
    rate = _TELEVISION.get(given)
    if found and rate is None and found[2] != "0":
        rate = Fraction(given)
    if rate is None or not _RATES[0] <= rate <= _RATES[1]:
        raise ValueError("give frames per second, up to 240: 24, 12.5 or 30000/1001")
    return str(rate)


class PictureSettings(BaseModel):
    """What becomes of the picture, and when it is shown."""

    fps: Annotated[str, BeforeValidator(as_text), AfterValidator(_known_rate)] = Field(
        default="",
        title="Frames per second (24, 30000/1001)",
        description="A constant frame rate: each frame shows what the source presents at its time."
        " Empty keeps the source's frames and their times. 29.97 means 30000/1001.",
    )
    size: Annotated[str, AfterValidator(_known_size)] = Field(
        default="",
        title="Size (720p, 1280x720)",
        description="The size of the picture: a short side (720p) or a width and height (1280x720),"
        " with square pixels; empty keeps the source's.",
    )
    size_fit: Fit = Field(
        default="fit",
        title="How it comes to that size",
        description="How a picture comes to a width and height: fit makes it as large as fits,"
        " fill cuts off what is over, pad adds black bars.",
    )
    size_multiple: int = Field(
        default=2,
        ge=2,
        le=256,
        multiple_of=2,
        title="Sides are a multiple of (pixels)",
        description="Sides are made a multiple of so many pixels (16, 32) by cutting off less than"
        " that.",
    )
    enlarge: bool = Field(
        default=False,
        title="Enlarge small pictures",
        description="Enlarge pictures that are smaller than the size.",
    )
    square_pixels: bool = Field(
        default=False,
        title="Square pixels",
        description="Make pixels square where they are not, also where no size is given.",
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

    @model_validator(mode="after")
    def _a_possible_size(self) -> Self:
        box = _box(self.size)
        if box is None and self.size_fit != "fit":
            raise ValueError(
                f"size_fit {self.size_fit} needs a size of width and height, like 1280x720"
            )
        for side in (*(box or ()), *(_short(self.size) or ())):
            if side % self.size_multiple:
                raise ValueError(f"size {self.size}: {side} is no multiple of {self.size_multiple}")
        return self

    @property
    def constant_rate(self) -> Fraction | None:
        """Frames per second that are asked for; None for the source's own frames."""
        return Fraction(self.fps) if self.fps else None

    @property
    def size_rule(self) -> SizeRule:
        """What is asked of a picture's size."""
        short = _short(self.size)
        return SizeRule(
            short_side=short[0] if short else None,
            box=_box(self.size),
            fit=self.size_fit,
            multiple=self.size_multiple,
            enlarges=self.enlarge,
            square=self.square_pixels or bool(self.size),
        )
