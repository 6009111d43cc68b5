"""Clips within shots: none crosses a cut. Pure; exact.

Cuts are the first frames of shots, as something found them (`FrameTimes.cuts`). Within a shot clips
are those of another source of spans, as if the shot were a video of its own.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Literal

from clipping.models import ListedSpan, Source, Span
from clipping.plan.frame_times import FrameTimes
from clipping.plan.spans import NumberedSpan, SpanSource

__all__ = ["Detector", "SceneRule", "SceneSpans"]

Detector = Literal["adaptive", "content"]


@dataclass(frozen=True, slots=True)
class SceneRule:
    """How cuts are found.

    threshold: of the detector's score, 0 for its own default; min_length_s: of a shot, in seconds.
    """

    detector: Detector = "adaptive"
    threshold: float = 0.0
    min_length_s: float = 0.6

    def values(self) -> dict[str, Any]:
        """All of it, as records and digests hold it."""
        return {
            "scene_detector": self.detector,
            "scene_threshold": self.threshold,
            "scene_min_length_s": self.min_length_s,
        }


@dataclass(frozen=True, slots=True)
class SceneSpans:
    """The spans of `within`, in each shot anew.

    margin: frames left out on both sides of a cut; limit: at most this many spans per source, 0
    for all.
    """

    within: SpanSource
    rule: SceneRule
    margin: int = 0
    limit: int = 0

    def spans(
        self, source: Source, times: FrameTimes, listed: Sequence[ListedSpan] = ()
    ) -> list[NumberedSpan]:
        """The spans of a source, in order of their start; those without frames in rows."""
        found: list[NumberedSpan] = []
        number = 0
        for shot, part in self._shots(times):
            offset = (part.first - times.first) * times.time_base
            for each in self.within.spans(source, part, listed):
                span = Span(start=each.span.start + offset, end=each.span.end + offset)
                found.append(replace(each, span=span, number=number, shot=shot))
                number += each.count
                if self.limit and number >= self.limit:
                    return found
        return found

    def _shots(self, times: FrameTimes) -> Iterator[tuple[int, FrameTimes]]:
        """Each shot's number, from 0, and its frames without the margins."""
        starts = {bisect_left(times.pts, cut) for cut in times.cuts}
        total = len(times.pts)
        edges = sorted({0, total, *starts})
        for shot, (first, beyond) in enumerate(pairwise(edges)):
            a = first + (self.margin if first else 0)
            b = beyond - (self.margin if beyond < total else 0)
            if a >= b:
                continue
            end = times.pts[b] if b < total else times.end
            lasts = times.lasts
            if b < total or lasts is None:
                lasts = None
            else:
                lasts -= (times.pts[a] - times.first) * times.time_base
            yield shot, FrameTimes(times.pts[a:b], (), end, times.time_base, lasts=lasts)

    def why_none(self) -> str:
        """Why a source may have no span at all, to stand behind its name."""
        return f"{self.within.why_none()} in every shot"

    def describe(self) -> str:
        """What it does, in a few words."""
        return f"{self.within.describe()} within shots"

    def digest_part(self) -> dict[str, Any]:
        """What the recipe's digest is to hold of it: all that decides spans."""
        return {
            **self.within.digest_part(),
            **self.rule.values(),
            "spans": "scenes",
            "scene_margin_frames": self.margin,
            "limit_clips": self.limit,
        }
