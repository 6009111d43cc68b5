"""A program: decode a video from its start and print what its pictures are like, at each change.

It is run as a file, in a process of its own (`media.picture_shapes` does), and imports nothing of
the package. ffmpeg's own command line cannot tell it: it gives every frame the pixel aspect that
the container begins with.

Its argument is a JSON object:
url, options: what to open, and how; stream: index of the video stream.

It prints a line `shape={...}` for the first frame and each one that differs from the one before:
frame: its number, from 0; pts: its presentation time, or null; width, height: as stored; aspect: of
its pixels, as [numerator, denominator], or null; matrix: nine numbers that say how it is turned, or
null if no frame so far has any (a frame without them is shown like the one before); pixels: its
format; colors: range, matrix, primaries and transfer as ISO/IEC 23091-2 numbers them.
"""

from __future__ import annotations

import json
import logging
import struct
import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
import av.error
from av.codec.context import Flags
from av.stream import Discard

_PROGRESS_SECONDS = 0.5
# What the pictures show does not matter here; frames come out all the same.
_QUICK = {"skip_loop_filter": "all", "skip_idct": "all"}


def _frames(asked: dict[str, Any]) -> Iterator[tuple[Any, Fraction | None]]:
    """The frames as they are shown, each with its pixels' aspect.

    PyAV does not tell a frame's own; the decoder's is that of the packet it was given last.
    """
    with av.open(asked["url"], options=asked["options"], metadata_errors="ignore") as container:
        opened: Any = container
        stream = opened.streams[asked["stream"]]
        for other in opened.streams:
            if other.index != stream.index:
                other.discard = Discard.all
        context = stream.codec_context
        context.thread_count, context.thread_type = 1, "NONE"
        context.flags |= Flags.copy_opaque | Flags.output_corrupt  # as ffmpeg's command line
        context.options = _QUICK
        aspects: list[Fraction | None] = []
        packets = opened.demux(stream)
        while True:
            try:
                packet = next(packets, None)
            except (av.error.FFmpegError, IndexError):
                packet = None  # reading breaks off, or (IndexError) a stream appears in mid-file
            if packet is not None:
                packet.opaque = len(aspects)
            try:
                frames: list[Any] = context.decode(packet)
            except av.error.FFmpegError:
                frames = []  # damage: what the decoder gives of the next packets counts
            aspects.append(context.sample_aspect_ratio)
            for frame in frames:
                yield frame, aspects[frame.opaque if isinstance(frame.opaque, int) else -1]
            if packet is None:
                return


def _matrix(frame: Any) -> tuple[int, ...] | None:
    for data in frame.side_data:
        if str(data.type).endswith("DISPLAYMATRIX"):
            return struct.unpack("=9i", bytes(data)[:36])
    return None


def main() -> None:
    """Do what the argument asks for."""
    asked = json.loads(sys.argv[1])
    logging.disable()
    told, last, matrix = time.monotonic(), None, None
    for number, (frame, aspect) in enumerate(_frames(asked)):
        matrix = _matrix(frame) or matrix
        colors = (frame.color_range, frame.colorspace, frame.color_primaries, frame.color_trc)
        shape = {
            "width": frame.width,
            "height": frame.height,
            "aspect": [aspect.numerator, aspect.denominator] if aspect else None,
            "matrix": matrix,
            "pixels": frame.format.name,
            "colors": [int(color) for color in colors],
        }
        if shape != last:
            last = shape
            print(f"shape={json.dumps({'frame': number, 'pts': frame.pts, **shape})}")
        if time.monotonic() - told > _PROGRESS_SECONDS:
            told = time.monotonic()
            print(f"frame={number}", flush=True)


if __name__ == "__main__":
    try:
        main()
    except (av.error.FFmpegError, OSError, IndexError) as error:
        sys.exit(f"{error}")
