"""A program: open sources and tell what is in them, each source in a process of its own.

`media.stream_reader` runs it as a file, and keeps it running: of the package it imports what is
pure, and it loads PyAV once. For every request it forks, so that what one source does to the
library (a crash, damaged memory, all the memory there is) ends with that source and its own
process.

Requests come on standard input, a JSON object a line; the next one after the last was answered.
work: "look" or "sound"; url, options: what to open, and how.
patience: more options, for sources whose pictures or sound begin late.

"look" tells of a source's streams and of every packet of its first video stream (`_look`).
index: url and options to read the packets from instead, or null.
"sound" writes the packets of one stream into a file (`_sound`).
stream: its index; is_late: open with `patience`; seek: PTS to seek to, or null; wanted: PTS
[begin, stop) to read, ascending; payload: the file for what the packets hold; template: the file
for an MP4 with the first of them.

Answers go to standard output, a JSON object a line: `{"child": PID}`, `{"moving": packets}` every
half second while packets come, `{"done": {...}}` or `{"failed": {"errno": …, "words": …}}`, and
last, always, `{"ended": …}`, with the exit status or minus the signal that the process died of.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import select
import signal
import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
import av.logging
from av.stream import Discard, Disposition

sys.path.insert(0, str(Path(__file__).parents[2]))
from clipping.media.clock_jumps import ClockJumps
from clipping.media.cut_points import CutPoints
from clipping.media.header_watch import HeaderWatch

_PROGRESS_SECONDS = 0.5
_FIELD_ORDERS = ("unknown", "progressive", "tt", "bb", "tb", "bt")
_TEMPLATE_PACKETS = 16  # E-AC-3's sample entry is written from several
# `av_dump_format` ends the lines of metadata so that none can begin like these.
_AUDIO = re.compile(r"^  Stream #0:(\d+)\b.*?: Audio: .*?\d+ Hz, ([^,\n]+)", re.MULTILINE)
_DOLBY_VISION = re.compile(
    r"^ +DOVI configuration record: .*?\bprofile: (\d+),.*?\bcompatibility id: (\d+)"
)


def _tell(**answer: Any) -> None:
    """Write one answer."""
    rest = memoryview(json.dumps(answer).encode() + b"\n")
    while rest:
        rest = rest[os.write(1, rest) :]


class _Progress:
    """Tells now and then that packets come."""

    def __init__(self) -> None:
        self._told = time.monotonic()
        self._packets = 0

    def count(self, packets: Iterator[Any]) -> Iterator[Any]:
        """The packets that hold something, counted."""
        for packet in packets:
            self._packets += 1
            if time.monotonic() - self._told > _PROGRESS_SECONDS:
                self._told = time.monotonic()
                _tell(moving=self._packets)
            if packet.size:
                yield packet


def _open(url: str, options: dict[str, str]) -> Any:
    # Names that are not UTF-8 reach libavformat as they are.
    return av.open(url, options=options, metadata_errors="ignore")


def _pictures(container: Any) -> list[Any]:
    """The video streams, cover art left out."""
    streams = container.streams.video
    return [s for s in streams if not s.disposition & Disposition.attached_pic]


def _known(container: Any) -> int:
    """How many streams have told their size, or their rate of samples."""
    pictures = sum(bool(s.codec_context and s.width > 0) for s in _pictures(container))
    audio = container.streams.audio
    return pictures + sum(bool(s.codec_context and s.codec_context.sample_rate) for s in audio)


def _opened(asked: dict[str, Any]) -> tuple[Any, bool]:
    """The source, and whether it took patience to learn what is in it.

    A recording may begin with seconds of sound alone, or of pictures alone.
    """
    container = _open(asked["url"], asked["options"])
    known = _known(container)
    if known == len(_pictures(container)) + len(container.streams.audio):
        return container, False
    patient = _open(asked["url"], asked["options"] | asked["patience"])
    if _known(patient) > known:
        container.close()
        return patient, True
    patient.close()
    return container, False


def _look(asked: dict[str, Any]) -> dict[str, Any]:
    """What a source holds.

    video: facts of its first real video stream, null if there is none; packets: of that stream.
    no_size: codecs of video streams that told no picture size; covers: how many pictures are
    cover art; kinds: of all streams; tracks: their indexes and the container's ids. dolby_vision:
    profile and compatibility id of the video.
    """
    container, is_late = _opened(asked)
    pictures = _pictures(container)
    filled = [s for s in pictures if s.codec_context and s.width > 0]
    names = [s.codec_context.name if s.codec_context else "its codec" for s in pictures]
    found: dict[str, Any] = {
        "video": None,
        "no_size": names,
        "covers": len(container.streams.video) - len(pictures),
        "kinds": sorted({s.type for s in container.streams}),
        "tracks": [(s.index, s.id) for s in container.streams],
        "is_late": is_late,
    }
    if not filled:
        return found
    stream = filled[0]
    dump = container.dumps_format()
    found["video"] = _video(container, stream)
    found["dolby_vision"] = _dolby_vision(dump, stream.index)
    found["audio"] = list(_audio(container, dump))
    if asked["index"] is None:
        found["packets"] = _packets(container, stream)
    else:
        index = _open(asked["index"]["url"], asked["index"]["options"])
        found["packets"] = _packets(index, index.streams[stream.index])
    return found


def _video(container: Any, stream: Any) -> dict[str, Any]:
    context = stream.codec_context
    pixels = context.format
    order = context.field_order
    aspect, duration = stream.sample_aspect_ratio, container.duration
    return {
        "container": container.format.name,
        "stream": stream.index,
        "codec": context.codec.canonical_name,
        "profile": context.profile,
        "coded_width": stream.width,
        "coded_height": stream.height,
        "pixel_format": context.pix_fmt,
        "bit_depth": max((c.bits for c in pixels.components), default=8) if pixels else 8,
        "field_order": _FIELD_ORDERS[order] if order < len(_FIELD_ORDERS) else "unknown",
        "sample_aspect_ratio": str(aspect) if aspect else None,
        "time_base": str(stream.time_base),
        "average_rate": _rate(stream.average_rate),
        "nominal_rate": _rate(stream.base_rate),
        "guessed_rate": _rate(stream.guessed_rate),
        "bit_rate": stream.bit_rate or 0,
        "duration": str(Fraction(duration, av.time_base)) if duration else None,
    }


def _rate(rate: Any) -> str | None:
    return str(rate) if rate else None


def _audio(container: Any, dump: str) -> Iterator[dict[str, Any]]:
    """The audio streams.

    PyAV 18 frees memory twice if it is asked for the channels of a stream whose layout is of its
    own order (PyAV-Org/PyAV#2284): FFmpeg's own description has them.
    """
    layouts = {int(index): text.strip() for index, text in _AUDIO.findall(dump)}
    for stream in container.streams.audio:
        context = stream.codec_context
        if context is None or not context.sample_rate:
            continue
        layout = layouts.get(stream.index, "")
        yield {
            "stream": stream.index,
            "codec": context.codec.canonical_name,
            "sample_rate": context.sample_rate,
            "time_base": str(stream.time_base),
            "layout": layout,
            "places": _places(layout),
            "language": stream.language,
            "is_default": bool(stream.disposition & Disposition.default),
        }


def _places(layout: str) -> list[str]:
    """The place of each channel ("FL"), empty where none is said."""
    told = re.match(r"(\d+) channels(?: \((.*)\))?$", layout)
    if told is None:
        try:
            return [channel.name for channel in av.AudioLayout(layout).channels]
        except ValueError:
            return []
    names = (told[2] or "").split("+")
    count = int(told[1])
    return [n.partition("@")[0] for n in names] if len(names) == count else [""] * count


def _dolby_vision(dump: str, stream: int) -> list[int] | None:
    """Profile and compatibility id of a stream's Dolby Vision, if it is that."""
    mine = False
    for line in dump.splitlines():
        if line.startswith("  Stream #0:"):
            mine = re.match(rf"  Stream #0:{stream}\b", line) is not None
        elif mine and (found := _DOLBY_VISION.match(line)):
            return [int(found[1]), int(found[2])]
    return None


def _only(container: Any, stream: Any) -> None:
    for other in container.streams:
        if other.index != stream.index:
            other.discard = Discard.all


def _packets(container: Any, stream: Any) -> dict[str, Any]:
    """What demuxing tells: times in time base units, sizes in bytes."""
    _only(container, stream)
    pts: list[int] = []
    keys: list[int] = []
    last = (-(1 << 62), 0)
    untimed = hidden = size = jump = 0
    starts_with_key = encrypted = False
    broke_off: str | None = None
    previous_dts: int | None = None
    context = stream.codec_context
    watch = HeaderWatch(context.codec.canonical_name, context.extradata)
    points = CutPoints(context.codec.canonical_name, context.extradata)
    jumps = ClockJumps(container.format.name, Fraction(stream.time_base))
    try:
        for packet in _Progress().count(container.demux(stream)):
            size += packet.size
            watch.see(packet)
            points.see(packet)
            jumps.see(packet.dts, packet.pos)
            if not pts and not untimed and not hidden:
                starts_with_key = packet.is_keyframe
                encrypted = packet.has_sidedata("encryption_info")
            if packet.dts is not None:
                if previous_dts is not None:
                    jump = max(jump, previous_dts - packet.dts)
                previous_dts = packet.dts
            if packet.is_discard:
                hidden += 1
                continue
            if packet.pts is None:
                untimed += 1
                continue
            pts.append(packet.pts)
            if packet.pts >= last[0]:
                last = (packet.pts, packet.duration or 0)
            if packet.is_keyframe:
                keys.append(packet.pts)
    except (av.error.FFmpegError, IndexError) as error:
        # IndexError: PyAV meets a stream that appears in mid-file.
        broke_off = str(error)
    return {
        "pts": pts,
        "keys": keys,
        "cut_points": points.found,
        "last": last,
        "untimed": untimed,
        "hidden": hidden,
        "size": size,
        "starts_with_key": starts_with_key,
        "jump": jump,
        "encrypted": encrypted,
        "jumps": jumps.seen,
        "may_change": watch.is_suspicious,
        "broke_off": broke_off,
    }


def _sound(asked: dict[str, Any]) -> dict[str, Any]:
    """Write packets of sound; `packets`: their [PTS, duration, bytes], in the file's order.

    is_taken: whether MP4 takes them as they are, and the template is there.
    """
    options = asked["options"] | (asked["patience"] if asked["is_late"] else {})
    container = _open(asked["url"], options)
    stream = container.streams[asked["stream"]]
    _only(container, stream)
    if asked["seek"] is not None:
        # Without an index it may refuse; reading then starts at the start.
        with contextlib.suppress(av.error.FFmpegError):
            container.seek(asked["seek"], stream=stream, backward=True)
    wanted = list(reversed(asked["wanted"]))
    begin, stop = wanted.pop()
    rows: list[tuple[int, int, int]] = []
    first: list[Any] = []
    with open(asked["payload"], "wb") as payload:
        try:
            for packet in _Progress().count(container.demux(stream)):
                at = packet.pts
                if at is None:
                    continue
                while at >= stop and wanted:
                    begin, stop = wanted.pop()
                if at >= stop:
                    break
                duration = packet.duration or 0
                if at + duration < begin or (rows and at < rows[-1][0]):
                    continue
                payload.write(bytes(packet))
                rows.append((at, duration, packet.size))
                if len(first) < _TEMPLATE_PACKETS:
                    first.append(packet)
        except (av.error.FFmpegError, IndexError):
            pass  # A track that breaks off ends there; the clips after it have no sound.
    return {"packets": rows, "is_taken": bool(rows) and _template(asked, stream, first)}


def _template(asked: dict[str, Any], stream: Any, first: list[Any]) -> bool:
    """Write an MP4 that describes the stream to a muxer; whether MP4 takes it."""
    try:
        with av.open(asked["template"], "w", format="mp4") as output:
            voice = output.add_stream_from_template(stream)
            for packet in first:
                packet.stream = voice
                output.mux(packet)
        # Who asked will open it too: what would crash there does it here.
        with _open(asked["template"], {}) as again:
            return bool(again.streams.audio)
    except (av.error.FFmpegError, ValueError):
        return False


_WORK = {"look": _look, "sound": _sound}


def _answer(asked: dict[str, Any]) -> None:
    """Do what is asked for, in a process of its own."""
    try:
        _tell(done=_WORK[asked["work"]](asked))
    except av.error.FFmpegError as error:
        _tell(failed={"errno": error.errno, "words": error.strerror or str(error)})
    except Exception as error:  # whatever strange bytes lead to: it is this source's failure
        _tell(failed={"errno": 0, "words": f"{type(error).__name__}: {error}"})


def _forked(asked: dict[str, Any]) -> int:
    """Answer in a child; its exit status, or minus its signal. Ends if nobody waits any more."""
    alive, held = os.pipe()  # the child holds the writing end until it dies
    child = os.fork()
    if child == 0:
        os.close(alive)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        _tell(child=os.getpid())
        _answer(asked)
        os._exit(0)
    os.close(held)
    ready, _, _ = select.select([alive, 0], [], [])
    if alive not in ready:  # end of input: whoever asked is gone
        os.kill(child, signal.SIGKILL)
    os.close(alive)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main() -> None:
    """Answer requests until there are no more."""
    logging.disable()
    av.logging.set_level(av.logging.INFO)  # FFmpeg's description of a source is a log message
    rest = b""
    while block := os.read(0, 1 << 20):
        *lines, rest = (rest + block).split(b"\n")
        for line in lines:
            status = _forked(json.loads(line))
            os.write(1, b"\n")  # after what a dying process may have left half-written
            _tell(ended=status)


if __name__ == "__main__":
    main()
