"""A chunk's sound: packets of the source, or of an AAC encode of it, with exact times.

A compressed packet cannot be cut, so a clip takes whole packets. Those before its start are
kept as preroll (a decoder needs them to settle) and hidden by an edit list; the last one is
shortened by its duration. Sound therefore starts and ends on the sample.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice, pairwise
from math import ceil, floor
from pathlib import Path
from typing import Any

import av

from clipping.ffmpeg.channels import Mix, mix, mixed_to, opus_mix
from clipping.ffmpeg.commands import audio_command
from clipping.media.stream_reader import read_sound
from clipping.models import AudioTrack, SoundWish, Source
from clipping.storage.source import Reading

__all__ = [
    "COPYABLE",
    "Sound",
    "SoundPacket",
    "add_sound",
    "on_grid",
    "open_sound",
    "packets_within",
]

# Codecs that MP4 holds and players take (PCM and Vorbis in MP4 play in few). Seconds of
# preroll: AAC overlaps by a frame (ISO/IEC 14496-3) and SBR by one more; MP3 reaches back
# into its bit reservoir; Opus asks for 80 ms (RFC 7845, section 4.6); AC-3 overlaps by a block.
# ALAC and FLAC need none and must have none: see clipping/media/flac.py.
COPYABLE: dict[str, Fraction] = {
    "aac": Fraction(7, 100),
    "mp3": Fraction(25, 100),
    "ac3": Fraction(7, 100),
    "eac3": Fraction(7, 100),
    "opus": Fraction(8, 100),
    "alac": Fraction(0),
    "flac": Fraction(0),
}

# Codec to FFmpeg's encoder, and bit/s for each channel: of the first two, and of more.
_ENCODERS = {"aac": ("aac", 96_000, 48_000), "opus": ("libopus", 64_000, 40_000)}
_OPUS_RATE = 48_000

_ANY = SoundWish()
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
    """A chunk's audio packets in order, and the stream that describes them to a muxer.

    mix: what the source's channels became in its encode, if it was encoded. is_new: whether FLAC
    was encoded anew, of the same samples. is_asked_for: whether it is the track that was.
    """

    track: AudioTrack
    codec: str
    sample_rate: int
    preroll: int
    stream: Any
    packets: tuple[SoundPacket, ...]
    mix: Mix | None = None
    is_new: bool = False
    is_asked_for: bool = True

    @property
    def copied(self) -> bool:
        """Whether its packets are the source's own."""
        return self.mix is None and not self.is_new


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
    wish: SoundWish = _ANY,
) -> Generator[Sound | None]:
    """The source's sound within spans of absolute times in seconds; None if there is none.

    Copied where MP4 may hold the codec, it is as wished, `copy` is on and its edit list has one
    part at most (what a decoder needs before a part is not presented), else encoded once for the
    whole stretch, to AAC or as wished. Raises FfmpegError if it can be neither.
    """
    track, is_asked_for = source.sound_for(wish)
    if track is None:
        yield None
        return
    with ExitStack() as stack:
        may_copy = copy and track.codec in COPYABLE and not track.is_edited
        if may_copy and wish.is_met_by(track):
            files = scratch / "sound.bin", scratch / "sound-template.mp4"
            found = _copied(source, track, reading, _with_margin(spans), *files, stack)
            if not isinstance(found, str):
                yield found and replace(found, is_asked_for=is_asked_for)
                return
        path = scratch / "sound.mp4"
        start, end = min(a for a, _ in spans), max(b for _, b in spans)
        origin = max(start - _MARGIN, Fraction(0)) if start >= 0 else start
        made = _encode(source, track, wish, reading, origin, end, binary, path, stall_limit)
        encoded = _encoded(track, made, _opened(path, stack), origin, wish.codec or "aac")
        yield encoded and replace(encoded, is_asked_for=is_asked_for)


def _opened(path: Path, stack: ExitStack) -> Any:
    return stack.enter_context(av.open(str(path)))


