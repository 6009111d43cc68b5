"""Which size a clip's picture gets, and what is cut off or added for it. Pure.

Sizes are computed in square pixels where the rule asks for them. A side is a multiple of the rule's
`multiple`: what is over (less than a multiple) is cut off on both sides, so that proportions stay.
Nothing is enlarged unless the rule says so, but for sides of less than a multiple.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor
from typing import Literal

__all__ = ["AS_IT_IS", "Fit", "PictureSize", "SizeRule", "sized"]

Fit = Literal["fit", "fill", "pad"]


@dataclass(frozen=True, slots=True)
class SizeRule:
    """What is asked of a picture's size.

    short_side: in pixels; box: width and height; at most one of the two.
    fit: how a picture comes into the box: all of it within (`fit`), cut to its proportions
    (`fill`), or within it with black bars (`pad`).
    """

    short_side: int | None = None
    box: tuple[int, int] | None = None
    fit: Fit = "fit"
    multiple: int = 2
    enlarges: bool = False
    square: bool = False

    @property
    def is_none(self) -> bool:
        """Whether pictures stay as they are, but for an odd row or column."""
        return self == AS_IT_IS


AS_IT_IS = SizeRule()


@dataclass(frozen=True, slots=True)
class PictureSize:
    """Scale to `scaled`, cut `size` out of its middle; or put it into the middle of `size`."""

    scaled: tuple[int, int]
    size: tuple[int, int]

    @property
    def crop(self) -> tuple[int, int]:
        """Columns and lines that are cut off at the left and at the top: even numbers."""
        return self._half(self.scaled, self.size)

    @property
    def pad(self) -> tuple[int, int]:
        """Columns and lines of black at the left and at the top: even numbers."""
        return self._half(self.size, self.scaled)

    @staticmethod
    def _half(large: tuple[int, int], small: tuple[int, int]) -> tuple[int, int]:
        return max(0, (large[0] - small[0]) // 4 * 2), max(0, (large[1] - small[1]) // 4 * 2)


def sized(width: int, height: int, aspect: Fraction, rule: SizeRule) -> PictureSize:
    """The size of a picture of `width` x `height` pixels, each `aspect` times as wide as high."""
    wide, high = Fraction(width), Fraction(height)
    if rule.square:
        # The side that is too long shrinks: nothing is enlarged.
        wide, high = (wide, high / aspect) if aspect > 1 else (wide * aspect, high)
    factor = _factor(wide, high, rule)
    if rule.box and rule.fit == "pad":
        scaled = tuple(
            min(most, _even(side * factor))
            for side, most in zip((wide, high), rule.box, strict=True)
        )
        return PictureSize((scaled[0], scaled[1]), rule.box)
    target: tuple[Fraction | int, Fraction | int] = _even(wide * factor), _even(high * factor)
    if rule.box and rule.fit == "fill":
        smaller = min(Fraction(1), wide * factor / rule.box[0], high * factor / rule.box[1])
        target = rule.box[0] * smaller, rule.box[1] * smaller
    size = _multiple(target[0], rule.multiple), _multiple(target[1], rule.multiple)
    cover = (
        max(factor, size[0] / wide, size[1] / high) if min(wide, high) < rule.multiple else factor
    )
    scaled = max(size[0], _even(wide * cover)), max(size[1], _even(high * cover))
    return PictureSize(scaled, size)


def _factor(wide: Fraction, high: Fraction, rule: SizeRule) -> Fraction:
    factor = Fraction(1)
    if rule.short_side:
        factor = rule.short_side / min(wide, high)
    elif rule.box:
        factors = rule.box[0] / wide, rule.box[1] / high
        factor = max(factors) if rule.fit == "fill" else min(factors)
    return factor if rule.enlarges else min(factor, Fraction(1))


def _multiple(length: Fraction | int, of: int) -> int:
    return max(1, floor(length / of)) * of


def _even(length: Fraction) -> int:
    """The nearest even number, 2 at least."""
    return max(2, 2 * (ceil(length / 2 - Fraction(1, 2))))
