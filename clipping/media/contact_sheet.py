"""A picture of the first frames of some clips, side by side, small enough to travel in a record."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from fractions import Fraction
from typing import Any, BinaryIO

import av
from av.error import FFmpegError

__all__ = ["COLUMNS", "contact_sheet"]

COLUMNS = 4
_TILE = (240, 136)
_GAP = 4
_PLANES = ((1, 1), (2, 2), (2, 2))  # of 4:2:0: how much smaller than the picture
_BLACK = (0, 128, 128)


def contact_sheet(clips: Iterable[BinaryIO]) -> bytes | None:
    """A JPEG of the first frame of each clip, row by row; None if there is none.

    A clip that cannot be read leaves its place black.
    """
    tiles = [_first_frame(clip) for clip in clips]
    if not any(tiles):
        return None
    rows = -(-len(tiles) // COLUMNS)
    columns = min(COLUMNS, len(tiles))
    width = columns * (_TILE[0] + _GAP) - _GAP
    height = rows * (_TILE[1] + _GAP) - _GAP
    sheet: Any = av.VideoFrame(width, height, "yuvj420p")
    canvas = [
        bytearray([black]) * (plane.line_size * plane.height)
        for plane, black in zip(sheet.planes, _BLACK, strict=True)
    ]
    for number, tile in enumerate(tiles):
        row, column = divmod(number, COLUMNS)
        if tile is not None:
            left = column * (_TILE[0] + _GAP) + (_TILE[0] - tile.width) // 4 * 2
            top = row * (_TILE[1] + _GAP) + (_TILE[1] - tile.height) // 4 * 2
            _paste(tile, canvas, [plane.line_size for plane in sheet.planes], left, top)
    for plane, content in zip(sheet.planes, canvas, strict=True):
        plane.update(bytes(content))
    return _jpeg(sheet)


def _first_frame(clip: BinaryIO) -> Any:
    """The first frame, scaled to fit a tile; None if the clip cannot be read."""
    with suppress(FFmpegError, OSError, IndexError), av.open(clip) as opened:
        container: Any = opened
        stream: Any = container.streams.video[0]
        stream.thread_type = "NONE"
        frames: Iterable[Any] = container.decode(stream)
        for frame in frames:
            shape = float(stream.sample_aspect_ratio or 1)
            width, height = _fitting(frame.width * shape, float(frame.height))
            return frame.reformat(width, height, "yuvj420p", dst_color_range="JPEG")
    return None


def _fitting(width: float, height: float) -> tuple[int, int]:
    """The even size of a picture that fits a tile."""
    scale = min(_TILE[0] / width, _TILE[1] / height)
    return max(2, int(width * scale) // 2 * 2), max(2, int(height * scale) // 2 * 2)


def _paste(tile: Any, canvas: list[bytearray], strides: list[int], left: int, top: int) -> None:
    for plane, content, stride, (across, down) in zip(
        tile.planes, canvas, strides, _PLANES, strict=True
    ):
        source, size = memoryview(plane), plane.width
        for row in range(plane.height):
            start = (top // down + row) * stride + left // across
            line = row * plane.line_size
            content[start : start + size] = source[line : line + size]


def _jpeg(picture: Any) -> bytes:
    encoder: Any = av.CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height = picture.width, picture.height
    encoder.pix_fmt, encoder.time_base = "yuvj420p", Fraction(1, 25)
    encoder.qmin = encoder.qmax = 5
    picture.pts, picture.time_base = 0, Fraction(1, 25)
    packets = [*encoder.encode(picture), *encoder.encode(None)]
    return b"".join(bytes(packet) for packet in packets)
