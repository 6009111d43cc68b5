"""Constant rates behind rounded timestamps: found exactly, over the whole source. Pure.

Matroska, FLV and others keep milliseconds, MPEG-TS 1/90000 s: the frames of a constant rate come at
uneven distances there. Timestamps that all are roundings of equal steps are those steps'; any that
is not makes the rate a variable one, which stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import accumulate, pairwise
from math import floor, gcd

from clipping.models import FrameGrid
from clipping.plan.frame_times import FrameTimes

__all__ = ["frame_grid"]

# Seconds. What is remuxed from one container to another keeps the first one's rounding: times that
# are all whole milliseconds were rounded to milliseconds, however fine the time base is.
_COARSEST_UNIT = Fraction(1, 1000)
# Rounded times can be told from a variable rate's where a step is at least so many roundings long.
_LEAST_STEP = 2
# A rate said as 23.98 or 29.97 means 24000/1001 or 30000/1001 if the timestamps agree.
_MEANS_THE_SAME = Fraction(2, 10_000)
# No camera counts in finer fractions, and an MP4's time scale has to hold the rate.
_MOST_TICKS = 1_000_000
_TRIES = 32


def frame_grid(
    times: FrameTimes, declared: Sequence[Fraction | None] = (), roundings: int = 1
) -> FrameGrid | None:
    """The equal steps that all frames of a source lie on, or None if there are none.

    declared: rates in frames/s that its header tells, the best first; they count only if the
    timestamps agree. roundings: how many rounded numbers a timestamp is the sum of (two in FLV: a
    decoding time and an offset).
    """
    pts = times.pts
    if len(pts) < 2:
        return None
    steps = [b - a for a, b in pairwise(pts)]
    distances = set(steps)
    unit = gcd(*distances)
    if unit * times.time_base > _COARSEST_UNIT:
        unit = 1
    most = roundings * unit
    for rate in _candidates(declared, steps, times.time_base):
        step = 1 / (rate * times.time_base)
        numbers = _numbers(steps, distances, step)
        if numbers and (grid := _fitted(pts, numbers, rate, step, most)):
            return grid
    return _from_times(pts, steps, times.time_base, most)


def _candidates(
    declared: Sequence[Fraction | None], steps: Sequence[int], time_base: Fraction
) -> Iterator[Fraction]:
    """Rates that are likely before the timestamps are asked.

    What a header declares may be an average of what it holds: a usual rate is the better guess.
    """
    rates = [rate for rate in declared if rate is not None and rate > 0]
    usual = [_usual(rate) for rate in rates]
    yield from (rate for rate in usual if rate is not None)
    if min(steps) == max(steps):
        yield 1 / (steps[0] * time_base)
    yield from (rate for rate, known in zip(rates, usual, strict=True) if rate != known)


def _usual(rate: Fraction) -> Fraction | None:
    """The whole number, or 1000/1001 of one, that a rate is about the same as."""
    whole, television = Fraction(round(rate)), Fraction(round(rate * 1001 / 1000) * 1000, 1001)
    near = min(whole, television, key=lambda known: abs(known - rate))
    return near if near and abs(near - rate) <= _MEANS_THE_SAME * near else None


def _numbers(
    steps: Sequence[int], distances: Iterable[int], step: Fraction
) -> Sequence[int] | None:
    """Each frame's number on the grid; None if most frames are not one step apart.

    Where every second place is empty, the rate is another one.
    """
    p, q = step.numerator, step.denominator
    advance = {d: (2 * d * q + p) // (2 * p) for d in distances}
    if set(advance.values()) == {1}:
        return range(len(steps) + 1)
    if min(advance.values()) < 1 or 2 * sum(advance[d] == 1 for d in steps) < len(steps):
        return None
    return list(accumulate((advance[d] for d in steps), initial=0))


def _fitted(
    pts: Sequence[int], numbers: Sequence[int], rate: Fraction, step: Fraction, most: int
) -> FrameGrid | None:
    """The grid if no two timestamps are off it by more than `most` in different directions."""
    p, q = step.numerator, step.denominator
    lowest = highest = pts[0] * q
    for at, number in zip(pts, numbers, strict=True):
        off = at * q - number * p
        if off < lowest:
            lowest = off
        elif off > highest:
            highest = off
        if highest - lowest > most * q:
            return None
    spread = Fraction(highest - lowest, q)
    if spread and (step < _LEAST_STEP * most or rate.numerator > _MOST_TICKS):
        return None
    return FrameGrid(
        rate=rate,
        origin=Fraction(lowest + highest, 2 * q),
        off_by=spread / 2,
        is_constant=numbers[-1] == len(numbers) - 1,
    )


def _from_times(
    pts: Sequence[int], steps: Sequence[int], time_base: Fraction, most: int
) -> FrameGrid | None:
    """The grid of the simplest rate that all timestamps allow."""
    usual = sorted(steps)[len(steps) // 2]
    alike = [d for d in steps if abs(d - usual) <= most]
    mean = Fraction(sum(alike), len(alike))
    numbers = _numbers(steps, set(steps), mean)
    if numbers is None:
        return None
    # Every pair of timestamps bounds the step. The two that are off a grid the most in different
    # directions give the next bound.
    shortest = max(Fraction(1), Fraction(pts[-1] - pts[0] - most, numbers[-1]))
    longest = Fraction(pts[-1] - pts[0] + most, numbers[-1])
    for _ in range(_TRIES):
        if shortest > longest:
            return None
        rate = _simplest_rate(1 / (longest * time_base), 1 / (shortest * time_base))
        step = 1 / (rate * time_base)
        if grid := _fitted(pts, numbers, rate, step, most):
            return grid
        p, q = step.numerator, step.denominator
        off = [at * q - number * p for at, number in zip(pts, numbers, strict=True)]
        early, late = off.index(min(off)), off.index(max(off))
        if off[late] - off[early] <= most * q:
            return None  # it fits, but is no rate for a clip
        bound = Fraction(pts[late] - pts[early] - most, numbers[late] - numbers[early])
        if late > early:
            shortest = max(shortest, bound)
        else:
            longest = min(longest, bound)
    return None


def _simplest_rate(low: Fraction, high: Fraction) -> Fraction:
    """A rate within `[low, high]`: a whole one, else 1000/1001 of one, else the simplest."""
    middle = (low + high) / 2
    whole, television = round(middle), Fraction(round(middle * 1001 / 1000) * 1000, 1001)
    for rate in (Fraction(whole), television):
        if low <= rate <= high:
            return rate
    return _simplest(low, high)


def _simplest(low: Fraction, high: Fraction) -> Fraction:
    """The fraction with the smallest denominator within `[low, high]`, both above 0."""
    whole = floor(low)
    if whole == low:
        return Fraction(whole)
    if whole + 1 <= high:
        return Fraction(whole + 1)
    return whole + 1 / _simplest(1 / (high - whole), 1 / (low - whole))
