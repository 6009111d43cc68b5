"""When each frame of a clip is shown: source PTS to ticks of the clip. Pure."""

from __future__ import annotations

from fractions import Fraction

__all__ = ["ticks_per_pts", "timescale"]


def timescale(time_base: Fraction) -> int:
    """The mezzanine's and clips' ticks per second: holds every PTS of the source exactly."""
    scale = time_base.denominator
    while scale < 10_000:
        scale *= 2
    return scale


def ticks_per_pts(time_base: Fraction) -> int:
    """How many ticks of `timescale` one tick of the source's time base lasts."""
    return int(timescale(time_base) * time_base)
