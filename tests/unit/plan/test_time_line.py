"""Output time scales hold every source time."""

from __future__ import annotations

from fractions import Fraction

import pytest

from clipping.models import FrameGrid
from clipping.plan.time_line import TimeLine, ticks_per_pts, timescale


@pytest.mark.parametrize(
    "time_base", [(1, 15360), (1001, 30000), (1, 25), (1, 1000000), (1, 90000)]
)
def test_the_timescale_holds_every_pts(time_base: tuple[int, int]) -> None:
    """A clip's ticks are whole multiples of the source's."""
    base = Fraction(*time_base)
    assert ticks_per_pts(base) == timescale(base) * base


MS = Fraction(1, 1000)
NTSC = FrameGrid(
    rate=Fraction(30000, 1001), origin=Fraction(33), off_by=Fraction(1, 2), is_constant=True
)


def test_rounded_times_become_the_grids() -> None:
    """Every frame a step after the last one, whatever the rounding; the end as well."""
    line = TimeLine((67, 100, 133, 166, 200), 233, MS, NTSC)
    assert line.scale == 30_000
    assert list(line.ticks.values()) == [0, 1001, 2002, 3003, 4004]
    assert (line.end, line.frame_rate) == (5005, NTSC.rate)
    step = Fraction(1001, 30000)
    assert line.seconds == (Fraction(33, 1000) + step, Fraction(33, 1000) + 6 * step)
    assert line.duration == 5 * step


def test_a_gap_on_the_grid_stays_one() -> None:
    """Two frames that are missing leave three steps to the next, and no constant rate."""
    grid = NTSC.model_copy(update={"is_constant": False})
    line = TimeLine((33, 66, 166, 200), 250, MS, grid)
    assert list(line.ticks.values()) == [0, 1001, 4004, 5005]
    # It ends between two steps, where the span does, and is no rounding of either.
    assert line.end == round(Fraction(250 - 33, 1000) * 30_000)
    assert line.frame_rate is None


@pytest.mark.parametrize("end", [121, 140, 160])
def test_the_last_frame_lasts_a_step(end: int) -> None:
    """At a constant rate: a muxer that did not know how long it lasts wrote a tick, or less."""
    exact = FrameGrid(rate=Fraction(25), origin=Fraction(0), off_by=Fraction(0), is_constant=True)
    line = TimeLine((40, 80, 120), end, MS, exact)
    assert (line.duration, line.frame_rate) == (Fraction(120, 1000), 25)
    assert TimeLine((40, 80, 120), 300, MS, exact).duration == Fraction(260, 1000)
    assert TimeLine((40, 80, 120), 121, MS).duration == Fraction(81, 1000)
