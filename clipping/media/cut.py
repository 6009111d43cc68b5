"""An encoded run (mezzanine) to clips: whole packets from one IDR to another, remuxed.

Every GOP of a mezzanine is closed, so that a packet belongs to the last IDR before it. A clip
takes the packets from the IDR at its first frame up to the IDR at the frame after its last.
Where a clip spans two runs it takes packets of both; their parameter sets are the same.
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
from clipping.media.audio import Sound, packets_within
from clipping.models import Clip, VideoFacts
from clipping.plan.segments import Run
from clipping.plan.time_line import ticks_per_pts, timescale

__all__ = ["EncodedSegment", "decode_order_times", "write_clip"]


@dataclass(frozen=True, slots=True)
class EncodedSegment:
    """An encoded run on disk.

    ticks: of its timescale in one tick of the source's time base.
    pts: of its packets in decoding order, as source PTS; keys: where the IDRs are.
    places: offset and size of each packet in the file.
    container: the file, open as long as clips are cut from it (opening decodes a frame); None
    if it holds no video.
    damaged: PTS of the frames that the source's decoder complained about.
    decoder: "cuda" if its frames were decoded on a GPU.
    """

    run: Run
    path: Path
    ticks: int
    pts: tuple[int, ...] = ()
    keys: frozenset[int] = frozenset()
    places: tuple[tuple[int, int], ...] = ()
    container: Any = None
    seconds: float = 0.0
    damaged: frozenset[int] = frozenset()
    decoder: str | None = None

    @classmethod
    def read(cls, run: Run, path: Path, video: VideoFacts, seconds: float = 0.0) -> EncodedSegment:
        """Index the packets of a finished encode. Raises FfmpegError if it cannot be read."""
        ticks = ticks_per_pts(video.time_base)
        pts: list[int] = []
        keys: list[int] = []
        places: list[tuple[int, int]] = []
        try:
            container = av.open(str(path))
            if not container.streams.video:  # ffmpeg wrote an MP4 without any frame
                return cls(run, path, ticks, seconds=seconds)
            for packet in container.demux(container.streams.video[0]):
                if packet.size == 0 or packet.pts is None or packet.pos is None:
                    continue
                if packet.pts % ticks:
                    raise VerificationError(f"a frame at tick {packet.pts} is between PTS")
                pts.append(packet.pts // ticks + run.pts[0])
                places.append((packet.pos, packet.size))
                if packet.is_keyframe:
                    keys.append(pts[-1])
        except (av.error.FFmpegError, IndexError) as error:
            message = f"the encoded run cannot be read: {error}"
            raise FfmpegError(message, FailureKind.BAD_INPUT) from None
        return cls(
            run, path, ticks, tuple(pts), frozenset(keys), tuple(places), container, seconds
        )  # fmt: skip

    @property
    def stream(self) -> Any:
        """What tells a muxer of the video: codec, size, colours, parameter sets."""
        return self.container.streams.video[0]

    @property
    def parameter_sets(self) -> bytes:
        """SPS and PPS, as the MP4 holds them."""
        return bytes(self.stream.codec_context.extradata or b"")

    def remove(self) -> None:
        """Free its scratch space; it cannot be cut any more."""
        if self.container is not None:
            self.container.close()
        self.path.unlink(missing_ok=True)

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

    Ascending and never after the PTS: the sorted PTS, delayed by as many frames as any packet is
    shown later than its place in the decoding order asks for (the reorder depth; ISO/IEC
    14496-12, 8.6.1). MP4 has no durations of its own: a packet lasts until the next one's DTS,
    and the track until the last `pts + duration`, or for the sum of the durations where that is
    less. Where the rate varies, a DTS is therefore brought forward until no packet lasts to
    `end` (FFmpeg's reader takes a keyframe that does for the end of the edit list); only the last
    one does, and the first one begins early enough for the sum.
    """
    ordered = sorted(pts)
    rank = {value: i for i, value in enumerate(ordered)}
    delay = max((i - rank[value] for i, value in enumerate(pts)), default=0)
    step = ordered[1] - ordered[0] if len(ordered) > 1 else 1
    usual = [*(ordered[0] - (delay - i) * step for i in range(delay)), *ordered]
    dts = usual[:1]
    for shown, following in zip(pts, usual[1 : len(pts)], strict=False):
        dts.append(min(following, dts[-1] + max(1, end - shown - 1)))
    dts[0] = min(dts[0], ordered[0] - (pts[-1] - dts[-1]))
    return dts, end - pts[-1]


