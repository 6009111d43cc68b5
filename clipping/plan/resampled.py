"""Another frame rate: which of a source's frames each frame of a constant rate shows. Pure; exact.

Frame k shows what the source presents at its first frame's time + k / rate: the last frame whose
time is not later. Frames are then planned, cut and verified by that clock, as if the source had
them; what is decoded are the source's own.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import ceil, lcm

from clipping.models import Chunk, Clip, FrameClock, Resampled, VideoFacts
from clipping.plan.frame_times import FrameTimes, pack, unpack

__all__ = ["ShownFrames", "clock_of", "resampled_times", "with_source_frames"]

# Where the last frame ends is its PTS and a duration, each rounded.
_END_OFF_BY = 3


def clock_of(times: FrameTimes, video: VideoFacts, rate: Fraction) -> FrameClock:
    """The clock of `rate` frames per second that begins with a source's first frame."""
    grid = video.grid
    if grid and grid.off_by:
        return FrameClock(rate=rate, zero=grid.nearest(times.first, video.time_base))
    return FrameClock(rate=rate, zero=times.first * video.time_base)


def _places(pts: Sequence[int], video: VideoFacts, clock: FrameClock) -> tuple[list[int], int]:
    """When frames are presented, in frames of the clock: numerators, and their denominator.

    Timestamps that are roundings of a constant rate's count as what was rounded.
    """
    grid, base = video.grid, video.time_base
    if grid and grid.off_by:
        numbers: Sequence[int] = grid.numbers(pts, base)
        step, first = clock.rate / grid.rate, (grid.origin * base - clock.zero) * clock.rate
    else:
        numbers = pts
        step, first = clock.rate * base, -clock.zero * clock.rate
    scale = lcm(step.denominator, first.denominator)
    by, offset = int(step * scale), int(first * scale)
    return [number * by + offset for number in numbers], scale


@dataclass(frozen=True)
class ShownFrames:
    """Which source frames the frames of a clock show.

    pts: the source's frames, ascending, at least all that are asked for.
    """

    pts: Sequence[int]
    video: VideoFacts
    clock: FrameClock

    @classmethod
    def of(cls, chunk: Chunk) -> ShownFrames:
        """Of a resampled chunk."""
        assert chunk.resampled is not None
        pts = unpack(chunk.resampled.frame_pts)
        return cls(pts, chunk.source.video, chunk.resampled.clock)

    @cached_property
    def _placed(self) -> tuple[list[int], int]:
        return _places(self.pts, self.video, self.clock)

    @cached_property
    def firsts(self) -> list[int]:
        """Of each source frame, the first frame of the clock that comes no earlier."""
        places, scale = self._placed
        return [-(-place // scale) for place in places]

    def end_of(self, index: int, lasts: int) -> int:
        """The first frame of the clock after a source frame that lasts so many PTS."""
        places, scale = self._placed
        return ceil(Fraction(places[index], scale) + lasts * self.video.time_base * self.clock.rate)

    def index_at(self, frame: int) -> int:
        """Place in `pts` of what a frame of the clock shows."""
        return max(0, bisect_right(self.firsts, frame) - 1)

    def shown(self, frames: Sequence[int]) -> list[int]:
        """Source PTS of what each of these frames of the clock shows."""
        return [self.pts[self.index_at(frame)] for frame in frames]

    def counts(self, frames: Sequence[int]) -> tuple[int, int]:
        """How many source frames these frames of the clock leave out, and how many they repeat.

        Left out is what is presented from the first one's time until the last one's display ends.
        """
        places, scale = self._placed
        indices = [self.index_at(frame) for frame in frames]
        distinct = len(set(indices))
        until = bisect_left(places, (frames[-1] + 1) * scale)
        return max(until, indices[-1] + 1) - indices[0] - distinct, len(frames) - distinct


def resampled_times(times: FrameTimes, video: VideoFacts, rate: Fraction) -> FrameTimes:
    """The frame times of a source at a constant `rate`; PTS are frame numbers of its clock.

    A frame is held until the next one comes. Where none comes for more than `LONGEST_STEP`, it is
    held for as long as frames usually are, and the next one follows after the gap.
    """
    clock = clock_of(times, video, rate)
    frames = ShownFrames(times.pts, video, clock)
    firsts, seconds = frames.firsts, _seconds(times, video, clock)
    end = max(1, ceil(seconds * rate))
    pts: Sequence[int] = range(end)
    if gaps := times.gaps:
        held = array("q")
        for first, beyond in zip([0, *gaps], [*gaps, len(firsts)], strict=True):
            last = frames.end_of(beyond - 1, times.nominal) if beyond < len(firsts) else end
            held.extend(range(firsts[first], last))
        pts = held
    # Decoding from a keyframe gives what is shown from it on.
    number = dict(zip(times.pts, firsts, strict=True))
    keys = sorted({n for key in times.keyframes if (n := number.get(key)) is not None and n < end})
    cuts = sorted({number[cut] for cut in times.cuts if cut in number})
    return FrameTimes(pts, keys, end, clock.time_base, lasts=seconds, cuts=cuts)


def _seconds(times: FrameTimes, video: VideoFacts, clock: FrameClock) -> Fraction:
    """How long a source lasts, from its first frame on."""
    grid, base = video.grid, video.time_base
    last, end = times.pts[-1] * base, times.end * base
    if grid and grid.off_by:
        last, near = (grid.nearest(p, base) for p in (times.pts[-1], times.end))
        end = near if abs(near - end) <= _END_OFF_BY * grid.off_by * base else end
    if grid and grid.is_constant:  # muxers often write a single tick for a source's last frame
        end = max(end, last + 1 / grid.rate)
    return end - clock.zero


def with_source_frames(chunk: Chunk, times: FrameTimes, rate: Fraction) -> Chunk:
    """A chunk that was planned by `resampled_times`, with the source's own frames beside it.

    times: of the source.
    """
    video = chunk.source.video
    clock = clock_of(times, video, rate)
    frames = ShownFrames(times.pts, video, clock)
    planned = unpack(chunk.frame_pts)
    ends = max((clip.end_pts for clip in chunk.clips if clip.frame_count), default=0)
    first = frames.index_at(planned[0]) if planned else 0
    beyond = max(first, bisect_right(frames.firsts, ends)) + 1 if planned else 0
    pts = times.pts[first:beyond]
    start, last = (pts[0], pts[-1]) if len(pts) else (times.end, times.end)
    lead = times.keyframe_before(start)
    keys = [k for k in times.keyframes if (start if lead is None else lead) <= k <= last]
    repeated = [p for p in times.repeated if start <= p <= last]
    return chunk.model_copy(
        update={
            "clips": tuple(_on_clock(clip, frames) for clip in chunk.clips),
            "resampled": Resampled(clock=clock, frame_pts=pack(pts), keyframes=pack(keys)),
            "repeated": pack(repeated),
        }
    )


def _on_clock(clip: Clip, frames: ShownFrames) -> Clip:
    [shown] = frames.shown([clip.start_pts])
    return clip.model_copy(update={"clock": frames.clock, "shown_pts": shown})
