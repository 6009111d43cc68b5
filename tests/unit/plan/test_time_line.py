"""Output time scales hold every source time."""

from __future__ import annotations

from fractions import Fraction

import pytest

from clipping.plan.time_line import ticks_per_pts, timescale


@pytest.mark.parametrize(
    "time_base", [(1, 15360), (1001, 30000), (1, 25), (1, 1000000), (1, 90000)]
)
def test_the_timescale_holds_every_pts(time_base: tuple[int, int]) -> None:
    """A clip's ticks are whole multiples of the source's."""
    base = Fraction(*time_base)
    assert ticks_per_pts(base) == timescale(base) * base
