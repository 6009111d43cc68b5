"""A change in the headers of packets is noticed, and nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipping.media.header_watch import HeaderWatch

SPS, OTHER = b"\x67\x64\x00\x0d\xac\xd9", b"\x67\x64\x00\x14\xac\xd9"
SLICE, IDR = b"\x41\x9a" + b"\x67" * 9, b"\x65\x88" + b"\x67" * 9
PPS, AUD = b"\x68\xef", b"\x09\xf0"
START = b"\0\0\0\1"
SEQUENCE = b"\0\0\1\xb3\x14\x00\xf0\x13\xff\xff\xe0\x18"  # 320x240, square pixels, 25 frames/s
CODECS = ("h264", "hevc", "mpeg1video", "mpeg2video", "mpeg4", "vp8", "vp9", "av1", "mjpeg")


def started(*units: bytes) -> bytes:
    return b"".join(START + unit for unit in units)


def prefixed(*units: bytes) -> bytes:
    return b"".join(len(unit).to_bytes(4, "big") + unit for unit in units)


def avcc(*sets: bytes) -> bytes:
    """An avcC box's content, ISO/IEC 14496-15, 5.3.3.1."""
    listed = b"".join(len(s).to_bytes(2, "big") + s for s in sets)
    return b"\x01\x64\x00\x0d\xff" + bytes([0xE0 | len(sets)]) + listed + b"\0"


def is_noticed(codec: str, extradata: bytes, *packets: bytes) -> bool:
    watch = HeaderWatch(codec, extradata)
    for packet in packets:
        watch.read(packet)
    return watch.is_suspicious


def test_another_sps_is_noticed() -> None:
    """In a stream with start codes and in an MP4, wherever the first one stood."""
    same = started(AUD, SPS, PPS, IDR), started(AUD, SLICE), started(AUD, SPS, PPS, IDR)
    assert not is_noticed("h264", b"", *same)
    assert is_noticed("h264", b"", *same, started(AUD, OTHER, PPS, IDR))
    assert is_noticed("h264", b"", *same, started(OTHER, PPS, SLICE)), "before a recovery point"
    in_mp4 = prefixed(IDR), prefixed(SLICE), prefixed(SPS, PPS, IDR)
    assert not is_noticed("h264", avcc(SPS), *in_mp4)
    assert is_noticed("h264", avcc(SPS), *in_mp4, prefixed(OTHER, IDR))
    assert not is_noticed("h264", avcc(SPS, OTHER), *in_mp4, prefixed(OTHER, IDR))


def test_an_orientation_message_is_noticed_at_once() -> None:
    """A seek may miss the message that the pictures shown are turned by."""
    recovery, turn = b"\x06\x06\x01\xc4\x80", b"\x06\x01\x01\x80\x2f\x03\x80\x00\x41\x80"
    assert not is_noticed("h264", b"", started(SPS, recovery, IDR))
    assert is_noticed("h264", b"", started(SPS, turn, IDR))


def test_what_says_nothing_of_the_picture_may_change() -> None:
    """MPEG-2's bit rate and buffer size stand beside the size and the pixels' aspect."""
    assert not is_noticed("mpeg2video", b"", SEQUENCE, SEQUENCE[:8] + b"\x01\x02\x03\x04")
    assert is_noticed("mpeg2video", b"", SEQUENCE, SEQUENCE[:7] + b"\x33" + SEQUENCE[8:])
    assert is_noticed("mpeg2video", b"", SEQUENCE, SEQUENCE[:4] + b"\x0a" + SEQUENCE[5:])


def test_vp9_between_keyframes() -> None:
    """A size of its own in a frame that is no keyframe: what calls change when bandwidth does."""
    key = bytes.fromhex("824983420013f00ef0")
    # 2 bits marker, profile 0; not shown before, no keyframe, shown, not resilient; reset;
    # refresh flags, three references; no size of theirs, then one of its own.
    own = "1000011000" + "0" * 20 + "000" + f"{159:016b}" + f"{119:016b}"
    as_before = "1000011000" + "0" * 20 + "1"

    def packed(bits: str) -> bytes:
        return int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")

    assert not is_noticed("vp9", b"", key, packed(as_before), packed(as_before))
    assert is_noticed("vp9", b"", key, packed(as_before), packed(own))


@pytest.mark.parametrize("codec", CODECS)
@given(st.binary(max_size=80), st.lists(st.binary(max_size=120), max_size=4))
def test_bytes_of_any_kind_do_no_harm(codec: str, extradata: bytes, packets: list[bytes]) -> None:
    """A probe reads files from strangers."""
    is_noticed(codec, extradata, *packets)
    is_noticed(codec, b"\x01" + extradata, *packets)


@pytest.mark.parametrize("codec", CODECS)
def test_what_was_not_fetched_is_not_noticed(codec: str) -> None:
    """The frames of a remote MP4 are read as zeros."""
    assert not is_noticed(codec, avcc(SPS), bytes(2048), bytes(2048))
