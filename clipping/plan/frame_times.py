"""The presentation times of a source's frames: the one truth that clips are cut by.

All times are integer PTS in the source's time base. `FrameTimes` is the whole source;
`pack`/`unpack` carry a stretch of it inside a chunk (a constant frame rate packs to a few
bytes, since the differences repeat).
"""

from __future__ import annotations

import base64
import zlib
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

__all__ = ["FrameTimes", "pack", "unpack"]


def pack(pts: Sequence[int]) -> str:
    """Text that holds ascending `pts` compactly (zlib over the differences, base 85)."""
    differences = array("q", (b - a for a, b in zip((0, *pts), pts, strict=False)))
    return base64.b85encode(zlib.compress(differences.tobytes(), 6)).decode("ascii")


def unpack(packed: str) -> array[int]:
    """The PTS that `pack` packed."""
    differences = array("q")
    differences.frombytes(zlib.decompress(base64.b85decode(packed)))
    total = 0
    for i, difference in enumerate(differences):
        total += difference
        differences[i] = total
    return differences


@dataclass(frozen=True, slots=True)
class FrameTimes:
    """Every presented frame of a source.

    pts: ascending, distinct, in `time_base` units.
    keyframes: ascending PTS from which a decoder can start.
    end: where the last frame's display ends.
    """

    pts: Sequence[int]
    keyframes: Sequence[int]
    end: int
    time_base: Fraction

    @property
    def first(self) -> int:
        """PTS of the first presented frame: the zero of all spans."""
        return self.pts[0]

    @property
    def duration(self) -> Fraction:
        """Seconds from the first frame's start to the last frame's end."""
        return (self.end - self.first) * self.time_base

    @property
    def nominal(self) -> int:
        """The usual distance of two frames (their median), in time base units."""
        if len(self.pts) < 2:
            return max(1, self.end - self.first)
        steps = sorted(b - a for a, b in zip(self.pts, self.pts[1:], strict=False))
        return steps[len(steps) // 2]

    def index_at(self, seconds: Fraction) -> int:
        """Number of the first frame presented at or after `seconds` (the count if none is)."""
        return bisect_left(self.pts, ceil(self.first + seconds / self.time_base))

    def keyframe_before(self, pts: int) -> int | None:
        """PTS of the last keyframe at or before `pts`, or None if there is none."""
        i = bisect_right(self.keyframes, pts)
        return self.keyframes[i - 1] if i else None

    @classmethod
    def of(
        cls,
        pts: Iterable[int],
        keyframes: Iterable[int],
        last_duration: int,
        time_base: Fraction,
    ) -> FrameTimes:
        """Sort and deduplicate; a last frame without a duration gets the usual one.

        Two frames with one PTS are one presented frame: the first is replaced at once.
        """
        ordered = array("q", sorted(set(pts)))
        if not ordered:
            raise ValueError("a source without frames has no frame times")
        if last_duration <= 0:
            last_duration = cls(ordered, (), ordered[-1] + 1, time_base).nominal
        end = ordered[-1] + max(1, last_duration)
        return cls(ordered, array("q", sorted(set(keyframes))), end, time_base)
