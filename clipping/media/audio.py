"""A chunk's sound: packets of the source, or of an AAC encode of it, with exact times.

A compressed packet cannot be cut, so a clip takes whole packets. Those before its start are
kept as preroll (a decoder needs them to settle) and hidden by an edit list; the last one is
shortened by its duration. Sound therefore starts and ends on the sample.
"""

from __future__ import annotations

import contextlib
from bisect import bisect_right
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice, pairwise
from math import ceil, floor
from pathlib import Path
from typing import Any

import av
import av.error
from av.stream import Discard

from clipping.errors import FfmpegError
from clipping.ffmpeg.commands import audio_command
from clipping.models import AudioTrack, Source
from clipping.storage.source import Reading

__all__ = [
    "COPYABLE",
    "Sound",
    "SoundPacket",
    "on_grid",
    "open_sound",
    "packets_within",
]

# Codecs that MP4 holds and players take (PCM and Vorbis in MP4 play in few). Seconds of
# preroll: AAC overlaps by a frame (ISO/IEC 14496-3) and SBR by one more; MP3 reaches back
# into its bit reservoir; Opus asks for 80 ms (RFC 7845, section 4.6); AC-3 overlaps by a block.
COPYABLE: dict[str, Fraction] = {
    "aac": Fraction(7, 100),
    "mp3": Fraction(25, 100),
    "ac3": Fraction(7, 100),
    "eac3": Fraction(7, 100),
    "opus": Fraction(8, 100),
    "alac": Fraction(0),
    "flac": Fraction(0),
}

# How far before a chunk the audio is read, so that the preroll is there.
_MARGIN = Fraction(1)


@dataclass(frozen=True, slots=True)
class SoundPacket:
    """A compressed packet: `start` in samples from the source's time 0, `samples` long.

    A whole number wherever the track's ticks are samples, as they mostly are: an hour has
    170,000 packets, and fractions are slow.
    """

    start: Fraction | int
    samples: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Sound:
    """A chunk's audio packets in order, and the stream that describes them to a muxer."""

    track: AudioTrack
    codec: str
    sample_rate: int
    copied: bool
    preroll: int
    stream: Any
    packets: tuple[SoundPacket, ...]


@contextmanager
def open_sound(
    source: Source,
    reading: Reading,
    spans: Sequence[tuple[Fraction, Fraction]],
    *,
    binary: str,
    scratch: Path,
    stall_limit: float,
    copy: bool = True,
) -> Generator[Sound | None]:
    """The first audio track within spans of absolute times in seconds; None if there is none.

    Copied where MP4 may hold the codec, `copy` is on and its edit list has one part at most (what
    a decoder needs before a part is not presented), else encoded to AAC once for the whole stretch.
    Raises FfmpegError if it can be neither.
    """
    if not source.audio:
        yield None
        return
    track = source.audio[0]
    opened: list[Any] = []
    try:
        if copy and track.codec in COPYABLE and not track.is_edited:
            container = _open_again(reading)
            opened.append(container)
            yield _copied(source, track, container, _with_margin(spans))
        else:
            start, end = min(a for a, _ in spans), max(b for _, b in spans)
            path = scratch / "sound.mp4"
            origin = max(start - _MARGIN, Fraction(0)) if start >= 0 else start
            may_seek = source.video.seekable and not track.is_edited
            seek = origin - _MARGIN if may_seek else None
            first = source.video.first_pts * source.video.time_base
            command = audio_command(
                binary,
                reading.url,
                track.stream,
                start=origin,
                end=end,
                seek=seek if seek is not None and seek > first else None,
                has_gaps=source.video.gap_pts > 0,
                is_edited=track.is_edited,
                bit_rate=96_000 * max(1, min(2, track.channels)),
                output=str(path),
            )
            what = f"encoding the sound of {source.file.key}"
            reading.run(command, what=what, stall_limit=stall_limit)
            container = av.open(str(path))
            opened.append(container)
            yield _encoded(track, container, origin)
    finally:
        for container in opened:
            container.close()


def _open_again(reading: Reading) -> Any:
    try:
        return reading.container()
    except av.error.FFmpegError as error:
        raise FfmpegError(f"{reading.file.key}: cannot be read again: {error.strerror}") from None


def _with_margin(spans: Sequence[tuple[Fraction, Fraction]]) -> list[tuple[Fraction, Fraction]]:
    """What to read for `spans`: each from a margin before it, those that touch as one."""
    wanted: list[tuple[Fraction, Fraction]] = []
    for start, end in sorted(spans):
        if wanted and start - _MARGIN <= wanted[-1][1]:
            wanted[-1] = (wanted[-1][0], max(wanted[-1][1], end))
        else:
            wanted.append((start - _MARGIN, end))
    return wanted


