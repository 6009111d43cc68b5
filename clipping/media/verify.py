"""The proof, per clip, that it holds what was planned; without it nothing is published."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import av.error

from clipping.errors import FfmpegError, VerificationError
from clipping.ffmpeg import process
from clipping.ffmpeg.commands import decode_command, input_url
from clipping.ffmpeg.encoders import Encoder
from clipping.ffmpeg.showinfo import Decoded
from clipping.plan.time_line import TimeLine

__all__ = ["decode_clip", "verify_clip"]

# Opening a file decodes a frame of it, for what the boxes of an MP4 say anyway: 17 ms, else 1 ms.
_DO_NOT_DECODE = {"codec_whitelist": "none"}


def verify_clip(
    path: Path,
    time_line: TimeLine,
    size: tuple[int, int],
    encoder: Encoder,
    *,
    aspect: Fraction | None = None,
) -> None:
    """Read the file back and compare it with the plan, packet for packet.

    time_line: of the frames that must be in it, and no others; size: in pixels; aspect: width
    to height of a pixel, if that is to be looked at.
    Checked: every frame's time, the first at 0, a clean start, each DTS after the last and not
    after its PTS, the duration, a constant rate, the size, the sample entry. Raises
    VerificationError.
    """
    expected = list(time_line.ticks.values())
    try:
        with av.open(str(path), options=_DO_NOT_DECODE) as container:
            stream = container.streams.video[0]
            packets = [p for p in container.demux(stream) if p.size]
            time_base = Fraction(stream.time_base or 1)
            if (stream.width, stream.height) != size:
                got = f"{stream.width}x{stream.height}"
                raise VerificationError(f"the picture is {got}, not {size[0]}x{size[1]}")
            told = stream.sample_aspect_ratio or 1
            if aspect is not None and told != aspect:
                raise VerificationError(f"its pixels are {told} as wide as high, not {aspect}")
            found = sorted(p.pts for p in packets if p.pts is not None)
            if found != expected:
                raise VerificationError(_difference(found, expected))
            if not packets[0].is_keyframe or not encoder.starts_clean(bytes(packets[0])):
                raise VerificationError("it does not start with an IDR picture")
            tag = stream.codec_context.codec_tag
            if tag != encoder.mp4_tag:
                raise VerificationError(f"its sample entry is {tag}, not {encoder.mp4_tag}")
            dts = [p.dts for p in packets if p.dts is not None]
            if any(b <= a for a, b in pairwise(dts)):
                raise VerificationError("its decoding times do not ascend")
            if any(p.dts is None or p.pts is None or p.dts > p.pts for p in packets):
                raise VerificationError("a packet is decoded after it is shown")
            lasts = (stream.duration or 0) * time_base
            if lasts != time_line.duration:
                raise VerificationError(
                    f"it lasts {float(lasts):.6f} s instead of {float(time_line.duration):.6f} s"
                )
            rate = time_line.frame_rate
            if rate and stream.average_rate != rate:
                raise VerificationError(f"it has {stream.average_rate} frames/s instead of {rate}")
    except (av.error.FFmpegError, IndexError) as error:
        raise VerificationError(f"the clip cannot be read back: {error}") from None


def _difference(found: Sequence[int], expected: Sequence[int]) -> str:
    if len(found) != len(expected):
        return f"it holds {len(found)} frames instead of {len(expected)}"
    at = next(i for i, (a, b) in enumerate(zip(found, expected, strict=True)) if a != b)
    return f"frame {at} is shown at tick {found[at]} instead of {expected[at]}"


def decode_clip(
    path: Path,
    frames: int,
    binary: str,
    stall_limit: float,
    run: process.Runner = process.run,
) -> None:
    """Decode the whole clip; every frame must come out, without a complaint.

    Raises VerificationError.
    """
    decoded = Decoded()
    command = decode_command(binary, input_url(str(path)), 0, threads=1)
    try:
        finished = run(
            command,
            what="decoding the clip",
            on_line=decoded.read,
            stall_limit=stall_limit,
        )
    except FfmpegError as error:
        if error.kind.is_transient:
            raise
        raise VerificationError(f"it does not decode: {error.message}") from None
    if len(decoded.pts) != frames or finished.damage:
        raise VerificationError(
            f"{len(decoded.pts)} of {frames} frames decode, {finished.damage} with damage"
        )
