"""A clip's FLAC: the source's samples, in packets that begin with the clip.

A packet of FLAC lasts about 0.1 s, and none is needed to decode the next one, so that a copy would
begin with one packet that an edit list hides in part. Chromium (seen with 156) takes that part away
twice: sound is then early by up to 0.1 s. Another packet before it, hidden as a whole, is no way
out: FFmpeg 9 with several threads then takes the part away from a later packet. FLAC loses nothing
when it is encoded anew, so a clip gets packets of its own, and ends on the sample too.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
from av.packet import Packet

from clipping.errors import FfmpegError
from clipping.ffmpeg.commands import flac_command, input_url
from clipping.media.audio import Sound, SoundPacket, packets_within
from clipping.storage.source import Reading

__all__ = ["from_the_sample"]


@contextmanager
def from_the_sample(
    sound: Sound,
    start: Fraction,
    end: Fraction,
    reading: Reading,
    *,
    binary: str,
    scratch: Path,
    stall_limit: float,
) -> Generator[Sound]:
    """The FLAC of a clip of `[start, end)` absolute seconds, encoded anew from its first sample.

    What does not decode at all stays a copy. Raises FfmpegError.
    """
    rate = sound.sample_rate
    heard = packets_within(sound, start, end)
    if not heard:
        yield sound
        return
    first, last = max(0, heard[0][0]), heard[-1][0] + heard[-1][1]
    copied, made = scratch / "copied.mp4", scratch / "flac.mp4"
    with ExitStack() as stack:
        stack.callback(copied.unlink, missing_ok=True)
        stack.callback(made.unlink, missing_ok=True)
        _write(sound, heard, copied)
        bits = _bits(sound.stream.codec_context.extradata)
        url = input_url(str(copied))
        command = flac_command(binary, url, first, last, bits=bits, output=str(made))
        try:
            reading.run(command, what="encoding a clip's FLAC", stall_limit=stall_limit)
        except FfmpegError as error:
            if not error.kind.is_clips_own:
                raise
            yield sound
            return
        container = stack.enter_context(av.open(str(made)))
        stream = container.streams.audio[0]
        packets = tuple(
            SoundPacket(start * rate + first + p.pts, p.duration or 0, bytes(p))
            for p in container.demux(stream)
            if p.size and p.pts is not None
        )
        yield replace(sound, is_new=True, stream=stream, packets=packets) if packets else sound


def _write(sound: Sound, heard: Sequence[tuple[int, int, SoundPacket]], path: Path) -> None:
    """The packets that a clip needs, with their times from the clip's start, as a file."""
    tick = Fraction(1, sound.sample_rate)
    options = {"movie_timescale": str(sound.sample_rate)}
    with av.open(str(path), "w", format="mp4", options=options) as output:
        stream = output.add_stream_from_template(sound.stream)
        stream.time_base = tick
        for relative, length, source in heard:
            packet = Packet(source.data)
            packet.stream = stream
            packet.time_base = tick
            packet.pts = packet.dts = relative
            packet.duration = length
            packet.is_keyframe = True
            output.mux(packet)


def _bits(stream_info: bytes) -> int:
    """Bits of a sample, as STREAMINFO says (RFC 9639, section 8.2)."""
    return ((stream_info[12] & 1) << 4 | stream_info[13] >> 4) + 1
