"""Notice in a video's packets that its pictures may change in mid-stream, without decoding. Pure.

What a picture is like stands in headers that come with keyframes: the SPS of H.264 and HEVC, the
sequence headers of MPEG-1, MPEG-2 and AV1, MPEG-4's VOL, the frame headers of VP8 and VP9. They are
compared, not understood: where one comes that was not there before, `media.picture_shapes` asks a
decoder what it means. It costs 1 to 4 µs a packet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

__all__ = ["HeaderWatch"]

_HEAD = 2048  # bytes of a packet in which its headers are looked for; they come before the picture
_START = b"\0\0\1"
_MOST_UNITS = 32
_ORIENTATION = 47  # payloadType of the display orientation SEI message, ITU-T H.264 and H.265, D.1

Headers = Callable[[bytes], Iterator[bytes]]


class HeaderWatch:
    """Watches one stream. is_suspicious: whether its pictures may not all be alike."""

    def __init__(self, codec: str, extradata: bytes | None) -> None:
        """codec: ffmpeg's name of it; extradata: the headers that the container has."""
        self.is_suspicious = False
        self._extradata = extradata or b""
        self._headers = _reader(codec, self._extradata)
        self._known = set(_container_headers(codec, self._extradata))
        self._is_first = True

    def see(self, packet: Any) -> None:
        """Take in the next packet in decoding order."""
        if self.is_suspicious:
            return
        if packet.is_keyframe and (
            packet.has_sidedata("new_extradata") or packet.has_sidedata("param_change")
        ):
            self.is_suspicious = not self._is_first
        if self._headers is not None:
            self.read(bytes(memoryview(packet)[:_HEAD]))
        self._is_first = False

    def read(self, head: bytes) -> None:
        """Take in the beginning of the next packet."""
        if self._headers is None:
            return
        found = set(self._headers(head))
        if not found <= self._known:
            is_turned = any(header.startswith(_TURN) for header in found)
            self.is_suspicious |= is_turned or not self._is_first
            self._known |= found
        self._is_first = False


_TURN = b"turn:"


def _reader(codec: str, extradata: bytes) -> Headers | None:
    if codec in ("h264", "hevc"):
        split, units = _UNITS[codec], _prefix_size(codec, extradata)
        return lambda head: split(_prefixed(head, units) if units else _started(head))
    return _READERS.get(codec)


def _container_headers(codec: str, extradata: bytes) -> Iterator[bytes]:
    """The headers that a container has: in an avcC or hvcC box, or as they stand in the stream."""
    if codec == "h264" and extradata[:1] == b"\1":  # ISO/IEC 14496-15, 5.3.3.1
        at = 6
        for _ in range(extradata[5] & 31 if len(extradata) > 5 else 0):
            size = int.from_bytes(extradata[at : at + 2], "big")
            yield extradata[at + 2 : at + 2 + size].rstrip(b"\0")
            at += 2 + size
    elif codec == "hevc" and extradata[:1] == b"\1":  # the same, 8.3.3.1
        at = 23
        for _ in range(extradata[22] if len(extradata) > 22 else 0):
            kind, number = extradata[at : at + 1], int.from_bytes(extradata[at + 1 : at + 3], "big")
            at += 3
            for _ in range(number):
                size = int.from_bytes(extradata[at : at + 2], "big")
                if kind and kind[0] & 63 == _HEVC_SPS:
                    yield extradata[at + 2 : at + 2 + size].rstrip(b"\0")
                at += 2 + size
                if at >= len(extradata):
                    return
    elif extradata and (reader := _reader(codec, extradata)):
        yield from reader(extradata)


def _prefix_size(codec: str, extradata: bytes) -> int:
    """Bytes of the length before each unit; 0 where units stand behind start codes."""
    at = 4 if codec == "h264" else 21
    return (extradata[at] & 3) + 1 if extradata[:1] == b"\1" and len(extradata) > at else 0


def _prefixed(head: bytes, prefix: int) -> Iterator[bytes]:
    at = 0
    while at + prefix < len(head):
        size = int.from_bytes(head[at : at + prefix], "big")
        if size == 0:
            return
        yield head[at + prefix : at + prefix + size]
        at += prefix + size


def _started(head: bytes) -> Iterator[bytes]:
    at = head.find(_START)
    while at >= 0:
        following = head.find(_START, at + 3)
        yield head[at + 3 : following if following >= 0 else len(head)]
        at = following


_HEVC_SPS = 33


def _h264(units: Iterator[bytes]) -> Iterator[bytes]:
    for unit in islice(units, _MOST_UNITS):
        kind = unit[0] & 31 if unit else 0
        if 1 <= kind <= 5:
            return
        if kind == 7:
            yield unit.rstrip(b"\0")
        elif kind == 6:
            yield from _orientation(unit[1:])


def _hevc(units: Iterator[bytes]) -> Iterator[bytes]:
    for unit in islice(units, _MOST_UNITS):
        kind = unit[0] >> 1 & 63 if unit else 63
        if kind < 32:
            return
        if kind == _HEVC_SPS:
            yield unit.rstrip(b"\0")
        elif kind == 39:
            yield from _orientation(unit[2:])


