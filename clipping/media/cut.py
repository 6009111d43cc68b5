"""An encoded segment to clips: whole packets from one IDR to another, remuxed.

Every GOP of an encoded segment is closed, so that a packet belongs to the last IDR before it. A
clip takes the packets from the IDR at its first frame up to the IDR at the frame after its last.
Where a clip spans two segments it takes packets of both; their parameter sets are the same.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
from av.packet import Packet

from clipping.errors import FailureKind, FfmpegError, VerificationError
from clipping.media.audio import Sound, add_sound, packets_within
from clipping.models import Clip
from clipping.plan.segments import Segment
from clipping.plan.time_line import TimeLine, ticks_per_pts

__all__ = ["EncodedSegment", "decode_order_times", "write_clip"]


@dataclass(frozen=True, slots=True)
class EncodedSegment:
    """A segment's packets on disk.

    ticks: of its timescale in one tick of the source's time base.
    pts: of its packets in decoding order, as source PTS; keys: where the IDRs are.
    places: offset and size of each packet in the file.
    container: the file, open as long as clips are cut from it (opening decodes a frame); None
    if it holds no video.
    given: PTS of the source's frames that came out of the decoder, if its frames are those of
    another rate.
    damaged: PTS of its frames that are damaged in the source.
    decoder: "cuda" if its frames were decoded on a GPU.
    """

    segment: Segment
    path: Path
    ticks: int
    pts: tuple[int, ...] = ()
    keys: frozenset[int] = frozenset()
    places: tuple[tuple[int, int], ...] = ()
    container: Any = None
    seconds: float = 0.0
    damaged: frozenset[int] = frozenset()
    decoder: str | None = None
    given: tuple[int, ...] = ()

    @classmethod
    def read(
        cls, segment: Segment, path: Path, time_base: Fraction, seconds: float = 0.0
    ) -> EncodedSegment:
        """Index the packets of a finished encode. Raises FfmpegError if it cannot be read.

        time_base: of the segment's PTS.
        """
        ticks = ticks_per_pts(time_base)
        pts: list[int] = []
        keys: list[int] = []
        places: list[tuple[int, int]] = []
        try:
            container = av.open(str(path))
            if not container.streams.video:  # ffmpeg wrote an MP4 without any frame
                return cls(segment, path, ticks, seconds=seconds)
            for packet in container.demux(container.streams.video[0]):
                if packet.size == 0 or packet.pts is None or packet.pos is None:
                    continue
                if packet.pts % ticks:
                    raise VerificationError(f"a frame at tick {packet.pts} is between PTS")
                pts.append(packet.pts // ticks + segment.pts[0])
                places.append((packet.pos, packet.size))
                if packet.is_keyframe:
                    keys.append(pts[-1])
        except (av.error.FFmpegError, IndexError) as error:
            message = f"the encoded segment cannot be read: {error}"
            raise FfmpegError(message, FailureKind.BAD_INPUT) from None
        return cls(
            segment, path, ticks, tuple(pts), frozenset(keys), tuple(places), container, seconds
        )  # fmt: skip

    @property
    def source_pts(self) -> tuple[int, ...]:
        """PTS of the source's frames that came out of the decoder, in any order."""
        return self.given if self.segment.decoded else self.pts

    @property
    def stream(self) -> Any:
        """What tells a muxer of the video: codec, size, colours, parameter sets."""
        return self.container.streams.video[0]

    @property
    def parameter_sets(self) -> bytes:
        """SPS and PPS, as the MP4 holds them."""
        return bytes(self.stream.codec_context.extradata or b"")

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height of its pictures, in pixels; None if it has none."""
        return (self.stream.width, self.stream.height) if self.container else None

    def remove(self) -> None:
        """Free its scratch space; it cannot be cut any more."""
        if self.container is not None:
            self.container.close()
        self.path.unlink(missing_ok=True)

    def held(self, start_pts: int, stop_pts: int) -> list[int]:
        """Source PTS of the frames that it holds within `[start_pts, stop_pts)`."""
        return [p for p in self.pts if start_pts <= p < stop_pts]

    def cells(self, start: int, end: int) -> tuple[int, int]:
        """Positions, in decoding order, of the packets from the IDR at `start` to that at `end`.

        Boundaries are source PTS; the IDR is the first at or after each (a frame that the
        decoder lost moves it on).
        """
        first = stop = len(self.pts)
        for position, pts in enumerate(self.pts):
            if pts not in self.keys:
                continue
            if pts >= start and first == len(self.pts):
                first = position
            if pts >= end:
                stop = position
                break
        return first, max(first, stop)


def decode_order_times(pts: Sequence[int], end: int) -> tuple[list[int], int]:
    """DTS for packets in decoding order, and the last packet's duration.

    The sorted PTS, all earlier by as much as keeps every DTS from passing its PTS (ISO/IEC
    14496-12, 8.6.1). MP4 has no durations but the distances of DTS, so these are the frames' own,
    in the order in which they are shown. They add up to the clip's duration; at a constant rate
    all are the same, and readers that divide frames by seconds (FFmpeg's `avg_frame_rate`) find
    the rate. A keyframe, at which no frame before it is shown later, keeps its own duration, so
    that FFmpeg's reader takes none but the last frame for the end of the edit list.
    """
    ordered = sorted(pts)
    delay = max(shown - own for shown, own in zip(ordered, pts, strict=True))
    return [p - delay for p in ordered], end - ordered[-1]


@dataclass(frozen=True, slots=True)
class _Part:
    encoded: EncodedSegment
    first: int
    stop: int


def _parts(clip: Clip, holding: Sequence[EncodedSegment], next_pts: int) -> list[_Part]:
    parts: list[_Part] = []
    for encoded in holding:
        segment = encoded.segment
        if segment.end_frame <= clip.start_frame or segment.first_frame >= clip.end_frame:
            continue
        # The segment may begin before the clip, or end after it.
        start = clip.start_pts if clip.start_frame > segment.first_frame else segment.pts[0]
        end = next_pts if clip.end_frame < segment.end_frame else segment.pts[-1] + 1
        first, stop = encoded.cells(start, end)
        if stop > first:
            parts.append(_Part(encoded, first, stop))
    return parts


def write_clip(
    clip: Clip,
    next_pts: int,
    holding: Sequence[EncodedSegment],
    time_line: TimeLine,
    sound: Sound | None,
    path: Path,
    tag: str,
) -> bool:
    """Write `clip` to `path`; whether there is sound in it.

    next_pts: PTS of the source frame after the clip's last; time_line: of the frames it is to
    hold; tag: the sample entry of its pictures. Raises VerificationError if the packets cut out
    hold other frames.
    """
    parts = _parts(clip, holding, next_pts)
    pts = [p for part in parts for p in part.encoded.pts[part.first : part.stop]]
    if not pts:
        raise VerificationError(f"no frame of clip {clip.number} was encoded")
    if tuple(sorted(pts)) != time_line.pts:
        raise VerificationError(f"it was cut to {len(pts)} frames instead of {len(time_line.pts)}")
    if len({part.encoded.parameter_sets for part in parts}) > 1:
        raise VerificationError(
            f"the segments of clip {clip.number} differ in their parameter sets"
        )
    scale, ticks = time_line.scale, time_line.ticks
    shown_until = {a: ticks[b] for a, b in zip(time_line.pts, time_line.pts[1:], strict=False)}
    dts, last_duration = decode_order_times([ticks[p] for p in pts], time_line.end)
    # Edit lists count in the movie's own ticks: one sample each, so that they lose nothing.
    movie_scale = sound.sample_rate if sound else min(scale, 90_000)
    options = {
        "movflags": "+faststart",
        "video_track_timescale": str(scale),
        "movie_timescale": str(movie_scale),
    }
    with av.open(str(path), "w", format="mp4", options=options) as output:
        # Opaque: of some codecs (AV1) PyAV has the decoder alone, which is all that it looks for.
        picture = output.add_stream_from_template(parts[0].encoded.stream, opaque=True)
        picture.time_base = Fraction(1, scale)
        picture.codec_context.codec_tag = tag
        heard = packets_within(sound, *time_line.seconds) if sound else []
        voice: Any = None
        if sound and heard:
            voice = add_sound(output, sound)

        def pictures() -> Iterator[tuple[float, Packet[Any]]]:
            for place, (packet, source_pts) in enumerate(_packets(parts)):
                packet.stream = picture
                packet.time_base = Fraction(1, scale)
                packet.pts = ticks[source_pts]
                packet.dts = dts[place]
                is_last = place == len(dts) - 1
                shown = shown_until.get(source_pts, time_line.end) - ticks[source_pts]
                packet.duration = last_duration if is_last else shown
                yield dts[place] / scale, packet

        def sounds() -> Iterator[tuple[float, Packet[Any]]]:
            assert sound is not None
            for relative, length, source in heard:
                packet = Packet(source.data)
                packet.stream = voice
                packet.time_base = Fraction(1, sound.sample_rate)
                packet.pts = packet.dts = relative
                packet.duration = length
                packet.is_keyframe = True
                yield relative / sound.sample_rate, packet

        streams = [pictures(), sounds()] if voice is not None else [pictures()]
        for _, packet in heapq.merge(*streams, key=lambda timed: timed[0]):
            output.mux(packet)
    return bool(heard)


def _packets(parts: Sequence[_Part]) -> Iterator[tuple[Packet[Any], int]]:
    """The packets of all parts in decoding order, each with its source PTS.

    Read from where the index says that they are: no demuxer, no seek that lands elsewhere.
    """
    for part in parts:
        encoded = part.encoded
        with encoded.path.open("rb") as file:
            for place in range(part.first, part.stop):
                offset, size = encoded.places[place]
                file.seek(offset)
                packet = Packet(file.read(size))
                packet.is_keyframe = encoded.pts[place] in encoded.keys
                yield packet, encoded.pts[place]
