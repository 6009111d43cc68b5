"""Channels of any kind are brought into layouts that AAC takes, and none is lost."""

from __future__ import annotations

import re

import pytest

from clipping.ffmpeg.channels import mix

SURROUND = ("FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR")
TAKEN = {"mono": ("FC",), "stereo": SURROUND[:2], "5.1": SURROUND[:6], "7.1": SURROUND}


@pytest.mark.parametrize(("layout", "places"), TAKEN.items())
def test_what_aac_takes_is_left_alone(layout: str, places: tuple[str, ...]) -> None:
    """No filter touches it."""
    made = mix(places)
    assert (made.layout, made.filters, made.channels) == (layout, (), len(places))


@pytest.mark.parametrize(
    ("places", "layout", "filters"),
    [
        pytest.param("FL FL", "stereo", "channelmap=0|1:stereo", id="dual mono"),
        pytest.param("FR FL", "stereo", "channelmap=1|0:stereo", id="right before left"),
        pytest.param("FL UNK", "stereo", "channelmap=0|1:stereo", id="half told"),
        pytest.param("DL DR", "stereo", "channelmap=0|1:stereo", id="a downmix"),
        pytest.param("FL", "mono", "channelmap=0:mono", id="one channel"),
        pytest.param(
            "FL FR FC LFE SL SR BL BR", "7.1", "channelmap=0|1|2|3|6|7|4|5:7.1", id="sides first"
        ),
        pytest.param(
            "FL FR FC LFE SL SR", "5.1", "channelmap=0|1|2|3|4|5:5.1", id="5.1 with sides"
        ),
    ],
)
def test_channels_in_another_order_are_put_right(places: str, layout: str, filters: str) -> None:
    """Each keeps its level, and nothing is mixed."""
    made = mix(places.split())
    assert (made.layout, made.filters, made.is_lossy) == (layout, (filters,), False)


@pytest.mark.parametrize(
    ("places", "layout"),
    [
        pytest.param("FL FR BL BR", "5.0", id="quad"),
        pytest.param("FL FR LFE", "5.1", id="2.1"),
        pytest.param("FL FR FC BL BR SL SR", "7.1", id="7.0"),
    ],
)
def test_a_layout_with_a_place_for_each_is_enough(places: str, layout: str) -> None:
    """The others of its places are silent."""
    made = mix(places.split())
    assert made.layout == layout
    assert not made.is_lossy
    gains = re.findall(r"=1\.000000\*c(\d+)(?=\||$)", made.filters[-1])
    assert sorted(map(int, gains)) == list(range(len(places.split())))


@pytest.mark.parametrize(
    "places",
    [
        pytest.param((*SURROUND, "TFL", "TFR", "TBL", "TBR"), id="7.1.4"),
        pytest.param((*SURROUND, "FLC", "FRC", "BC", "TC", "LFE2", "TBC", "BFC", "WL"), id="16"),
        pytest.param(("",) * 12, id="12 without places"),
        pytest.param(("FL",) * 8, id="eight times left"),
        pytest.param(("FL", "FR", "UNK", "FC"), id="one unknown"),
        pytest.param(("AMBI0", "AMBI1", "AMBI2", "AMBI3", "FL", "FR"), id="ambisonics"),
    ],
)
def test_every_channel_is_heard_and_none_clips(places: tuple[str, ...]) -> None:
    """Each goes somewhere, and no output can be louder than the loudest input."""
    made = mix(places)
    assert made.is_lossy
    relabel, pan = made.filters
    assert relabel.startswith("channelmap=0|1|2|")
    outputs = pan.split("|")[1:]
    assert len(outputs) == made.channels
    heard: set[int] = set()
    for output in outputs:
        gains = [(float(g), int(c)) for g, c in re.findall(r"(-?[\d.]+)\*c(\d+)", output)]
        assert sum(abs(gain) for gain, _ in gains) <= 1.0001
        heard |= {channel for gain, channel in gains if abs(gain) > 0.01}
    # Of Ambisonics, height and depth are not heard in stereo.
    expected = set(range(len(places))) - ({2, 3} if places[0] == "AMBI0" else set())
    assert heard == expected


def test_a_channel_without_use_is_silence() -> None:
    """It is left out, and what it stood for stays silent."""
    assert mix(("FL", "UNSD")).filters[-1].endswith("FL=1.000000*c0|FR=0.000000001*c0")


def test_channels_that_nobody_tells_of_are_left_to_ffmpeg() -> None:
    """Not even their number is known."""
    assert mix(()).filters == ("aformat=channel_layouts=stereo",)
