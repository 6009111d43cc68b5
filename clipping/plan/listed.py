"""Clips where a list says: each row a span, and what the row is called. Pure; exact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from clipping.models import ListedSpan, Source, Span
from clipping.plan.frame_times import FrameTimes
from clipping.plan.spans import NumberedSpan

__all__ = ["ListedSpans", "in_seconds"]


@dataclass(frozen=True, slots=True)
class ListedSpans:
    """The spans that a list has for a source; limit: at most this many, 0 for all."""

    limit: int = 0

    def spans(
        self, source: Source, times: FrameTimes, listed: Sequence[ListedSpan] = ()
    ) -> list[NumberedSpan]:
        """The spans of a source, in order of their start; what ends after the video ends with it.

        A row that begins after the video's end is a span without frames.
        """
        del source  # its frames' times are all that counts
        found = sorted(
            ((_span(row, times), row) for row in listed),
            key=lambda pair: (pair[0].start, pair[0].end, pair[1].row),
        )
        if self.limit:
            found = found[: self.limit]
        return [NumberedSpan(span, i, listed=row) for i, (span, row) in enumerate(found)]

    def why_none(self) -> str:
        """Why a source may have no span at all, to stand behind its name."""
        return "not in the list of spans"

    def describe(self) -> str:
        """What it does, in a few words."""
        return "spans of a list"

    def digest_part(self) -> dict[str, Any]:
        """What the recipe's digest is to hold of it.

        Not the list: a row more or less leaves the other clips as they are.
        """
        return {"spans": "list", "limit_clips": self.limit}


def in_seconds(rows: Sequence[ListedSpan], times: FrameTimes) -> list[ListedSpan]:
    """The rows with frame numbers turned into seconds, by the source's own frames."""

    def turned(row: ListedSpan) -> ListedSpan:
        if not row.in_frames:
            return row
        edges = {"start": _shown(times, int(row.start)), "end": _shown(times, int(row.end))}
        return row.model_copy(update={**edges, "in_frames": False})

    return [turned(row) for row in rows]


def _span(row: ListedSpan, times: FrameTimes) -> Span:
    return Span(start=row.start, end=max(row.start, min(row.end, times.duration)))


def _shown(times: FrameTimes, number: int) -> Fraction:
    """When a frame is shown, in seconds from the first one; the end, for those beyond it."""
    if number >= len(times.pts):
        return times.duration
    return (times.pts[number] - times.first) * times.time_base
