"""A program: decode a stretch of a video packet by packet and print what was said of each packet.

It is run as a file, in a process of its own (`media.packet_check` does), and imports nothing of
the package, which would take longer than most stretches. One thread decodes, and the log is
taken packet by packet, so that a complaint stands beside the packet that it is about, and beside
the same one in every run.

Its argument is a JSON object:
url, options: what to open, and how; stream: index of the video stream.
edited: whether its edit list has several parts.
seek: PTS to seek to, or null to begin with the file; start: PTS of the keyframe that decoding has
to begin at or before; stop: PTS up to which frames are of interest.

It prints a line `packet={...}` for each packet in decoding order:
pts, key: of the packet; read, said: the errors while it was read, and what was said while it was
decoded, as [level, text]; corrupt: whether it, or the frame that came of it, is flagged as corrupt.
shown: whether a frame came of it; null if that is not known, or may rightly not be.
hidden: whether it is only there to be decoded (edit lists); begins: whether the decoding times go
back with it, where a part of an edit list begins.
clean: of a keyframe: PTS from which all is well when decoding begins there; null if nothing is.
"""

from __future__ import annotations

import errno
import json
import logging
import sys
import time
import zlib
from collections.abc import Iterator
from typing import Any

import av
import av.error
import av.logging
from av.codec.context import Flags
from av.stream import Discard

# FFmpeg's levels; of what is less than a warning, only that a picture was made up.
_ERROR, _WARNING = 16, 24
_MADE_UP = "concealing "
_SAID_AT_MOST = 8
_IDR = 5
_TRANSPORT = ("http", "tcp")
_PROGRESS_SECONDS = 0.5


def _checked(logs: list[tuple[int, str, str]]) -> list[tuple[int, str, str]]:
    """The log as it is. Raises OSError if the connection failed: that is no damage."""
    for level, who, text in logs:
        if level <= _ERROR and who in _TRANSPORT:
            raise OSError(errno.EIO, f"Input/output error: {text.strip()}")
    return logs


