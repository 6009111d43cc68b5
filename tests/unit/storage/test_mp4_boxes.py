"""Edit lists as the boxes of a file give them."""

from __future__ import annotations

import struct

from clipping.storage.mp4_boxes import EditList, edit_lists
from tests.support.edit_lists import Part, box, elst


def file_with(*edits: bytes | None, version: int = 0) -> bytes:
    """A file with a track for each edit list, or for none; their ids from 1."""
    tracks: list[bytes] = []
    for number, edit in enumerate(edits, 1):
        times = bytes(16 if version else 8)
        head = box(b"tkhd", bytes([version, 0, 0, 7]), times, struct.pack(">I", number), bytes(60))
        tracks.append(box(b"trak", head, *([box(b"edts", edit)] if edit else [])))
    return box(b"ftyp", b"isom") + box(b"mdat", bytes(99)) + box(b"moov", *tracks)


def edits_of(content: bytes) -> dict[int, EditList]:
    """What is found."""
    return edit_lists(lambda start, end: content[start:end], len(content))


def test_parts_are_counted() -> None:
    """An empty one before all others is a late start, one behind them a hole."""
    kinds: dict[EditList, list[Part]] = {
        EditList(1, False): [(5, 0)],
        EditList(2, False): [(5, 0), (5, 8)],
        EditList(3, False): [(1, None), (5, 0), (5, 8), (5, 0)],
        EditList(2, True): [(5, 0), (1, None), (5, 8)],
    }
    content = file_with(None, *(elst(parts, 1000, 12800) for parts in kinds.values()))
    assert list(edits_of(content).items()) == list(enumerate(kinds, 2))


def test_times_of_64_bits() -> None:
    """Version 1 of the boxes."""
    rows = [(5000, 0), (1000, -1), (5000, 2**40)]
    parts = b"".join(struct.pack(">QqI", *row, 1 << 16) for row in rows)
    edit = box(b"elst", struct.pack(">II", 1 << 24, len(rows)), parts)
    assert edits_of(file_with(edit, version=1)) == {1: EditList(2, True)}


def test_what_is_no_such_file_has_none() -> None:
    """Nor what is cut off in the middle of a box."""
    content = file_with(elst([(5, 0), (5, 8)], 1000, 12800))
    assert edits_of(b"\x1a\x45\xdf\xa3" + content) == {}
    for end in range(len(content)):
        edits_of(content[:end])
