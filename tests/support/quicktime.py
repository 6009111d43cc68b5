"""Boxes of QuickTime and MP4 files, put into sample entries as cameras and editors write them."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

__all__ = ["box", "channel_labels", "dolby_vision", "in_sample_entry"]

_FOLDERS = (b"moov", b"trak", b"mdia", b"minf", b"stbl")


def box(kind: bytes, content: bytes) -> bytes:
    """One box."""
    return struct.pack(">I4s", 8 + len(content), kind) + content


def _boxes(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(content):
        size, kind = struct.unpack(">I4s", content[at : at + 8])
        if size < 8:
            return
        yield kind, content[at + 8 : at + size]
        at += size


def in_sample_entry(path: Path, entry: bytes, fixed: int, added: bytes) -> None:
    """Put boxes into the sample entries `entry`, in place of others of the first one's kind.

    fixed: bytes of the entry before its boxes. The file's `moov` has to be its last box.
    """

    def edited(kind: bytes, content: bytes) -> bytes:
        if kind in _FOLDERS:
            return b"".join(box(k, edited(k, c)) for k, c in _boxes(content))
        if kind != b"stsd":
            return content
        changed = content[:8]
        for name, body in _boxes(content[8:]):
            if name == entry:
                kept = [box(k, c) for k, c in _boxes(body[fixed:]) if k != added[4:8]]
                changed += box(name, body[:fixed] + b"".join([*kept, added]))
                continue
            changed += box(name, body)
        return changed

    _edit_moov(path, edited)


def _edit_moov(path: Path, edited: Callable[[bytes, bytes], bytes]) -> None:
    data = path.read_bytes()
    at = data.rindex(b"moov") - 4
    (size,) = struct.unpack(">I", data[at : at + 4])
    assert at + size == len(data), "moov is not the last box"
    path.write_bytes(data[:at] + box(b"moov", edited(b"moov", data[at + 8 :])))


def channel_labels(path: Path, entry: bytes, labels: Sequence[int]) -> None:
    """Label the channels of a QuickTime track (`chan`, CoreAudio's AudioChannelLabel)."""
    described = b"".join(struct.pack(">II3f", label, 0, 0, 0, 0) for label in labels)
    chan = box(b"chan", struct.pack(">IIII", 0, 0, 0, len(labels)) + described)
    data = path.read_bytes()
    at = data.index(entry, data.rindex(b"moov")) + 4
    (version,) = struct.unpack(">H", data[at + 8 : at + 10])
    in_sample_entry(path, entry, {0: 28, 1: 44, 2: 64}[version], chan)


def dolby_vision(path: Path, profile: int, compatibility: int) -> None:
    """Say of HEVC in MP4 that it is Dolby Vision (`dvcC`, ETSI TS 103 572)."""
    level, has_rpu, has_base = 3, 1, 1
    bits = profile << 9 | level << 3 | has_rpu << 2 | has_base
    config = struct.pack(">BBHB", 1, 0, bits, compatibility << 4) + bytes(19)
    in_sample_entry(path, b"hvc1", 78, box(b"dvcC", config))
