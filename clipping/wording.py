"""Words for people: numbers with their nouns, and what somebody may have meant. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["count", "did_you_mean", "size"]


def count(number: int, noun: str) -> str:
    """A number with its noun: 1 clip, 2 clips, 2 stretches."""
    ending = "es" if noun.endswith("ch") else "s"
    return f"{number} {noun}{'' if number == 1 else ending}"


def size(value: float) -> str:
    """A number of bytes to three digits: 512 B, 1.23 MB, 45.6 GB."""
    for unit, scale in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= 0.9995 * scale:  # what would be rounded to a thousand of the next unit
            return f"{value / scale:.3g} {unit}"
    return f"{value:.0f} B"


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """A question that names the nearest of `known`, to stand at the end; or nothing."""
    by_letters = {each.lstrip("-"): each for each in known}  # hyphens would make all flags alike
    near = get_close_matches(given.lstrip("-"), by_letters, n=1, cutoff=0.6)
    return f"; did you mean {by_letters[near[0]]}?" if near else ""
