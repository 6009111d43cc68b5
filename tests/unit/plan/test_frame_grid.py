"""Constant rates are found behind rounded times, exactly, and only where they are."""

from __future__ import annotations

import random
from collections.abc import Callable
from fractions import Fraction
from math import floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipping.models import FrameGrid
from clipping.plan.frame_grid import frame_grid
from clipping.plan.frame_times import FrameTimes

MS = Fraction(1, 1000)


def nearest(value: Fraction) -> int:
    return floor(value + Fraction(1, 2))


def times(pts: list[int], time_base: Fraction = MS) -> FrameTimes:
    return FrameTimes.of(pts, pts[:1], 0, time_base)


def rounded(
    rate: Fraction,
    numbers: range | list[int],
    start: Fraction = Fraction(0),
    how: Callable[[Fraction], int] = nearest,
    time_base: Fraction = MS,
) -> list[int]:
    return [how((n / rate + start) / time_base) for n in numbers]


def assert_found(pts: list[int], rate: Fraction, grid: FrameGrid | None, base: Fraction) -> None:
    """The rate, and no frame further from its step than a rounding, nor two at one."""
    assert grid
    assert grid.rate == rate
    numbers = grid.numbers(pts, base)
    assert len(set(numbers)) == len(pts)
    for at, number in zip(pts, numbers, strict=True):
        step = grid.origin + number / (rate * base)
        assert abs(at - step) <= grid.off_by
        assert grid.nearest(at, base) == step * base


RATES = [
    *(Fraction(n) for n in (10, 15, 24, 25, 30, 48, 50, 60, 90, 120)),
    *(Fraction(n * 1000, 1001) for n in (15, 24, 30, 48, 60, 120)),
    *(Fraction(25, 2), Fraction(1499, 100), Fraction(1, 7)),
]


@pytest.mark.parametrize("rate", RATES, ids=str)
@pytest.mark.parametrize("how", [nearest, floor], ids=["nearest", "down"])
@pytest.mark.parametrize("start", [Fraction(0), Fraction(12345, 999)], ids=str)
def test_any_rate_is_found(rate: Fraction, how: Callable[[Fraction], int], start: Fraction) -> None:
    """From a second's frames if a header declares it, from many in any case."""
    few = rounded(rate, range(25), start, how)
    grid = frame_grid(times(few), [rate])
    assert_found(few, rate, grid, MS)
    many = rounded(rate, range(8_000), start, how)
    grid = frame_grid(times(many))
    assert_found(many, rate, grid, MS)
    assert grid
    assert grid.is_constant
    assert grid.off_by <= Fraction(1, 2)


@pytest.mark.parametrize("base", [Fraction(1, 90_000), Fraction(1, 1_000_000), Fraction(1, 600)])
@pytest.mark.parametrize("rate", [Fraction(24000, 1001), Fraction(60000, 1001), Fraction(30)])
def test_any_time_base_may_round(base: Fraction, rate: Fraction) -> None:
    """MPEG-TS, microseconds, QuickTime's 600: by at most half a tick."""
    pts = rounded(rate, range(3000), time_base=base)
    grid = frame_grid(times(pts, base), [rate])
    assert_found(pts, rate, grid, base)
    assert grid
    assert grid.off_by <= Fraction(1, 2)


def test_an_exact_rate_is_not_off() -> None:
    """The step of the time base itself, whatever the header claims."""
    exact = times([512 * i + 7 for i in range(100)], Fraction(1, 15360))
    for declared in ([Fraction(30)], [Fraction(3600, 121)], [None, Fraction(60)], []):
        grid = frame_grid(exact, declared)
        assert grid == FrameGrid(
            rate=Fraction(30), origin=Fraction(7), off_by=Fraction(0), is_constant=True
        )


def test_a_rate_said_in_decimals_is_the_one_meant() -> None:
    """Both fit a short video: 29.97 means 30000/1001, and 59.94 of fields is not the frames'."""
    pts = rounded(Fraction(30000, 1001), range(40))
    for declared in ([Fraction(2997, 100)], [Fraction(5994, 100), Fraction(2997, 100)]):
        grid = frame_grid(times(pts), declared)
        assert grid
        assert grid.rate == Fraction(30000, 1001)


def test_a_usual_rate_goes_before_an_average() -> None:
    """QuickTime's 600 ticks: frames / seconds of 4 s is near 30000/1001, which all times fit."""
    pts = rounded(Fraction(30000, 1001), range(120), time_base=Fraction(1, 600))
    declared = [Fraction(72000, 2401), Fraction(30000, 1001)]
    grid = frame_grid(times(pts, Fraction(1, 600)), declared)
    assert grid
    assert grid.rate == Fraction(30000, 1001)


