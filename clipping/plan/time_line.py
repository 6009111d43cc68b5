"""When each frame of a clip is shown: source PTS to ticks of the clip. Pure.

A clip's time line is planned once; what cuts the clip and what verifies it both go by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from clipping.models import Clip

__all__ = ["TimeLine", "ticks_per_pts", "timescale"]


def timescale(time_base: Fraction) -> int:
    """Ticks per second of encoded segments and clips: holds every PTS of the source exactly."""
    scale = time_base.denominator
    while scale < 10_000:
        scale *= 2
    return scale


def ticks_per_pts(time_base: Fraction) -> int:
    """How many ticks of `timescale` one tick of the source's time base lasts."""
    return int(timescale(time_base) * time_base)


@dataclass(frozen=True, slots=True)
class TimeLine:
    """The frames of a clip and when it shows them.

    pts: source PTS of the frames, ascending; end_pts: where the last one's display ends.
    time_base: of the source; scale: the clip's ticks per second.
    """

    pts: tuple[int, ...]
    end_pts: int
    time_base: Fraction

    @classmethod
    def of(cls, clip: Clip, held: Sequence[int], time_base: Fraction) -> TimeLine:
        """The time line of `clip` if it holds the source frames `held` (one at least)."""
        pts = tuple(sorted(held))
        return cls(pts, max(clip.end_pts, pts[-1] + 1), time_base)

    @property
    def scale(self) -> int:
        """Ticks per second."""
        return timescale(self.time_base)

    @property
    def ticks(self) -> dict[int, int]:
        """Source PTS to the tick at which the clip shows that frame, the first at 0."""
        per_pts = ticks_per_pts(self.time_base)
        return {p: (p - self.pts[0]) * per_pts for p in self.pts}

    @property
    def end(self) -> int:
        """The tick at which the last frame's display ends."""
        return (self.end_pts - self.pts[0]) * ticks_per_pts(self.time_base)

    @property
    def seconds(self) -> tuple[Fraction, Fraction]:
        """Where it begins and ends in the source, in seconds of the source's own time."""
        return self.pts[0] * self.time_base, self.end_pts * self.time_base