def _encode(
    source: Source,
    track: AudioTrack,
    wish: SoundWish,
    reading: Reading,
    origin: Fraction,
    end: Fraction,
    binary: str,
    path: Path,
    stall_limit: float,
) -> Mix:
    """Encode a stretch of the track, and say what became of its channels."""
    codec = wish.codec or "aac"
    made = mixed_to(mix(track.places), wish.channels)
    if codec == "opus":
        made = opus_mix(made)
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
        is_late=source.video.is_late,
        is_edited=track.is_edited,
        mix=made.filters,
        bit_rate=_bit_rate(codec, made.channels, wish.sample_rate or track.sample_rate),
        sample_rate=_OPUS_RATE if codec == "opus" else wish.sample_rate,
        encoder=_ENCODERS[codec][0],
        output=str(path),
    )
    what = f"encoding the sound of {source.file.key}"
    reading.run(command, what=what, stall_limit=stall_limit)
    return made


def _bit_rate(codec: str, channels: int, sample_rate: int) -> int:
    """Bit/s for an encode; with a lower sample rate there is less to tell."""
    _, each, of_more = _ENCODERS[codec]
    full = each * min(2, channels) + of_more * max(0, channels - 2)
    return full if sample_rate >= 32_000 else full // 2


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
    reading: Reading,
    wanted: Sequence[tuple[Fraction, Fraction]],
    payload: Path,
    template: Path,
    stack: ExitStack,
) -> Sound | str | None:
    """The track's own packets; None if there are none, a word if MP4 does not take them."""
    time_base, rate = track.time_base, track.sample_rate
    video = source.video
    found = read_sound(
        reading,
        track.stream,
        [(floor(a / time_base), ceil(b / time_base)) for a, b in wanted],
        seek=int(wanted[0][0] / time_base) if video.seekable and video.seeks_exactly else None,
        is_late=video.is_late,
        payload=payload,
        template=template,
    )
    rows: Sequence[tuple[int, int, int]] = found["packets"]
    if not rows:
        return None
    if not found["is_taken"]:
        return "refused"
    tick = _whole(time_base * rate)  # in samples, like all that follows
    content, at = payload.read_bytes(), 0
    payload.unlink()
    packets: list[SoundPacket] = []
    for pts, duration, size in rows:
        packets.append(SoundPacket(pts * tick, round(duration * tick), content[at : at + size]))
        at += size
    stream = _opened(template, stack).streams.audio[0]
    steady = tuple(on_grid(packets, Fraction(tick)))
    return Sound(track, track.codec, rate, round(COPYABLE[track.codec] * rate), stream, steady)


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


def _encoded(
    track: AudioTrack, made: Mix, container: Any, origin: Fraction, codec: str
) -> Sound | None:
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
    preroll = round(COPYABLE[codec] * rate)
    return Sound(track, codec, rate, preroll, stream, packets, made)


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
    relative, _, packet = chosen[0]
    if relative < 0 < relative + packet.samples and sound.codec == "mp3" and _stands_alone(packet):
        # Chromium takes the hidden part of a first packet away twice: there is one before it.
        chosen.insert(0, (relative - packet.samples, packet.samples, packet))
    return chosen


def _stands_alone(packet: SoundPacket) -> bool:
    """Whether an MP3 frame reaches back to no earlier one (`main_data_begin`, ISO/IEC 11172-3)."""
    data = packet.data
    is_mpeg1, has_checksum = data[1] & 0x18 == 0x18, not data[1] & 1
    side = data[6:] if has_checksum else data[4:]
    return side[0] == 0 and (not is_mpeg1 or side[1] & 0x80 == 0)


def add_sound(output: Any, sound: Sound) -> Any:
    """A stream of `output` for packets of `sound`, in ticks of a sample.

    An edit list says where sound starts. Browsers also take away what an Opus header calls its
    pre-skip, though in MP4 that is for information only (Encapsulation of Opus in ISO Base Media
    File Format, 4.3.2), so it says 0.
    """
    # Of no declared rate: it would be that of the packets which the template was made of.
    stream = output.add_stream_from_template(sound.stream, bit_rate=0)
    header = bytes(sound.stream.codec_context.extradata or b"")
    if sound.codec == "opus" and header.startswith(b"OpusHead"):
        stream.codec_context.extradata = header[:10] + bytes(2) + header[12:]
    stream.time_base = Fraction(1, sound.sample_rate)
    return stream