@dataclass(frozen=True, slots=True)
class _Part:
    mezzanine: EncodedSegment
    first: int
    stop: int


def _parts(clip: Clip, runs: Sequence[EncodedSegment], next_pts: int) -> list[_Part]:
    parts: list[_Part] = []
    for mezzanine in runs:
        run = mezzanine.run
        if run.end_frame <= clip.start_frame or run.first_frame >= clip.end_frame:
            continue
        # The run may begin before the clip, or end after it.
        start = clip.start_pts if clip.start_frame > run.first_frame else run.pts[0]
        end = next_pts if clip.end_frame < run.end_frame else run.pts[-1] + 1
        first, stop = mezzanine.cells(start, end)
        if stop > first:
            parts.append(_Part(mezzanine, first, stop))
    return parts


def write_clip(
    clip: Clip,
    next_pts: int,
    runs: Sequence[EncodedSegment],
    video: VideoFacts,
    sound: Sound | None,
    path: Path,
) -> list[int]:
    """Write `clip` to `path` and return the source PTS of the frames in it, ascending.

    next_pts: PTS of the source frame after the clip's last.
    Raises VerificationError if no packet belongs to it.
    """
    parts = _parts(clip, runs, next_pts)
    pts = [p for part in parts for p in part.mezzanine.pts[part.first : part.stop]]
    if not pts:
        raise VerificationError(f"no frame of clip {clip.number} was encoded")
    if len({part.mezzanine.parameter_sets for part in parts}) > 1:
        raise VerificationError(f"the runs of clip {clip.number} differ in their parameter sets")
    scale, per_pts = (
        timescale(video.time_base),
        ticks_per_pts(video.time_base),
    )
    ordered = sorted(pts)
    ends = dict(zip(ordered, [*ordered[1:], max(clip.end_pts, ordered[-1] + 1)], strict=True))
    ticks = {p: (p - ordered[0]) * per_pts for p in (*ordered, ends[ordered[-1]])}
    dts, last_duration = decode_order_times([ticks[p] for p in pts], ticks[ends[ordered[-1]]])
    # Edit lists count in the movie's own ticks: one sample each, so that they lose nothing.
    movie_scale = sound.sample_rate if sound else min(scale, 90_000)
    options = {
        "movflags": "+faststart",
        "video_track_timescale": str(scale),
        "movie_timescale": str(movie_scale),
    }
    with av.open(str(path), "w", format="mp4", options=options) as output:
        picture = output.add_stream_from_template(parts[0].mezzanine.stream)
        picture.time_base = Fraction(1, scale)
        start = ordered[0] * video.time_base
        end = ends[ordered[-1]] * video.time_base
        heard = packets_within(sound, start, end) if sound else []
        voice: Any = None
        if sound and heard:
            voice = output.add_stream_from_template(sound.stream)
            voice.time_base = Fraction(1, sound.sample_rate)

        def pictures() -> Iterator[tuple[float, Packet[Any]]]:
            for place, (packet, source_pts) in enumerate(_packets(parts)):
                packet.stream = picture
                packet.time_base = Fraction(1, scale)
                packet.pts = ticks[source_pts]
                packet.dts = dts[place]
                is_last = place == len(dts) - 1
                shown = ticks[ends[source_pts]] - ticks[source_pts]
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
    return ordered


def _packets(parts: Sequence[_Part]) -> Iterator[tuple[Packet[Any], int]]:
    """The packets of all parts in decoding order, each with its source PTS.

    Read from where the index says that they are: no demuxer, no seek that lands elsewhere.
    """
    for part in parts:
        mezzanine = part.mezzanine
        with mezzanine.path.open("rb") as file:
            for place in range(part.first, part.stop):
                offset, size = mezzanine.places[place]
                file.seek(offset)
                packet = Packet(file.read(size))
                packet.is_keyframe = mezzanine.pts[place] in mezzanine.keys
                yield packet, mezzanine.pts[place]
