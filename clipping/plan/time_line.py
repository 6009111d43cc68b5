"""When each frame of a clip is shown: source PTS to ticks of the clip. Pure.

A clip's time line is planned once; what cuts the clip and what verifies it both go by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from clipping.models import Clip, FrameGrid, VideoFacts

__all__ = ["TimeLine", "ticks_per_pts", "timescale"]

# Where the last frame ends is its PTS and a duration, each rounded.
_END_OFF_BY = 3


def timescale(unit: Fraction) -> int:
    """Ticks per second, 10,000 at least, of which `unit` (in seconds) is a whole number.

    With the source's time base: what holds every PTS exactly.
    """
    scale = unit.denominator
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
    time_base, grid: of the source, or of the clock that its frames have instead; zero: seconds of
    the source's own clock at PTS 0.
    """

    pts: tuple[int, ...]
    end_pts: int
    time_base: Fraction
    grid: FrameGrid | None = None
    zero: Fraction = Fraction(0)

    @classmethod
    def of(cls, clip: Clip, held: Sequence[int], video: VideoFacts) -> TimeLine:
        """The time line of `clip` if it holds the source frames `held` (one at least)."""
        pts = tuple(sorted(held))
        end = max(clip.end_pts, pts[-1] + 1)
        if clock := clip.clock:
            grid = FrameGrid(
                rate=clock.rate, origin=Fraction(0), off_by=Fraction(0), is_constant=True
            )
            return cls(pts, end, clock.time_base, grid, clock.zero)
        return cls(pts, end, video.time_base, video.grid)

    @property
    def on_grid(self) -> bool:
        """Whether frames are shown at their grid's steps, of which their PTS are roundings."""
        return self.grid is not None and self.grid.off_by > 0

    @property
    def scale(self) -> int:
        """Ticks per second."""
        return timescale(1 / self.grid.rate if self.grid and self.on_grid else self.time_base)

    @property
    def ticks(self) -> dict[int, int]:
        """Source PTS to the tick at which the clip shows that frame, the first at 0."""
        if self.grid is None or not self.on_grid:
            per_pts = ticks_per_pts(self.time_base)
            return {p: (p - self.pts[0]) * per_pts for p in self.pts}
        numbers = self.grid.numbers(self.pts, self.time_base)
        per_step = int(self.scale / self.grid.rate)
        return {p: (n - numbers[0]) * per_step for p, n in zip(self.pts, numbers, strict=True)}

    @property
    def end(self) -> int:
        """The tick at which the last frame's display ends."""
        start, end = self.seconds
        return round((end - start) * self.scale)

    @property
    def seconds(self) -> tuple[Fraction, Fraction]:
        """Where it begins and ends in the source, in seconds of the source's own time.

        At a constant rate no frame is shown for less than a step: muxers often write a single tick
        for a source's last frame, since no other tells how long it lasts.
        """
        start, last, end = (self._shown_at(p) for p in (self.pts[0], self.pts[-1], self.end_pts))
        exactly = self.end_pts * self.time_base
        if self.grid and abs(end - exactly) > _END_OFF_BY * self.grid.off_by * self.time_base:
            end = exactly
        least = Fraction(1, self.scale)
        if self.grid and self.grid.is_constant:
            least = 1 / self.grid.rate
        return self.zero + start, self.zero + max(end, last + least)

    @property
    def duration(self) -> Fraction:
        """Seconds that the clip lasts."""
        return Fraction(self.end, self.scale)

    @property
    def frame_rate(self) -> Fraction | None:
        """Frames per second, exactly, if all are shown for equally long."""
        edges = [*self.ticks.values(), self.end]
        steps = {b - a for a, b in pairwise(edges)}
        return Fraction(self.scale, steps.pop()) if len(steps) == 1 else None

    def _shown_at(self, pts: int) -> Fraction:
        if self.grid and self.on_grid:
            return self.grid.nearest(pts, self.time_base)
        return pts * self.time_base
