"""Filters for pictures that are not like the first of their clip."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipping.ffmpeg.reconfigured import Reconfigured
from clipping.ffmpeg.shaped import shaped_picture
from clipping.models import PictureShape, VideoFacts
from tests.support.sources import shape, source_of, times_of

UPRIGHT = "sidedata=mode=delete:type=DISPLAYMATRIX"
SCALED = ":flags=bicubic+accurate_rnd+full_chroma_int"
USUAL = ["scale=out_range=limited:flags=bicubic+accurate_rnd+full_chroma_int", "format=yuv420p"]


def video(*shapes: PictureShape) -> VideoFacts:
    return source_of(times_of([40] * 9)).video.model_copy(update={"shapes": shapes})


def filters(shape: int, shown_as: int, *shapes: PictureShape) -> list[str]:
    made = shaped_picture(
        video(*shapes), shape=shape, shown_as=shown_as, tone_map=True, deinterlace=True,
        pixel_format="yuv420p",
    )  # fmt: skip
    return list(made.filters)


def test_a_picture_of_its_own_shape_keeps_its_size() -> None:
    """Which is said all the same: what is decoded before it may have another."""
    two = shape(0, 320, 240), shape(1, 240, 320)
    assert filters(0, 0, *two) == [
        UPRIGHT,
        *USUAL,
        f"scale=320:240{SCALED}",
        "setsar=0/1:max=65535",
    ]
    assert filters(1, 1, *two) == [
        UPRIGHT,
        *USUAL,
        f"scale=240:320{SCALED}",
        "setsar=0/1:max=65535",
    ]


def test_a_high_picture_in_a_wide_one() -> None:
    """As high as it goes, in the middle, at an even column; the tags are the first one's."""
    two = shape(0, 320, 240), shape(1, 240, 320)
    assert filters(1, 0, *two) == [
        UPRIGHT, *USUAL, "scale=180:240:flags=bicubic+accurate_rnd+full_chroma_int",
        "pad=320:240:70:0:black",
        "setparams=range=limited:color_primaries=unknown:color_trc=unknown:colorspace=unknown",
        "setsar=0/1:max=65535",
    ]  # fmt: skip


def test_colours_are_converted_and_tagged_as_the_first_ones() -> None:
    """From standard to high definition the matrix changes as well."""
    sd = shape(0, 720, 576, Fraction(16, 15)).model_copy(update={"color_space": "bt470bg"})
    hd = shape(1, 1920, 1080).model_copy(update={"color_space": "bt709"})
    assert filters(1, 0, sd, hd)[3:] == [
        "scale=720:432:flags=bicubic+accurate_rnd+full_chroma_int", "pad=720:576:0:72:black",
        "scale=in_color_matrix=bt709:out_color_matrix=bt470bg",
        "setparams=range=limited:color_primaries=unknown:color_trc=unknown:colorspace=bt470bg",
        "setsar=16/15:max=65535",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("rotation", "flipped", "expected"),
    [
        (90, False, ["transpose=cclock"]),
        (270, False, ["transpose=clock"]),
        (180, False, ["hflip", "vflip"]),
        (0, True, ["vflip"]),
    ],
)
def test_what_is_stored_turned_is_shown_upright(
    rotation: int, flipped: bool, expected: list[str]
) -> None:
    """By filters of ours, since ffmpeg goes by what it has decoded since the seek."""
    turned = shape(0, 320, 240).model_copy(update={"rotation": rotation, "flipped": flipped})
    usual = [*USUAL, f"scale=320:240{SCALED}", "setsar=0/1:max=65535"]
    assert filters(0, 0, turned) == [UPRIGHT, *expected, *usual]


sides = st.integers(2, 4000)


@given(sides, sides, sides, sides, st.sampled_from([None, Fraction(4, 3), Fraction(12, 11)]))
def test_what_is_fitted_keeps_its_proportions(
    width: int, height: int, wide: int, high: int, aspect: Fraction | None
) -> None:
    """To the next even length, and never beyond the first picture."""
    made = filters(1, 0, shape(0, wide, high), shape(1, width, height, aspect))
    goal = wide // 2 * 2, high // 2 * 2
    padded = next((f for f in made if f.startswith("pad=")), f"pad={goal[0]}:{goal[1]}:0:0:black")
    whole_x, whole_y, left, top = map(int, padded.removeprefix("pad=").split(":")[:4])
    assert (whole_x, whole_y) == goal
    own = width // 2 * 2, height // 2 * 2
    (scaled,) = (f for f in made if f.startswith("scale=") and f[6].isdigit())
    across, down = map(int, scaled.removeprefix("scale=").split(":")[:2])
    size = across, down
    assert 0 <= left <= goal[0] - size[0]
    assert 0 <= top <= goal[1] - size[1]
    assert left % 2 == top % 2 == 0
    assert goal[0] in (size[0], size[0] + 1) or goal[1] in (size[1], size[1] + 1)
    # One of the two is the goal's; the other is the exact length, to the next even number.
    exact = Fraction(own[0], own[1]) * (aspect or 1)
    lengths = (size[1] * exact, size[0] / exact)
    assert min(abs(lengths[0] - size[0]), abs(lengths[1] - size[1])) <= max(2, exact, 1 / exact)


CHANGED = "[vf#0:0 @ 0x5] [info] Reconfiguring filter graph because "


def test_what_an_encode_tells_of_other_pictures() -> None:
    """A size that is not known, or a turn; other colours are nothing new."""
    for words, expected in {
        "video parameters changed to yuv420p(unknown, unknown), 48x64, unspecified alpha": "48x64",
        "video parameters changed to yuv420p(tv, bt709), 64x48, unspecified alpha": None,
        "display matrix changed": "turned",
    }.items():
        plain = Reconfigured(video())
        plain.read(CHANGED + words)
        assert plain.what == expected
    known = Reconfigured(video(shape(0, 64, 48), shape(1, 48, 64)))
    known.read(CHANGED + "video parameters changed to yuv420p(tv, bt709), 48x64")
    known.read(CHANGED + "display matrix changed")
    assert known.what is None
