"""Whether decoding can start with a packet, nothing of what comes before being needed. Pure.

Each reads one MP4 sample: NAL units behind four-byte lengths (ISO/IEC 14496-15), OBUs
("AV1 Codec ISO Media File Format Binding"), or a VP9 frame or superframe.
"""

from __future__ import annotations

from collections.abc import Iterator

__all__ = [
    "av1_starts_clean",
    "h264_starts_clean",
    "hevc_may_start",
    "hevc_starts_clean",
    "vp9_starts_clean",
]

_H264_IDR = 5  # nal_unit_type, ITU-T H.264 table 7-1
_HEVC_IDR = (19, 20)  # IDR_W_RADL and IDR_N_LP, ITU-T H.265 table 7-1
_HEVC_IRAP = range(16, 22)  # BLA, IDR and CRA
_HEVC_RASL = (8, 9)
_SEQUENCE, _FRAME_HEADER, _FRAME = 1, 3, 6  # obu_type, AV1 6.2.2
_KEY_AND_SHOWN = 0b0001  # show_existing_frame 0, frame_type KEY_FRAME, show_frame 1


def _nal_units(sample: bytes) -> Iterator[int]:
    """The first byte of each NAL unit."""
    at = 0
    while at + 5 <= len(sample):
        yield sample[at + 4]
        at += 4 + int.from_bytes(sample[at : at + 4], "big")


def h264_starts_clean(sample: bytes) -> bool:
    """Whether it holds an IDR slice."""
    return any(byte & 0x1F == _H264_IDR for byte in _nal_units(sample))


def hevc_starts_clean(sample: bytes) -> bool:
    """Whether its picture is an IDR, which no leading picture may reach back across."""
    types = [byte >> 1 & 0x3F for byte in _nal_units(sample)]
    return any(t in _HEVC_IDR for t in types) and not any(t in _HEVC_RASL for t in types)


def hevc_may_start(sample: bytes) -> bool:
    """Whether it is a picture that decoding may start with (IRAP), of any kind.

    Of a stream that is copied it is known that nothing reaches back across it.
    """
    types = [byte >> 1 & 0x3F for byte in _nal_units(sample)]
    return any(t in _HEVC_IRAP for t in types) and not any(t in _HEVC_RASL for t in types)


def av1_starts_clean(sample: bytes) -> bool:
    """Whether a sequence header and a key frame that is shown come first."""
    has_sequence = False
    for kind, payload in _obus(sample):
        if kind == _SEQUENCE:
            has_sequence = True
        elif kind in (_FRAME, _FRAME_HEADER):
            return has_sequence and bool(payload) and payload[0] >> 4 == _KEY_AND_SHOWN
    return False


def _obus(sample: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and payload of each OBU (AV1 5.3)."""
    at = 0
    while at < len(sample):
        header = sample[at]
        at += 2 if header & 0b100 else 1  # an extension header
        size = len(sample) - at
        if header & 0b10:
            size, at = _leb128(sample, at)
        yield header >> 3 & 0xF, sample[at : at + size]
        at += size


def _leb128(data: bytes, at: int) -> tuple[int, int]:
    """A number in groups of seven bits, the lowest first; and what follows it."""
    value = 0
    for i in range(8):
        if at >= len(data):
            break
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << (7 * i)
        if not byte & 0x80:
            break
    return value, at


def vp9_starts_clean(sample: bytes) -> bool:
    """Whether it begins with a key frame that is shown (VP9 6.2)."""
    if not sample or sample[0] >> 6 != 0b10:
        return False
    bits, left = sample[0], 4  # after frame_marker and the two bits of the profile
    if bits >> 4 & 0b11 == 0b11:
        left -= 1  # profile 3 has a bit more
    shows_existing, is_inter, is_shown = (bits >> (left - i) & 1 for i in (1, 2, 3))
    return not shows_existing and not is_inter and bool(is_shown)
