"""What each frame of a constant rate shows, against a count by hand."""

from __future__ import annotations

from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipping.models import FrameGrid, VideoFacts
from clipping.plan.frame_times import FrameTimes
from clipping.plan.resampled import ShownFrames, clock_of, resampled_times
from tests.support.sources import source_of, times_of

RATES = [Fraction(24), Fraction(30_000, 1001), Fraction(25, 2), Fraction(7), Fraction(1, 10)]


def facts(time_base: Fraction, grid: FrameGrid | None = None) -> VideoFacts:
    made = source_of(times_of([40])).video
    return made.model_copy(update={"time_base": time_base, "grid": grid})


@settings(max_examples=200, deadline=None)
@given(
    steps=st.lists(st.integers(1, 4000), min_size=1, max_size=60),
    first=st.integers(-5000, 5000),
    lasts=st.integers(1, 500),
    rate=st.sampled_from(RATES),
    base=st.sampled_from([Fraction(1, 1000), Fraction(1, 90_000), Fraction(1001, 30_000)]),
)
def test_the_last_frame_that_is_not_later(
    steps: list[int], first: int, lasts: int, rate: Fraction, base: Fraction
) -> None:
    pts = [first]
    for step in steps:
        pts.append(pts[-1] + step)
    times = FrameTimes(pts, pts[::5], pts[-1] + lasts, base)
    video = facts(base)
    made = resampled_times(times, video, rate)
    assert list(made.pts) == list(range(ceil((pts[-1] + lasts - first) * base * rate)))
    assert made.time_base == 1 / rate
    assert made.duration == times.duration
    frames = ShownFrames(pts, video, clock_of(times, video, rate))
    for number, shown in zip(made.pts, frames.shown(made.pts), strict=True):
        assert shown == max(p for p in pts if (p - first) * base <= number / rate)
    left_out, again = frames.counts(made.pts)
    distinct = len(set(frames.shown(made.pts)))
    assert again == len(made.pts) - distinct
    until = [p for p in pts if (p - first) * base < len(made.pts) / rate]
    assert left_out == len(until) - distinct
    # Decoding from a keyframe gives all that is shown from its frame on.
    for key in made.keyframes:
        assert any(frames.shown([key])[0] >= p for p in times.keyframes)


def test_roundings_of_a_constant_rate_count_as_what_was_rounded() -> None:
    """At its own rate nothing is left out and nothing repeated."""
    rate = Fraction(30_000, 1001)
    pts = [round(n * 1000 / rate) for n in range(3000)]
    grid = FrameGrid(rate=rate, origin=Fraction(0), off_by=Fraction(1, 2), is_constant=True)
    times = FrameTimes(pts, pts[:1], pts[-1] + 33, Fraction(1, 1000))
    video = facts(times.time_base, grid)
    made = resampled_times(times, video, rate)
    frames = ShownFrames(pts, video, clock_of(times, video, rate))
    assert frames.shown(made.pts) == pts
    assert frames.counts(made.pts) == (0, 0)


@pytest.mark.parametrize("rate", RATES)
def test_no_frame_is_held_over_a_gap_of_hours(rate: Fraction) -> None:
    pts = [*range(0, 1000, 40), *range(36_000_000, 36_001_000, 40)]
    times = FrameTimes(pts, pts[:1], pts[-1] + 40, Fraction(1, 1000))
    made = resampled_times(times, facts(times.time_base), rate)
    wanted = [
        k for k in range(ceil(36_001 * rate))
        if k / rate < 1 or k / rate >= 36_000
    ]  # fmt: skip
    assert list(made.pts) == wanted
