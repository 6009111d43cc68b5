"""Sizes of pictures: computed, against what is asked."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipping.plan.picture_size import PictureSize, SizeRule, sized

ONE = Fraction(1)
HD, UHD, PHONE = (1920, 1080), (3840, 2160), (1080, 1920)


@pytest.mark.parametrize(
    ("source", "aspect", "rule", "scaled", "size"),
    [
        # A short side
        (HD, ONE, SizeRule(short_side=720, square=True), (1280, 720), (1280, 720)),
        (PHONE, ONE, SizeRule(short_side=720, square=True), (720, 1280), (720, 1280)),
        ((1366, 768), ONE, SizeRule(short_side=480), (854, 480), (854, 480)),
        (HD, ONE, SizeRule(short_side=480, multiple=16), (854, 480), (848, 480)),
        # Nothing is enlarged unless told
        ((640, 360), ONE, SizeRule(short_side=720), (640, 360), (640, 360)),
        ((640, 360), ONE, SizeRule(short_side=720, enlarges=True), (1280, 720), (1280, 720)),
        # A box
        (HD, ONE, SizeRule(box=(832, 480)), (832, 468), (832, 468)),
        (HD, ONE, SizeRule(box=(832, 480), fit="fill"), (854, 480), (832, 480)),
        (HD, ONE, SizeRule(box=(832, 480), fit="pad"), (832, 468), (832, 480)),
        (PHONE, ONE, SizeRule(box=(832, 480), fit="fill"), (832, 1480), (832, 480)),
        (PHONE, ONE, SizeRule(box=(832, 480), fit="pad"), (270, 480), (832, 480)),
        ((320, 240), ONE, SizeRule(box=(832, 480), fit="fill"), (320, 240), (320, 184)),
        ((320, 240), ONE, SizeRule(box=(832, 480), fit="pad"), (320, 240), (832, 480)),
        # Pixels that are not square
        ((720, 576), Fraction(16, 15), SizeRule(square=True), (720, 540), (720, 540)),
        ((720, 480), Fraction(8, 9), SizeRule(square=True), (640, 480), (640, 480)),
        ((720, 576), Fraction(64, 45), SizeRule(360, square=True), (640, 360), (640, 360)),
        ((720, 480), Fraction(8, 9), SizeRule(), (720, 480), (720, 480)),
        # Odd and tiny ones
        ((1921, 1081), ONE, SizeRule(multiple=32), (1920, 1080), (1920, 1056)),
        ((35, 21), ONE, SizeRule(short_side=16), (26, 16), (26, 16)),
        ((3, 3000), ONE, SizeRule(short_side=720), (2, 3000), (2, 3000)),
    ],
)  # fmt: skip
def test_sizes(
    source: tuple[int, int],
    aspect: Fraction,
    rule: SizeRule,
    scaled: tuple[int, int],
    size: tuple[int, int],
) -> None:
    """What a person would compute."""
    assert sized(*source, aspect, rule) == PictureSize(scaled, size)


sides = st.integers(16, 8192)


@given(
    wide=sides, high=sides, short=st.integers(8, 1080).map(lambda n: 2 * n),
    multiple=st.sampled_from([2, 8, 16, 32]), enlarges=st.booleans(),
)  # fmt: skip
def test_what_holds_for_any_short_side(
    wide: int, high: int, short: int, multiple: int, *, enlarges: bool
) -> None:
    """Multiples; never larger than the source or asked for; proportions to a pixel."""
    made = sized(wide, high, ONE, SizeRule(short, multiple=multiple, enlarges=enlarges))
    assert all(side % multiple == 0 for side in made.size)
    assert all(c % 2 == 0 for c in (*made.crop, *made.pad))
    assert made.pad == (0, 0)
    assert all(s - t < multiple + 2 for s, t in zip(made.scaled, made.size, strict=True)) or (
        min(made.scaled) < 2 * multiple  # a picture of a few pixels, which has to be covered
    )
    if not enlarges and min(wide, high) >= multiple:
        assert made.scaled[0] <= wide + 1
        assert made.scaled[1] <= high + 1
    assert min(made.size) <= max(short, multiple)


@given(
    wide=sides, high=sides, box=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    enlarges=st.booleans(),
)  # fmt: skip
def test_what_holds_for_any_box(
    wide: int, high: int, box: tuple[int, int], *, enlarges: bool
) -> None:
    """Within the box; all of it where padded, or where filled and large enough."""
    into = box[0] * 32, box[1] * 32
    for fit in ("fit", "fill", "pad"):
        made = sized(wide, high, ONE, SizeRule(box=into, fit=fit, enlarges=enlarges))
        assert made.size[0] <= into[0]
        assert made.size[1] <= into[1]
        if fit == "pad" or (fit == "fill" and enlarges):
            assert made.size == into
        if fit == "pad":
            assert made.scaled[0] <= into[0]
            assert made.scaled[1] <= into[1]
            assert made.crop == (0, 0)
        else:
            assert made.pad == (0, 0)
