"""What the boxes of an MP4 or QuickTime file say that a demuxer does not tell. Pure.

Where the media data lies, so that it need not be fetched: the index of such a file (`moov`,
`moof`) tells every frame's time and size; a demuxer still reads the frames themselves, and does
not mind what they hold. And the edit lists. ISO/IEC 14496-12, sections 4.2 and 8.6.6.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

__all__ = ["EditList", "edit_lists", "media_holes"]

# Gives bytes [start, end) of a file, perhaps fewer.
Read = Callable[[int, int], bytes]

_FIRST = {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"styp"}

# Decoders and parsers learn from the first frames what no header tells (field order, pixels).
_KEPT_BYTES = 5_000_000
_MOST_BOXES = 20_000
_MOST_EDIT_BYTES = 1_000_000


def media_holes(read: Read, size: int, kept: int = _KEPT_BYTES) -> list[tuple[int, int]]:
    """Byte ranges of the media data, less the first `kept` bytes of it; none in other files."""
    holes: list[tuple[int, int]] = []
    for kind, body, end in _file_boxes(read, size):
        if kind == b"mdat":
            start = min(end, body + kept)
            kept -= start - body
            if start < end:
                holes.append((start, end))
    return holes


@dataclass(frozen=True, slots=True)
class EditList:
    """Of which parts of its media a track is made.

    parts: how many parts with media it has; has_hole: whether an empty part lies behind the first
    of them (one before it is a late start).
    """

    parts: int
    has_hole: bool


def edit_lists(read: Read, size: int) -> dict[int, EditList]:
    """The edit list of each track that has one, by the track's id."""
    found: dict[int, EditList] = {}
    for kind, body, end in _file_boxes(read, size):
        if kind != b"moov":
            continue
        for track, inside, after in _boxes(read, body, end):
            if track == b"trak":
                number, edits = _edits_of_track(read, inside, after)
                if edits is not None:
                    found[number] = edits
    return found


def _edits_of_track(read: Read, start: int, end: int) -> tuple[int, EditList | None]:
    number, edits = 0, None
    for kind, body, after in _boxes(read, start, end):
        if kind == b"tkhd":
            head = read(body, body + 24)
            number = int.from_bytes(head[20:24] if head[:1] == b"\1" else head[12:16], "big")
        elif kind == b"edts":
            for inner, at, stop in _boxes(read, body, after):
                if inner == b"elst":
                    edits = _edit_list(read(at, min(stop, at + _MOST_EDIT_BYTES)))
    return number, edits


def _edit_list(content: bytes) -> EditList:
    """An `elst` box: times of 64 bits in version 1, else of 32; a media time of -1 is empty."""
    width = 8 if content[:1] == b"\1" else 4
    row = 2 * width + 4
    told = int.from_bytes(content[4:8], "big")
    starts = [content[at + width : at + 2 * width] for at in range(8, len(content) - row + 1, row)]
    empty = [start == b"\xff" * width for start in starts[:told]]
    first = empty.index(False) if False in empty else len(empty)
    return EditList(empty.count(False), any(empty[first:]))


def _file_boxes(read: Read, size: int) -> Iterator[tuple[bytes, int, int]]:
    """The boxes of the file itself; none if it is no file of that kind."""
    if read(0, 8)[4:8] in _FIRST:
        yield from _boxes(read, 0, size)


def _boxes(read: Read, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start of the content and end of each box that lies in `[start, end)`."""
    at = start
    for _ in range(_MOST_BOXES):
        header = read(at, min(end, at + 16))
        if len(header) < 8:
            return
        length, body = int.from_bytes(header[:4], "big"), at + 8
        if length == 1 and len(header) == 16:
            length, body = int.from_bytes(header[8:], "big"), at + 16
        after = end if length == 0 else min(end, at + length)
        if after < body:
            return
        yield header[4:8], body, after
        at = after
