"""Decoding times of a clip's packets."""

from __future__ import annotations

import random
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from clipping.media.cut import decode_order_times


@given(
    st.lists(st.integers(1, 2000), min_size=1, max_size=40),
    st.integers(1, 3000),
    st.randoms(use_true_random=False),
    st.integers(0, 4),
)
def test_decoding_times_suit_any_order(
    gaps: list[int], last: int, rng: random.Random, depth: int
) -> None:
    """DTS ascend and never pass the PTS; packets last as long as the frames, in their order."""
    pts = [sum(gaps[:i]) for i in range(len(gaps))]
    end = pts[-1] + last
    order = pts[:1] + sorted(pts[1:], key=lambda p: pts.index(p) + rng.uniform(0, depth))
    dts, last_duration = decode_order_times(order, end)
    assert all(a < b for a, b in pairwise(dts))
    assert all(d <= p for d, p in zip(dts, order, strict=True))
    lengths = [*(b - a for a, b in pairwise(dts)), last_duration]
    assert lengths == [b - a for a, b in pairwise([*pts, end])]


def test_a_constant_rate_stays_constant() -> None:
    """With B-frames as well: one duration for all packets, the last one in decoding order too."""
    order = [0, 4000, 2000, 1000, 3000, 6000, 5000]
    dts, last_duration = decode_order_times(order, 7000)
    assert dts == [-2000, -1000, 0, 1000, 2000, 3000, 4000]
    assert last_duration == 1000
