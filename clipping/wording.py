"""Words for people: numbers with their nouns. Pure."""

from __future__ import annotations

__all__ = ["count"]


def count(number: int, noun: str) -> str:
    """A number with its noun: 1 clip, 2 clips, 2 stretches."""
    ending = "es" if noun.endswith("ch") else "s"
    return f"{number} {noun}{'' if number == 1 else ending}"
