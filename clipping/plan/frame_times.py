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
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import ceil, floor

__all__ = ["LONGEST_STEP", "FrameTimes", "pack", "unpack"]

# Seconds. Where no frame comes for longer than this, a clock has jumped or a timestamp is wrong.
LONGEST_STEP = 3600


def pack(pts: Sequence[int]) -> str:
    """Text that holds ascending `pts` compactly (zlib over the differences, base 85).

    None of them are no text.
    """
    if not pts:
        return ""
    differences = array("q", (b - a for a, b in zip((0, *pts), pts, strict=False)))
    return base64.b85encode(zlib.compress(differences.tobytes(), 6)).decode("ascii")


def unpack(packed: str) -> array[int]:
    """The PTS that `pack` packed."""
    differences = array("q")
    if not packed:
        return differences
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
    repeated: ascending PTS of frames that are never presented, since one with that PTS is already;
    a PTS stands there once for each of them.
    cut_points: ascending PTS of keyframes at which packets can be cut, if they were looked for.
    cuts: ascending PTS of the first frames of shots, the first shot's left out, if they were found.
    lasts: seconds from the first frame's start to the source's end, if that lies between PTS.
    """

    pts: Sequence[int]
    keyframes: Sequence[int]
    end: int
    time_base: Fraction
    repeated: Sequence[int] = ()
    lasts: Fraction | None = None
    cuts: Sequence[int] = ()
    cut_points: Sequence[int] = ()

    @property
    def first(self) -> int:
        """PTS of the first presented frame: the zero of all spans."""
        return self.pts[0]

    @property
    def duration(self) -> Fraction:
        """Seconds from the first frame's start to the last frame's end."""
        return self.lasts or (self.end - self.first) * self.time_base

    @property
    def nominal(self) -> int:
        """The usual distance of two frames (their median), in time base units.

        Never more than `LONGEST_STEP`.
        """
        if len(self.pts) < 2:
            return self._within_reason(self.end - self.first)
        steps = sorted(b - a for a, b in zip(self.pts, self.pts[1:], strict=False))
        return self._within_reason(steps[len(steps) // 2])

    def _within_reason(self, step: int) -> int:
        return max(1, min(step, floor(LONGEST_STEP / self.time_base)))

    @property
    def gaps(self) -> list[int]:
        """Numbers of the frames that come more than `LONGEST_STEP` after the one before them."""
        longest = LONGEST_STEP / self.time_base
        return [i for i, (a, b) in enumerate(pairwise(self.pts), 1) if b - a > longest]

    @property
    def gap_pts(self) -> int:
        """How much longer than the usual distance its gaps are, all together."""
        nominal = self.nominal
        return sum(self.pts[i] - self.pts[i - 1] - nominal for i in self.gaps)

    def index_at(self, seconds: Fraction) -> int:
        """Number of the first frame presented at or after `seconds` (the count if none is)."""
        return bisect_left(self.pts, ceil(self.first + seconds / self.time_base))

    def seconds_at_or_after(self, seconds: Fraction) -> Fraction | None:
        """When the first frame at or after `seconds` is presented; None if none is."""
        at = self.index_at(seconds)
        return None if at == len(self.pts) else (self.pts[at] - self.first) * self.time_base

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

        Of frames with one PTS the first is presented; the others are `repeated`. A last frame
        that is said to last longer than `LONGEST_STEP` gets the usual duration as well.
        """
        counts = Counter(pts)
        ordered = array("q", sorted(counts))
        if not ordered:
            raise ValueError("a source without frames has no frame times")
        if not 0 < last_duration <= LONGEST_STEP / time_base:
            last_duration = cls(ordered, (), ordered[-1] + 1, time_base).nominal
        end = ordered[-1] + max(1, last_duration)
        repeated = sorted((counts - Counter(ordered)).elements())
        return cls(ordered, array("q", sorted(set(keyframes))), end, time_base, repeated)