def test_a_wrong_header_does_not_count() -> None:
    """Nor does one that is right only for a while."""
    pts = rounded(Fraction(30), range(3000))
    for declared in (Fraction(30000, 1001), Fraction(25), Fraction(60), Fraction(1000)):
        grid = frame_grid(times(pts), [declared])
        assert grid
        assert grid.rate == 30


def test_milliseconds_are_known_in_a_finer_time_base() -> None:
    """Remuxed to MP4 they are multiples of 16 ticks, and rounded all the same."""
    base = Fraction(1, 16_000)
    pts = [16 * p for p in rounded(Fraction(30), range(300))]
    grid = frame_grid(times(pts, base), [Fraction(30)])
    assert_found(pts, Fraction(30), grid, base)
    # A hundredth of a second is no container's rounding, and these frames come when they say.
    coarse = [16 * 10 * p for p in rounded(Fraction(30), range(300), time_base=Fraction(1, 100))]
    assert frame_grid(times(coarse, base), [Fraction(30)]) is None


def test_flv_rounds_twice() -> None:
    """A decoding time and an offset, each cut off to milliseconds: up to two apart."""
    rate = Fraction(30)
    decoded = [(n, n - n % 2 * 2) for n in range(2, 300)]
    pts = [floor(d * 1000 / rate) + floor((n - d) * 1000 / rate) for n, d in decoded]
    assert frame_grid(times(pts), [rate]) is None
    assert_found(pts, rate, frame_grid(times(pts), [rate], 2), MS)


def test_missing_frames_are_gaps() -> None:
    """Whole steps, however many: the rate is known, but not called constant."""
    rng = random.Random(1)
    rate = Fraction(30000, 1001)
    numbers = [n for n in range(4000) if rng.random() > 0.1 and not 1000 < n < 3000]
    pts = rounded(rate, numbers)
    for declared in ([rate], []):
        grid = frame_grid(times(pts), declared)
        assert_found(pts, rate, grid, MS)
        assert grid
        assert not grid.is_constant
        found = grid.numbers(pts, MS)
        assert [n - found[0] for n in found] == [n - numbers[0] for n in numbers]


def test_every_second_frame_is_half_the_rate() -> None:
    """Fields counted as frames, a header of 60: most steps are two of its, so that it is not it."""
    pts = rounded(Fraction(30), range(200))
    grid = frame_grid(times(pts), [Fraction(60)])
    assert grid
    assert grid.rate == 30


def test_a_variable_rate_has_no_grid() -> None:
    """One frame that is late by two milliseconds is enough; so is a clock that drifts."""
    pts = rounded(Fraction(30), range(1000))
    late = [p + 2 * (i == 500) for i, p in enumerate(pts)]
    assert frame_grid(times(late), [Fraction(30)]) is None
    drifting = [p + (i > 500) * (i - 500) // 200 for i, p in enumerate(pts)]
    assert frame_grid(times(drifting), [Fraction(30)]) is None
    rng = random.Random(5)
    jumpy = [0]
    for _ in range(500):
        jumpy.append(jumpy[-1] + rng.choice((16, 33, 33, 34, 120, 400)))
    assert frame_grid(times(jumpy)) is None


def test_steps_near_a_rounding_are_left_alone() -> None:
    """Where a step is less than two roundings, anything would lie on some grid."""
    rng = random.Random(2)
    pts = [0]
    for _ in range(50):
        pts.append(pts[-1] + rng.choice((1, 2)))
    assert frame_grid(times(pts), [Fraction(600), Fraction(1000)]) is None


def test_one_frame_has_no_rate() -> None:
    """Nor has it steps."""
    assert frame_grid(times([5]), [Fraction(30)]) is None


@given(
    st.fractions(min_value=Fraction(1, 10), max_value=240, max_denominator=1001),
    st.lists(st.integers(0, 1), min_size=2, max_size=200),
    st.fractions(min_value=0, max_value=100, max_denominator=7),
    st.booleans(),
)
def test_whatever_is_found_moves_nothing_far(
    rate: Fraction, gaps: list[int], start: Fraction, is_declared: bool
) -> None:
    """Within half a rounding, in order, one frame a step, whatever rate it is taken for."""
    numbers = [i + sum(gaps[: i // 2]) for i in range(len(gaps))]
    pts = rounded(rate, numbers, start)
    grid = frame_grid(times(pts), [rate] if is_declared else [])
    if is_declared:
        assert grid
    if grid:
        assert grid.off_by <= Fraction(1, 2)
        assert_found(pts, grid.rate, grid, MS)
