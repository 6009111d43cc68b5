"""Spans and frame times to clips: which frames each holds, and its id. Pure."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil

from clipping.models import Clip, Span
from clipping.plan.frame_times import LONGEST_STEP, FrameTimes
from clipping.plan.spans import NumberedSpan

__all__ = ["Names", "clip_id", "clips"]


def clip_id(source_key: str, start_frame: int, end_frame: int) -> str:
    """The id of a clip: the same source and frames give the same id on every machine."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{source_key}_{start_frame}_{end_frame}"))


@dataclass(slots=True)
class Names:
    """Ids for clips of one source, each another one.

    Two spans between the same frames are two clips all the same, as are two rows of a list that
    ask for the same span.
    """

    source_key: str
    _frames: set[tuple[int, int]] = field(default_factory=set[tuple[int, int]])
    _spans: Counter[Span] = field(default_factory=Counter[Span])

    def take(self, start: int, end: int, span: Span) -> str:
        """The id of the next clip, of the frames `[start, end)`, that `span` was asked for."""
        if start != end and (start, end) not in self._frames:
            self._frames.add((start, end))
            return clip_id(self.source_key, start, end)
        nth = self._spans[span]
        self._spans[span] += 1
        more = f"_{nth}" if nth else ""
        return clip_id(f"{self.source_key}_{span.start}_{span.end}{more}", start, end)


def clips(source_key: str, times: FrameTimes, spans: Sequence[NumberedSpan]) -> list[Clip]:
    """Give every span its id and its frames: those presented within `[start, end)`.

    A row of spans without frames becomes one clip without frames.
    """
    nominal, longest = times.nominal, LONGEST_STEP / times.time_base
    planned: list[Clip] = []
    names = Names(source_key)
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
        planned.append(
            Clip(
                id=names.take(start, end, span),
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
