"""Lengths of time, and numbers, as people write them."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Annotated, Any

from pydantic import BeforeValidator

__all__ = ["Seconds", "as_seconds", "as_text"]

_UNITS = {"ms": Fraction(1, 1000), "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}
_NUMBER = r"\d{1,12}(?:\.\d{1,12})?|\.\d{1,12}"
_WITH_UNIT = re.compile(rf"({_NUMBER})\s*(ms|s|m|min|h|d)", re.IGNORECASE)
_CLOCK = re.compile(r"(?:(\d{1,6}):)?(\d{1,2}):(\d{1,2}(?:\.\d{1,12})?)")
_FRAMES = re.compile(r"\d+\s*(?:f|frames?)", re.IGNORECASE)


def as_seconds(value: Any) -> Any:
    """The seconds in `10s`, `1.5m`, `500ms`, `1h` or `00:00:10.5`; anything else as it is.

    A number without a unit is in seconds, and left to pydantic. Raises ValueError for frames: how
    long those last depends on the video.
    """
    if not isinstance(value, str):
        return value
    text = value.strip()
    if found := _WITH_UNIT.fullmatch(text):
        return float(Fraction(found[1]) * _UNITS[found[2].lower()])
    if found := _CLOCK.fullmatch(text):
        hours, minutes, seconds = int(found[1] or 0), int(found[2]), Fraction(found[3])
        if minutes < 60 and seconds < 60:
            return float(hours * 3600 + minutes * 60 + seconds)
    if _FRAMES.fullmatch(text):
        raise ValueError("give seconds (10, 10s, 00:00:10); of frames, `frames` is the setting")
    return text


Seconds = Annotated[float, BeforeValidator(as_seconds)]


def as_text(value: Any) -> Any:
    """A number as text, as a configuration file or a form may give it; anything else as it is."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return f"{value:g}" if is_number else value