def _said(logs: list[tuple[int, str, str]]) -> list[tuple[int, str]]:
    telling = [
        (level, text.strip()[:200])
        for level, _, text in _checked(logs)
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
            may_be_slow = self._name == "h264" and not self._is_idr(bytes(packet))
            if may_be_slow and self._corrupt(self._fresh(), packet, None):
                row["clean"] = None
                self._slow.append((row, self._fresh()))
        for begun, context in self._slow:
            for frame in _decoded(context, packet):
                if not frame.is_corrupt and begun["clean"] is None:
                    begun["clean"] = frame.pts
        self._slow = [waiting for waiting in self._slow if waiting[0]["clean"] is None]

    def _is_idr(self, packet: bytes) -> bool:
        """Whether a packet of H.264 holds an IDR picture (NAL units of type 5)."""
        if not self._extradata or self._extradata[0] != 1:  # Annex B: start codes
            return any(unit[:1] and unit[0] & 31 == _IDR for unit in packet.split(b"\0\0\1")[1:])
        prefix, at = (self._extradata[4] & 3) + 1, 0  # ISO/IEC 14496-15, 5.3.3.1
        while at + prefix < len(packet):
            if packet[at + prefix] & 31 == _IDR:
                return True
            at += prefix + int.from_bytes(packet[at : at + prefix], "big")
        return False

    @staticmethod
    def _corrupt(context: Any, *packets: Any) -> bool:
        frames = [frame for packet in packets for frame in _decoded(context, packet)]
        return bool(frames) and frames[0].is_corrupt


class _Parts:
    """What decoding each part of an edit list for itself gives.

    ffmpeg decodes them in one go, and its decoder complains where pictures of one part stand in
    the way of the next one's. Only pictures that come out otherwise are damaged by it.
    """

    def __init__(self, stream: Any) -> None:
        self._name, self._extradata = stream.codec_context.name, stream.codec_context.extradata
        self._context: Any = None
        self._digests: dict[int, int] = {}
        self._others: dict[int, int] = {}

    def see(self, packet: Any, begins: bool, logs: Any) -> None:
        """Decode the next packet for its part; what is said of it is added to the log."""
        if begins or self._context is None:
            self._take(_decoded(self._context, None) if self._context else [])
            create: Any = av.CodecContext.create
            self._context = create(self._name, "r")
            self._context.extradata = self._extradata
            _set_up(self._context)
            logs.clear()
        self._take(_decoded(self._context, packet))

    def _take(self, frames: list[Any]) -> None:
        self._digests |= {f.opaque: _digest(f) for f in frames if isinstance(f.opaque, int)}

    def compare(self, frames: list[Any]) -> None:
        """Take in frames that came of decoding all in one go."""
        self._others |= {f.opaque: _digest(f) for f in frames if isinstance(f.opaque, int)}

    def settle(self, rows: list[dict[str, Any]]) -> None:
        """No packet follows: mark those whose picture depends on how it is decoded."""
        self._take(_decoded(self._context, None) if self._context else [])
        for number, row in enumerate(rows):
            differs = self._digests.get(number) != self._others.get(number)
            row["corrupt"] |= differs and not row["hidden"]


def _digest(frame: Any) -> int:
    """Of the pixels of a frame, without what lies between its lines."""
    digest = 0
    wide = (max((c.bits for c in frame.format.components), default=8) + 7) // 8
    for plane in frame.planes:
        lines, step = memoryview(plane), plane.line_size
        for at in range(0, plane.height * step, step):
            digest = zlib.crc32(lines[at : at + min(step, plane.width * wide)], digest)
    return digest


def _decoded(context: Any, packet: Any) -> list[Any]:
    try:
        return context.decode(packet)
    except av.error.FFmpegError:
        return []


class _Source:
    """The video's packets, from a place on.

    is_corrupt: whether data of the packet read last is missing or damaged, as the demuxer has it.
    """

    def __init__(self, asked: dict[str, Any], seek: int | None) -> None:
        self._container: Any = av.open(
            asked["url"], options=asked["options"], metadata_errors="ignore"
        )
        self.stream: Any = self._container.streams[asked["stream"]]
        for other in self._container.streams:
            if other.index != self.stream.index:
                other.discard = Discard.all
        if seek is not None:
            self._container.seek(seek, stream=self.stream)
        self.context = _set_up(self.stream.codec_context)
        # A parser that waits for the next packet's start passes that packet's flag on with the
        # one before (of 31 flags in a lossy transport stream, 26 are one packet early).
        self._is_early = self._container.format.name == "mpegts"
        self._flag = self.is_corrupt = False
        self._packets: Iterator[Any] = self._container.demux(self.stream)

    def next(self) -> Any:
        """The next packet that holds something; None at the end, or where reading breaks off."""
        try:
            packet = next((p for p in self._packets if p.size), None)
        except (av.error.FFmpegError, IndexError):
            return None  # IndexError: PyAV meets a stream that appears in mid-file
        flag = packet is not None and packet.is_corrupt
        self.is_corrupt, self._flag = (self._flag if self._is_early else flag), flag
        return packet

    def close(self) -> None:
        """Nothing more is read."""
        self._container.close()


def _begin(asked: dict[str, Any], logs: Any) -> tuple[_Source, Any, bool]:
    """The source, the packet to begin with, and whether that is in mid-file, a keyframe."""
    if asked["seek"] is not None:
        source = _Source(asked, asked["seek"])
        _checked(logs).clear()  # opening decodes the first frames of the file
        first = source.next()
        while first is not None and not (first.is_keyframe and first.pts is not None):
            logs.clear()
            first = source.next()
        if first is not None and first.pts <= asked["start"]:
            return source, first, True
        source.close()
    source = _Source(asked, None)
    _checked(logs).clear()
    return source, source.next(), False


def _decode(asked: dict[str, Any], logs: Any) -> tuple[list[dict[str, Any]], list[bool]]:
    """What is known of each packet, and whether it lacks by right what it is built on."""
    rows: list[dict[str, Any]] = []
    leading: list[bool] = []
    told = time.monotonic()
    source, packet, in_middle = _begin(asked, logs)
    # Where decoding begins, the pictures shown before the keyframe lack what they are built on.
    first_pts = packet.pts if in_middle else None
    restarts, context = _Restarts(source.stream), source.context
    parts = _Parts(source.stream) if asked["edited"] else None
    beyond: int | None = None
    previous: int | None = None  # DTS

    def take(frames: list[Any]) -> None:
        for frame in frames:
            if isinstance(frame.opaque, int):
                rows[frame.opaque]["shown"] = True
                rows[frame.opaque]["corrupt"] |= frame.is_corrupt
        if parts:
            parts.compare(frames)

    while packet is not None:
        is_key, pts, dts = packet.is_keyframe, packet.pts, packet.dts
        begins = asked["edited"] and None not in (previous, dts) and dts < previous
        previous = dts
        if begins:
            first_pts, beyond = pts if is_key else None, None
        if beyond is not None and (is_key or pts is None or pts > beyond):
            break
        if is_key and not packet.is_discard and pts is not None and pts >= asked["stop"]:
            beyond = pts
        row = _row(packet, source.is_corrupt, begins, logs)
        rows.append(row)
        leading.append(None not in (first_pts, row["pts"]) and row["pts"] < first_pts)
        packet.opaque = len(rows) - 1
        logs.clear()
        try:
            take(context.decode(packet))
        except av.error.FFmpegError as error:
            logs.append((_ERROR, context.name, f"{error.strerror}"))
        if parts:
            logs.clear()
            parts.see(packet, begins, logs)
        row["said"] = _said(logs)
        restarts.see(packet, row)
        logs.clear()
        if time.monotonic() - told > _PROGRESS_SECONDS:
            told = time.monotonic()
            print(f"frame={len(rows)}", flush=True)
        packet = source.next()
    _checked(logs)
    take(_decoded(context, None))
    if parts:
        parts.settle(rows)
    source.close()
    return rows, leading


def _row(packet: Any, is_corrupt: bool, begins: bool, logs: Any) -> dict[str, Any]:
    """What is known of a packet before it is decoded."""
    return {
        "pts": packet.pts if packet.pts is not None else packet.dts,
        "key": packet.is_keyframe,
        "corrupt": is_corrupt,
        "shown": None if packet.is_discard else False,
        "hidden": packet.is_discard,
        "begins": begins,
        "read": [text for text in _said(logs) if text[0] <= _ERROR],
    }


def _print(rows: list[dict[str, Any]], leading: list[bool]) -> None:
    is_told = any(row["shown"] for row in rows)  # by the decoder: whose frames they are
    for row, is_leading in zip(rows, leading, strict=True):
        row["shown"] = row["shown"] if is_told else None
        if is_leading:
            row.update(read=[], said=[], corrupt=False, shown=None)
        print(f"packet={json.dumps(row)}")


def main() -> None:
    """Do what the argument asks for."""
    asked = json.loads(sys.argv[1])
    logging.disable()  # what is not captured
    av.logging.set_level(av.logging.INFO)
    av.logging.set_skip_repeated(False)
    with av.logging.Capture(local=False) as logs:
        rows, leading = _decode(asked, logs)
    _print(rows, leading)


if __name__ == "__main__":
    try:
        main()
    except (av.error.FFmpegError, OSError, IndexError) as error:
        sys.exit(f"{error}")
