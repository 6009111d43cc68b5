"""Clips to chunks, each done by one task. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence

from clipping.models import Chunk, Clip, Source
from clipping.plan.frame_times import FrameTimes, pack

__all__ = ["chunks"]


def chunks(
    source: Source, times: FrameTimes, planned: Sequence[Clip], clips_per_chunk: int
) -> Iterator[Chunk]:
    """Cut a source's clips into chunks of at most `clips_per_chunk` consecutive ones.

    A chunk also ends where no frame comes for a long time, unless a clip goes on across: nothing
    can be encoded in one go, nor its sound, from before such a gap to years after it.
    """
    for number, group in enumerate(_groups(planned, times.gaps, clips_per_chunk)):
        first = min(c.start_frame for c in group)
        beyond = min(len(times.pts), max(c.end_frame for c in group) + 1)
        pts = times.pts[first:beyond]
        start = pts[0] if len(pts) else times.end
        last = pts[-1] if len(pts) else times.end
        lead = times.keyframe_before(start)
        keys = [k for k in times.keyframes if (start if lead is None else lead) <= k <= last]
        yield Chunk(
            source=source,
            number=number,
            clips=group,
            first_frame=first,
            frame_pts=pack(pts),
            keyframes=pack(keys),
            repeated=pack([p for p in times.repeated if start <= p <= last]),
        )


def _groups(planned: Sequence[Clip], gaps: Sequence[int], most: int) -> Iterator[tuple[Clip, ...]]:
    group: list[Clip] = []
    reached = 0
    for clip in planned:
        gap = bisect_left(gaps, reached)
        is_beyond = gap < len(gaps) and gaps[gap] <= clip.start_frame and clip.frame_count > 0
        if group and (len(group) == most or is_beyond):
            yield tuple(group)
            group, reached = [], 0
        group.append(clip)
        reached = max(reached, clip.end_frame)
    if group:
        yield tuple(group)
