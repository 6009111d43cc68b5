"""Where the media data of an MP4 or QuickTime file lies, so that it need not be fetched. Pure.

The index of such a file (`moov`, `moof`) tells every frame's time and size; a demuxer still
reads the frames themselves, and does not mind what they hold. ISO/IEC 14496-12, section 4.2.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["media_holes"]

_FIRST = {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"styp"}

# Decoders and parsers learn from the first frames what no header tells (field order, pixels).
_KEPT_BYTES = 5_000_000
_MOST_BOXES = 20_000


def media_holes(
    read: Callable[[int, int], bytes], size: int, kept: int = _KEPT_BYTES
) -> list[tuple[int, int]]:
    """Byte ranges of the media data, less the first `kept` bytes of it; none in other files.

    read: gives bytes [start, end), perhaps fewer.
    """
    holes: list[tuple[int, int]] = []
    at = 0
    for _ in range(_MOST_BOXES):
        header = read(at, at + 16)
        if len(header) < 8 or (at == 0 and header[4:8] not in _FIRST):
            break
        length, body = int.from_bytes(header[:4], "big"), at + 8
        if length == 1 and len(header) == 16:
            length, body = int.from_bytes(header[8:], "big"), at + 16
        end = size if length == 0 else min(size, at + length)
        if end < body:
            break
        if header[4:8] == b"mdat":
            start = min(end, body + kept)
            kept -= start - body
            if start < end:
                holes.append((start, end))
        at = end
    return holes
