"""Which packets decoding can start with: bits as the standards have them."""

from __future__ import annotations

import pytest

from clipping.ffmpeg.clean_starts import (
    av1_starts_clean,
    h264_starts_clean,
    hevc_starts_clean,
    vp9_starts_clean,
)


def units(*headers: int) -> bytes:
    """NAL units of three bytes that begin with these."""
    return b"".join((3).to_bytes(4, "big") + bytes([h, 1, 0]) for h in headers)


def obu(kind: int, payload: bytes) -> bytes:
    """An OBU with its size."""
    return bytes([kind << 3 | 0b10, len(payload)]) + payload


@pytest.mark.parametrize(
    ("headers", "clean"), [((0x67, 0x68, 0x65), True), ((0x06, 0x65), True), ((0x41,), False)]
)
def test_h264(headers: tuple[int, ...], clean: bool) -> None:
    """An IDR slice; not any other slice, nor parameter sets alone."""
    assert h264_starts_clean(units(*headers)) is clean
    assert not h264_starts_clean(units(0x67, 0x68))


@pytest.mark.parametrize(
    ("kinds", "clean"),
    [((32, 33, 34, 19), True), ((20,), True), ((21,), False), ((16,), False), ((1,), False)],
)
def test_hevc(kinds: tuple[int, ...], clean: bool) -> None:
    """IDRs of both kinds; a CRA or BLA may have pictures before it that need what is gone."""
    assert hevc_starts_clean(units(*(kind << 1 for kind in kinds))) is clean


@pytest.mark.parametrize(
    ("sample", "clean"),
    [
        (obu(1, b"\x00\x00") + obu(6, b"\x10\x00"), True),
        (obu(2, b"") + obu(1, b"\x00") + obu(3, b"\x10") + obu(4, b"\x00"), True),
        (obu(6, b"\x10\x00"), False),  # no sequence header
        (obu(1, b"\x00") + obu(6, b"\x00\x00"), False),  # not shown
        (obu(1, b"\x00") + obu(6, b"\x30\x00"), False),  # an inter frame
        (obu(1, b"\x00") + obu(6, b"\x80\x00"), False),  # an earlier frame, shown again
        (obu(1, b"\x00"), False),
        (b"", False),
    ],
)
def test_av1(sample: bytes, clean: bool) -> None:
    """A sequence header, then a key frame that is shown."""
    assert av1_starts_clean(sample) is clean


@pytest.mark.parametrize(
    ("first", "clean"),
    [
        (0b1000_0010, True),  # profile 0, a key frame, shown
        (0b1000_0000, False),  # a key frame, hidden
        (0b1000_0110, False),  # an inter frame
        (0b1000_1010, False),  # an earlier frame, shown again
        (0b1010_0010, True),  # profile 1
        (0b1011_0001, True),  # profile 3 has a bit more
        (0b0100_0010, False),  # no VP9
    ],
)
def test_vp9(first: int, clean: bool) -> None:
    """A key frame that is shown."""
    assert vp9_starts_clean(bytes([first, 0x49, 0x83, 0x42])) is clean