def _copied(
    source: Source,
    track: AudioTrack,
    container: Any,
    wanted: Sequence[tuple[Fraction, Fraction]],
) -> Sound | None:
    stream = container.streams[track.stream]
    for other in container.streams:
        if other.index != track.stream:
            other.discard = Discard.all
    time_base = Fraction(stream.time_base)
    if source.video.seekable and source.video.seeks_exactly:
        # A file without an index may refuse; reading then starts where it stands, at the start.
        with contextlib.suppress(av.error.FFmpegError):
            container.seek(int(wanted[0][0] / time_base), stream=stream, backward=True)
    rate = track.sample_rate
    tick = _whole(time_base * rate)  # in samples, like all that follows
    parts = [(floor(a * rate), ceil(b * rate)) for a, b in reversed(wanted)]
    begin, stop = parts.pop()
    packets: list[SoundPacket] = []
    try:
        for packet in container.demux(stream):
            if packet.size == 0 or packet.pts is None:
                continue
            at = packet.pts * tick
            while at >= stop and parts:
                begin, stop = parts.pop()
            if at >= stop:
                break
            samples = round((packet.duration or 0) * tick)
            if at + samples < begin or (packets and at < packets[-1].start):
                continue
            packets.append(SoundPacket(at, samples, bytes(packet)))
    except (av.error.FFmpegError, IndexError):
        pass  # A track that breaks off ends there; the clips after it have no sound.
    if not packets:
        return None
    preroll = round(COPYABLE[track.codec] * rate)
    steady = tuple(on_grid(packets, Fraction(tick)))
    return Sound(track, track.codec, rate, True, preroll, stream, steady)


def _whole(number: Fraction) -> Fraction | int:
    return number.numerator if number.denominator == 1 else number


def on_grid(packets: Sequence[SoundPacket], tick: Fraction) -> Iterator[SoundPacket]:
    """Undo the rounding of a container whose ticks (in samples) are longer than a sample.

    Packets of one codec follow one another at a constant distance; the mean of what the
    rounded times say of the first one's place is exact to a sample after a second or so. A
    real gap starts anew.
    """
    if tick <= 1 or len(packets) < 3:
        yield from packets
        return
    steps = sorted(b.start - a.start for a, b in pairwise(packets))
    usual = steps[len(steps) // 2]
    frame = min(_FRAME_SIZES, key=lambda n: abs(n - usual))
    if abs(frame - usual) > tick:
        yield from packets
        return
    segment: list[SoundPacket] = []
    for packet in packets:
        if segment and abs(packet.start - segment[-1].start - frame) > 2 * tick:
            yield from _aligned(segment, frame)
            segment = []
        segment.append(packet)
    yield from _aligned(segment, frame)


def _aligned(segment: Sequence[SoundPacket], frame: int) -> Iterator[SoundPacket]:
    guesses = [p.start - i * frame for i, p in enumerate(segment)]
    anchor = round(Fraction(sum(guesses)) / len(guesses))
    for i, packet in enumerate(segment):
        yield SoundPacket(anchor + i * frame, frame, packet.data)


# Samples a packet: AAC, HE-AAC, MP3, AC-3, Opus, ALAC, FLAC.
_FRAME_SIZES = (1024, 2048, 1152, 576, 960, 1536, 4096, 4608, 120, 240, 480, 1920, 2880)


def _encoded(track: AudioTrack, container: Any, origin: Fraction) -> Sound | None:
    if not container.streams.audio:  # the track ends before
        return None
    stream = container.streams.audio[0]
    rate: int = stream.codec_context.sample_rate
    time_base = Fraction(stream.time_base)
    packets = tuple(
        SoundPacket(
            _whole((origin + packet.pts * time_base) * rate),
            round(packet.duration * time_base * rate),
            bytes(packet),
        )
        for packet in container.demux(stream)
        if packet.size and packet.pts is not None
    )
    preroll = round(COPYABLE["aac"] * rate)
    return Sound(track, "aac", rate, False, preroll, stream, packets)


def packets_within(
    sound: Sound, start: Fraction, end: Fraction
) -> list[tuple[int, int, SoundPacket]]:
    """The packets that a clip of `[start, end)` absolute seconds needs.

    Each comes with its start and length in samples relative to the clip's start: preroll is
    negative, and the last packet's length ends with the clip.
    """
    begin, stop = start * sound.sample_rate, end * sound.sample_rate
    first = bisect_right(sound.packets, begin, key=lambda p: p.start)
    if first > 0 and sound.packets[first - 1].start + sound.packets[first - 1].samples > begin:
        first -= 1  # it begins before the clip and sounds within it
    if first == len(sound.packets):
        return []
    early = begin - sound.preroll
    while first > 0 and sound.packets[first].start > early:
        before = sound.packets[first - 1]
        if before.start + before.samples <= early:
            break  # the track has a gap there, or nobody needed what it has
        first -= 1
    after, last = ceil(stop), round(stop - begin)
    chosen: list[tuple[int, int, SoundPacket]] = []
    for packet in islice(sound.packets, first, None):
        if packet.start >= after:
            break
        relative = round(packet.start - begin)
        length = min(packet.samples, last - relative)
        if length > 0:
            chosen.append((relative, length, packet))
    if not any(relative + length > 0 for relative, length, _ in chosen):
        return []
    return chosen