_UNITS: dict[str, Callable[[Iterator[bytes]], Iterator[bytes]]] = {"h264": _h264, "hevc": _hevc}


def _orientation(messages: bytes) -> Iterator[bytes]:
    """The display orientation among SEI messages, ITU-T H.264, 7.3.2.3.1."""
    data, at = messages.replace(b"\0\0\3", b"\0\0"), 0
    while at + 2 < len(data):
        sizes: list[int] = []
        for _ in range(2):  # type, then size: bytes of 255 and one more
            value = 0
            while at < len(data) and data[at] == 255:
                value, at = value + 255, at + 1
            value += data[at] if at < len(data) else 0
            at += 1
            sizes.append(value)
        if sizes[0] == _ORIENTATION:
            yield _TURN + data[at : at + sizes[1]]
        at += sizes[1]


def _mpeg2(head: bytes) -> Iterator[bytes]:
    """Of a sequence header and its extensions what tells of the picture, ISO/IEC 13818-2, 6.2.2.

    What is left out (bit rate, buffer, matrices) may change as it likes.
    """
    told = b""
    for unit in islice(_started(head), _MOST_UNITS):
        if unit[:1] == b"\xb3" and len(unit) >= 5:
            told += unit[1:4] + bytes([unit[4] >> 4])
        elif unit[:1] == b"\xb5" and len(unit) >= 4 and told:
            kind = unit[1] >> 4
            if kind == 1:  # chroma format and the sizes' upper bits
                told += bytes([int.from_bytes(unit[1:4], "big") >> 5 & 0xFF])
            elif kind == 2:  # colours, and the size that the pixels' aspect is reckoned from
                told += unit[1:].rstrip(b"\0")
        elif unit[:1] == b"\0":
            break
    if told:
        yield told


def _mpeg4(head: bytes) -> Iterator[bytes]:
    for unit in islice(_started(head), _MOST_UNITS):
        if unit and 0x20 <= unit[0] <= 0x2F:  # video_object_layer, ISO/IEC 14496-2, 6.2.3
            yield unit.rstrip(b"\0")
        elif unit[:1] == b"\xb6":
            return


def _vp8(head: bytes) -> Iterator[bytes]:
    if len(head) >= 10 and not head[0] & 1 and head[3:6] == b"\x9d\x01\x2a":  # RFC 6386, 9.1
        yield head[6:10]


def _vp9(head: bytes) -> Iterator[bytes]:
    """The size, where a frame header has one; VP9 bitstream specification, 6.2."""
    bits = _Bits(head)
    if bits.read(2) != 2:
        return
    profile = bits.read(1) | bits.read(1) << 1
    if profile == 3:
        bits.read(1)
    if bits.read(1):  # a frame is shown that was there before
        return
    is_key = not bits.read(1)
    is_shown, is_resilient = bits.read(1), bits.read(1)
    is_intra = is_key or (not is_shown and bits.read(1) == 1)
    if not is_key and not is_resilient:
        bits.read(2)
    has_size = _vp9_intra(bits, profile, is_key) if is_intra else _vp9_inter(bits)
    if has_size:
        yield b"%d" % bits.read(32)


def _vp9_intra(bits: _Bits, profile: int, is_key: bool) -> bool:
    if bits.read(24) != 0x498342:
        return False
    if is_key or profile:
        if profile >= 2:
            bits.read(1)
        is_rgb = bits.read(3) == 7
        if not is_rgb:
            bits.read(1)  # range
        if profile & 1:
            bits.read(1 if is_rgb else 3)
    if not is_key:
        bits.read(8)
    return True


def _vp9_inter(bits: _Bits) -> bool:
    """A size of its own stands there only if it is not that of one of three other frames."""
    bits.read(8 + 3 * 4)
    return not any(bits.read(1) for _ in range(3))


class _Bits:
    def __init__(self, data: bytes) -> None:
        self._value, self._left = int.from_bytes(data[:32].ljust(32, b"\0"), "big"), 256

    def read(self, count: int) -> int:
        self._left -= count
        return self._value >> self._left & ((1 << count) - 1)


def _av1(head: bytes) -> Iterator[bytes]:
    """The sequence header, AV1 bitstream specification, 5.3 to 5.5."""
    if head[:1] == b"\x81":  # an av1C box
        head = head[4:]
    at = 0
    while at + 1 < len(head):
        kind, has_extension, has_size = head[at] >> 3 & 15, head[at] >> 2 & 1, head[at] >> 1 & 1
        at += 1 + has_extension
        if not has_size or kind in (3, 6):
            return
        size, shift = 0, 0
        while at < len(head):
            size, shift, at = size | (head[at] & 127) << shift, shift + 7, at + 1
            if not head[at - 1] & 128:
                break
        if kind == 1:
            yield head[at : at + size]
        at += size


_READERS: dict[str, Headers] = {
    "mpeg1video": _mpeg2,
    "mpeg2video": _mpeg2,
    "mpeg4": _mpeg4,
    "vp8": _vp8,
    "vp9": _vp9,
    "av1": _av1,
}
