"""Edit lists of several parts, written into an MP4 whose `moov` comes last."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

# Seconds that a part lasts, and second of the media at which it begins; None for an empty one.
Part = tuple[Fraction | float, Fraction | float | None]


def boxes(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and content of each box (none of them with a size of 64 bits)."""
    at = 0
    while at + 8 <= len(content):
        size, kind = struct.unpack_from(">I4s", content, at)
        yield kind, content[at + 8 : at + size]
        at += size


def box(kind: bytes, *content: bytes) -> bytes:
    """A box."""
    return struct.pack(">I4s", 8 + sum(map(len, content)), kind) + b"".join(content)


def elst(parts: Sequence[Part], movie_scale: int, media_scale: int, media_start: int = 0) -> bytes:
    """The box with the parts; media_start: the media's tick that is second 0 of it."""
    rows = (
        struct.pack(
            ">IiI",
            round(lasts * movie_scale),
            -1 if begins is None else media_start + round(begins * media_scale),
            1 << 16,
        )
        for lasts, begins in parts
    )
    return box(b"elst", struct.pack(">II", 0, len(parts)), *rows)


def edited(
    video: Path, path: Path, picture: Sequence[Part] | None, sound: Sequence[Part] | None = None
) -> Path:
    """A copy whose tracks have these parts; a track without any is left as it is."""
    tops = list(boxes(video.read_bytes()))
    assert tops[-1][0] == b"moov"
    moov = tops[-1][1]
    movie_scale = next(struct.unpack_from(">I", c, 12)[0] for k, c in boxes(moov) if k == b"mvhd")

    def track(content: bytes) -> bytes:
        inner = dict(boxes(content))
        media = dict(boxes(inner[b"mdia"]))
        parts = picture if b"vmhd" in dict(boxes(media[b"minf"])) else sound
        if parts is None:
            return content
        media_start = 0
        if b"edts" in inner:  # what hides the delay of reordering, or of an encoder
            media_start = struct.unpack_from(">i", inner[b"edts"], 8 + 8 + 4)[0]
        (media_scale,) = struct.unpack_from(">I", media[b"mdhd"], 12)
        edits = box(b"edts", elst(parts, movie_scale, media_scale, media_start))
        rest = [box(kind, c) for kind, c in inner.items() if kind not in (b"tkhd", b"edts")]
        return b"".join([box(b"tkhd", inner[b"tkhd"]), edits, *rest])

    changed = [box(k, track(c) if k == b"trak" else c) for k, c in boxes(moov)]
    path.write_bytes(b"".join([*(box(k, c) for k, c in tops[:-1]), box(b"moov", *changed)]))
    return path
