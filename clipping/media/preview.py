"""A clip's first picture as a small JPEG, for people who look through many clips.

A clip begins with an IDR picture, so that one packet is decoded; nothing else of the clip is read.
"""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error

__all__ = ["write_preview"]

_BOX = (320, 180)  # pixels: a picture this wide or high at most
# Opening a file decodes a frame of it, for what the boxes of an MP4 say anyway.
_DO_NOT_DECODE = {"codec_whitelist": "none"}
_QUALITY = 6  # of mjpeg, from 2 to 31; 5 to 15 KB a picture


def write_preview(clip: Path, path: Path) -> Path | None:
    """Write the first picture of the finished file `clip` to `path`; None if that is not possible.

    Nothing is raised: a clip without a preview is as good as any other.
    """
    with suppress(av.error.FFmpegError, OSError, ValueError, IndexError):
        frame, shape = _first_frame(clip)
        if frame is not None:
            path.write_bytes(_jpeg(frame, shape))
            return path
    path.unlink(missing_ok=True)
    return None


def _first_frame(clip: Path) -> tuple[Any, Fraction]:
    """The first frame, and the shape of its pixels (width to height)."""
    with av.open(str(clip), options=_DO_NOT_DECODE) as container:
        stream = container.streams.video[0]
        shape = Fraction(stream.sample_aspect_ratio or 1)
        packet = next(p for p in container.demux(stream) if p.size)
        decoder: Any = av.CodecContext.create(stream.codec_context.name, "r")
        decoder.extradata = stream.codec_context.extradata
        decoder.thread_count = 1
        decoder.options = {"skip_loop_filter": "all"}  # what it smooths is not seen at this size
        frames = [*decoder.decode(packet), *decoder.decode(None)]
    return (frames[0] if frames else None), shape


def _jpeg(frame: Any, shape: Fraction) -> bytes:
    width, height = _fitting(frame.width * shape, frame.height)
    small = frame.reformat(
        width, height, "yuvj420p",
        dst_colorspace="ITU601", dst_color_range="JPEG", interpolation="AREA",
    )  # fmt: skip
    encoder: Any = av.CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuvj420p"
    encoder.time_base = Fraction(1, 25)
    encoder.thread_count = 1
    encoder.options = {"flags": "+qscale", "global_quality": str(_QUALITY * 118)}  # in lambda
    small.pts, small.time_base = 0, encoder.time_base
    return b"".join(bytes(p) for p in (*encoder.encode(small), *encoder.encode(None)))


def _fitting(width: Fraction, height: int) -> tuple[int, int]:
    """The size within the box, of even numbers; never larger than the picture is."""
    scale = min(Fraction(_BOX[0]) / width, Fraction(_BOX[1], height), Fraction(1))
    return max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2)
