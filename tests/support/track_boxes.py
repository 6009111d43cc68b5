"""What the boxes of an MP4 say of its video track, and its SPS: read here, byte by byte.

ISO/IEC 14496-12 has the boxes; the SPS is shown by ffmpeg's `trace_headers`.
"""

from __future__ import annotations

import re
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from tests.support.media import FFMPEG

_PARENTS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts"}


@dataclass(frozen=True, slots=True)
class VideoTrack:
    """Of the video track of an MP4.

    stts, ctts: (count, value) as they are stored, in ticks; edits: (movie ticks, media time).
    """

    scale: int
    movie_scale: int
    stts: list[tuple[int, int]]
    ctts: list[tuple[int, int]]
    edits: list[tuple[int, int]]

    @property
    def times(self) -> list[int]:
        """When its samples are shown, in ticks from the edit's start, in decoding order."""
        steps = [step for count, step in self.stts for _ in range(count)]
        offsets = [offset for count, offset in self.ctts for _ in range(count)]
        start = self.edits[0][1] if self.edits else 0
        dts = [sum(steps[:i]) for i in range(len(steps))]
        return [d + o - start for d, o in zip(dts, offsets or [0] * len(dts), strict=True)]


def video_track(path: Path) -> VideoTrack:
    """Read the boxes of an MP4 with one video track."""
    found: dict[bytes, bytes] = {}
    for name, body in _boxes(path.read_bytes()):
        if name == b"trak":
            inside = dict(_boxes(body))
            if inside[b"hdlr"][8:12] == b"vide":
                found.update(inside)
        elif name == b"mvhd":
            found[name] = body
    return VideoTrack(
        scale=_scale(found[b"mdhd"]),
        movie_scale=_scale(found[b"mvhd"]),
        stts=_pairs(found[b"stts"], ">II"),
        ctts=_pairs(found.get(b"ctts", bytes(8)), ">Ii"),
        edits=_edits(found.get(b"elst", bytes(8))),
    )


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(data):
        size, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        body = data[at + 8 : at + size]
        yield name, body
        if name in _PARENTS:
            yield from _boxes(body)
        at += size


def _scale(header: bytes) -> int:
    at = 20 if header[0] == 1 else 12
    return int.from_bytes(header[at : at + 4], "big")


def _pairs(body: bytes, layout: str) -> list[tuple[int, int]]:
    count = int.from_bytes(body[4:8], "big")
    return [struct.unpack_from(layout, body, 8 + 8 * i) for i in range(count)]


def _edits(body: bytes) -> list[tuple[int, int]]:
    count, long = int.from_bytes(body[4:8], "big"), body[0] == 1
    layout, size = (">Qq", 20) if long else (">Ii", 12)
    return [struct.unpack_from(layout, body, 8 + size * i) for i in range(count)]


def picture_clock(path: Path) -> Fraction | None:
    """Frames/s that an H.264 file's SPS tells: `time_scale / num_units_in_tick`, halved."""
    command = [FFMPEG, "-v", "trace", "-i", path, "-c", "copy", "-frames:v", "1"]
    shown = [*command, "-bsf:v", "trace_headers", "-f", "null", "-"]
    done = subprocess.run(shown, capture_output=True, check=True)
    words = done.stderr.decode(errors="replace")
    values = {
        name: {int(v) for v in re.findall(rf"\b{name}\s+[01]+ = (\d+)", words)}
        for name in ("num_units_in_tick", "time_scale")
    }
    if not values["time_scale"]:
        return None
    ((units,), (scale,)) = values["num_units_in_tick"], values["time_scale"]
    return Fraction(scale, 2 * units)
