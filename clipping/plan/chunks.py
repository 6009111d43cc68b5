"""Clips to chunks, each done by one task. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from clipping.models import Chunk, Clip, Source
from clipping.plan.frame_times import FrameTimes, pack

__all__ = ["chunks"]


def chunks(
    source: Source, times: FrameTimes, planned: Sequence[Clip], clips_per_chunk: int
) -> Iterator[Chunk]:
    """Cut a source's clips into chunks of at most `clips_per_chunk` consecutive ones."""
    for number, begin in enumerate(range(0, len(planned), clips_per_chunk)):
        group = tuple(planned[begin : begin + clips_per_chunk])
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
        )
