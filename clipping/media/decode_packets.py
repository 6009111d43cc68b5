"""A program: decode a stretch of a video packet by packet and print what was said of each packet.

It is run as a file, in a process of its own (`media.packet_check` does), and imports nothing of
the package, which would take longer than most stretches. One thread decodes, and the log is
taken packet by packet, so that a complaint stands beside the packet that it is about, and beside
the same one in every run.

Its argument is a JSON object:
url, options: what to open, and how; stream: index of the video stream.
seek: PTS to seek to, or null to begin with the file; start: PTS of the keyframe that decoding has
to begin at or before; stop: PTS up to which frames are of interest.

It prints a line `packet={...}` for each packet in decoding order:
pts, key: of the packet; said: what was said while it was read and decoded, as [level, text];
corrupt: whether it, or the frame that came of it, is flagged as corrupt.
clean: of a keyframe: PTS from which all is well when decoding begins there; null if nothing is.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Iterator
from typing import Any

import av
import av.error
import av.logging
from av.codec.context import Flags
from av.stream import Discard

# FFmpeg's levels; of what is less than a warning, only that a picture was made up.
_WARNING = 24
_MADE_UP = "concealing "
_SAID_AT_MOST = 8
_PROGRESS_SECONDS = 0.5


def _said(logs: list[tuple[int, str, str]]) -> list[tuple[int, str]]:
    telling = [
        (level, text.strip()[:200])
        for level, _, text in logs
        if level <= _WARNING or text.startswith(_MADE_UP)
    ]
    return list(dict.fromkeys(telling))[:_SAID_AT_MOST]


def _set_up(context: Any) -> Any:
    """One thread, frames that are not whole given too, each with its packet's number."""
    context.thread_count = 1
    context.thread_type = "NONE"
    context.flags |= Flags.output_corrupt | Flags.copy_opaque
    return context


class _Restarts:
    """From when on frames are right if decoding begins at a keyframe.

    H.264 has keyframes that are none: after a recovery point with a count, frames get whole over
    the next so many (intra refresh). The decoder knows, and flags those before as corrupt.
    """

    def __init__(self, stream: Any) -> None:
        self._name, self._extradata = stream.codec_context.name, stream.codec_context.extradata
        self._slow: list[tuple[dict[str, Any], Any]] = []

    def _fresh(self) -> Any:
        create: Any = av.CodecContext.create
        context = create(self._name, "r")
        context.extradata = self._extradata
        return _set_up(context)

    def see(self, packet: Any, row: dict[str, Any]) -> None:
        """Take in the next packet; settle `clean` of its row, or of one before it."""
        if packet.is_keyframe:
            row["clean"] = packet.pts
            if self._name == "h264" and self._corrupt(self._fresh(), packet, None):
                row["clean"] = None
                self._slow.append((row, self._fresh()))
        for begun, context in self._slow:
            for frame in _decoded(context, packet):
                if not frame.is_corrupt and begun["clean"] is None:
                    begun["clean"] = frame.pts
        self._slow = [waiting for waiting in self._slow if waiting[0]["clean"] is None]

    @staticmethod
    def _corrupt(context: Any, *packets: Any) -> bool:
        frames = [frame for packet in packets for frame in _decoded(context, packet)]
        return bool(frames) and frames[0].is_corrupt


def _decoded(context: Any, packet: Any) -> list[Any]:
    try:
        return context.decode(packet)
    except av.error.FFmpegError:
        return []


def _opened(asked: dict[str, Any], seek: int | None) -> tuple[Any, Any, Iterator[Any]]:
    container: Any = av.open(asked["url"], options=asked["options"], metadata_errors="ignore")
    stream = container.streams[asked["stream"]]
    for other in container.streams:
        if other.index != stream.index:
            other.discard = Discard.all
    if seek is not None:
        container.seek(seek, stream=stream)
    _set_up(stream.codec_context)
    return container, stream, container.demux(stream)


def _next(packets: Iterator[Any]) -> Any:
    """The next packet that holds something; None at the end, or where reading breaks off."""
    try:
        return next((p for p in packets if p.size), None)
    except (av.error.FFmpegError, IndexError):
        return None  # IndexError: PyAV meets a stream that appears in mid-file


def _begin(asked: dict[str, Any], logs: Any) -> tuple[Any, Any, Iterator[Any], Any, bool]:
    """The source opened, the packet to begin with, and whether that is in mid-file, a keyframe."""
    if asked["seek"] is not None:
        container, stream, packets = _opened(asked, asked["seek"])
        logs.clear()  # opening decodes the first frames of the file
        first = _next(packets)
        while first is not None and not (first.is_keyframe and first.pts is not None):
            logs.clear()
            first = _next(packets)
        if first is not None and first.pts <= asked["start"]:
            return container, stream, packets, first, True
        container.close()
    container, stream, packets = _opened(asked, None)
    logs.clear()
    return container, stream, packets, _next(packets), False


def main() -> None:
    """Do what the argument asks for."""
    asked = json.loads(sys.argv[1])
    logging.disable()  # what is not captured
    av.logging.set_level(av.logging.INFO)
    av.logging.set_skip_repeated(False)
    rows: list[dict[str, Any]] = []
    told = time.monotonic()
    with av.logging.Capture(local=False) as logs:
        container, stream, packets, packet, in_middle = _begin(asked, logs)
        # Where decoding begins, the pictures shown before the keyframe lack what they are built on.
        first_pts = packet.pts if in_middle else None
        restarts, context = _Restarts(stream), stream.codec_context
        beyond: int | None = None

        def take(frames: list[Any]) -> None:
            for frame in frames:
                if frame.is_corrupt and isinstance(frame.opaque, int):
                    rows[frame.opaque]["corrupt"] = True

        while packet is not None:
            is_key, pts = packet.is_keyframe, packet.pts
            if beyond is not None and (is_key or pts is None or pts > beyond):
                break
            if is_key and pts is not None and pts >= asked["stop"]:
                beyond = pts
            row = {"pts": pts if pts is not None else packet.dts, "key": is_key}
            rows.append(row)
            packet.opaque = len(rows) - 1
            row["corrupt"] = packet.is_corrupt
            try:
                take(context.decode(packet))
            except av.error.FFmpegError as error:
                logs.append((16, stream.codec_context.name, f"{error.strerror}"))
            row["said"] = _said(logs)
            restarts.see(packet, row)
            logs.clear()
            if time.monotonic() - told > _PROGRESS_SECONDS:
                told = time.monotonic()
                print(f"frame={len(rows)}", flush=True)
            packet = _next(packets)
        take(_decoded(context, None))
        container.close()
    for row in rows:
        if first_pts is not None and row["pts"] is not None and row["pts"] < first_pts:
            row["said"], row["corrupt"] = [], False
        print(f"packet={json.dumps(row)}")


if __name__ == "__main__":
    try:
        main()
    except (av.error.FFmpegError, OSError, IndexError) as error:
        sys.exit(f"{error}")
