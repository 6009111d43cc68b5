"""Spans and frame times to clips: which frames each holds, and its id. Pure."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from math import ceil

from clipping.models import Clip
from clipping.plan.frame_times import LONGEST_STEP, FrameTimes
from clipping.plan.spans import NumberedSpan

__all__ = ["clip_id", "clips"]


def clip_id(source_key: str, start_frame: int, end_frame: int) -> str:
    """The id of a clip: the same source and frames give the same id on every machine."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{source_key}_{start_frame}_{end_frame}"))


def clips(source_key: str, times: FrameTimes, spans: Sequence[NumberedSpan]) -> list[Clip]:
    """Give every span its id and its frames: those presented within `[start, end)`.

    A row of spans without frames becomes one clip without frames.
    """
    nominal, longest = times.nominal, LONGEST_STEP / times.time_base
    planned: list[Clip] = []
    taken: set[tuple[int, int]] = set()
    for numbered in spans:
        span = numbered.span
        start, end = times.index_at(span.start), times.index_at(span.end)
        span_end = ceil(times.first + span.end / times.time_base)
        next_pts = times.pts[end] if end < len(times.pts) else times.end
        # The last frame keeps its own duration, except across a gap in a variable rate: a clip
        # never runs more than one frame beyond its span. And where the clock jumped, nobody knows
        # how long it was shown.
        end_pts = next_pts if next_pts - span_end <= nominal else span_end
        if start < end and next_pts - times.pts[end - 1] > longest:
            end_pts = min(span_end, times.pts[end - 1] + nominal)
        start_pts = times.pts[start] if start < len(times.pts) else times.end
        name = clip_id(source_key, start, end)
        if start == end or (start, end) in taken:
            # Two spans between the same frames are two clips all the same.
            name = clip_id(f"{source_key}_{span.start}_{span.end}", start, end)
        taken.add((start, end))
        planned.append(
            Clip(
                id=name,
                number=numbered.number,
                count=numbered.count,
                span=span,
                start_frame=start,
                end_frame=end,
                start_pts=start_pts,
                end_pts=max(end_pts, start_pts),
                shot=numbered.shot,
                listed=numbered.listed,
            )
        )
    return planned
