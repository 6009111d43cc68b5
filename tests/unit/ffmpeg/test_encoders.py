"""An encoder's options, and bit rates where it has no constant quality."""

from __future__ import annotations

from fractions import Fraction

import pytest

from clipping.ffmpeg.encoders import ENCODERS, Gop, Rate, bit_rate_for


def test_nvenc_never_gets_both_a_quality_and_a_bit_rate() -> None:
    """`-cq` makes NVENC ignore the average bit rate."""
    with_rate = ENCODERS["h264_nvenc"].options(None, Rate(bit_rate=2_000_000), Gop(), 1)
    assert "-cq" not in with_rate
    assert with_rate[with_rate.index("-b:v") + 1] == "2000000"
    assert "-cq" in ENCODERS["h264_nvenc"].options(None, Rate(quality=23), Gop(), 1)


def test_bit_rates_fit_the_picture() -> None:
    """An encoder without constant quality gets more for more, never a fixed 2 Mb/s."""
    small, hd, uhd = (
        bit_rate_for(w, h, 30, 23) for w, h in ((320, 240), (1920, 1080), (3840, 2160))
    )
    assert 300_000 < small < 700_000
    assert 4_000_000 < hd < 7_000_000
    assert 10_000_000 < uhd < 20_000_000
    assert bit_rate_for(1280, 720, 30, 17) == 2 * bit_rate_for(1280, 720, 30, 23)


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize(
    "rate", [Fraction(30000, 1001), Fraction(2**70 + 1, 2**66), Fraction(7, 2**66)], ids=str
)
def test_every_encoder_tells_the_rate(name: str, rate: Fraction) -> None:
    """By a filter of its codec, in numbers that ffmpeg reads as whole ones of 32 bits."""
    row = ENCODERS[name]
    if name == "libvpx-vp9":  # whose headers hold no rate
        assert row.clock(rate) == "null"
        return
    filtered, _, value = row.clock(rate).partition("=tick_rate=")
    assert filtered == f"{row.codec}_metadata"
    ticks, units = map(int, value.split("/"))
    assert 0 < min(ticks, units) <= max(ticks, units) < 2**31
    if rate.denominator == 1001:  # H.264 counts fields
        assert Fraction(ticks, (2 if row.codec == "h264" else 1) * units) == rate
