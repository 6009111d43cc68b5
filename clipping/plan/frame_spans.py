"""Clips of an exact number of frames: what models take that were made for N frames. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Any

from clipping.models import ListedSpan, Source, Span
from clipping.plan.frame_times import FrameTimes
from clipping.plan.spans import NumberedSpan

__all__ = ["FrameSpans"]


@dataclass(frozen=True, slots=True)
class FrameSpans:
    """A span of `frames` frames every `frame_stride` frames, or else every `stride` seconds.

    What has fewer frames is dropped: at the end of a video, and before a gap of more than an hour.
    limit: at most this many spans per source; 0 for all.
    """

    frames: int
    frame_stride: int
    stride: Fraction
    limit: int = 0

    def spans(
        self, source: Source, times: FrameTimes, listed: Sequence[ListedSpan] = ()
    ) -> list[NumberedSpan]:
        """The spans of a source, in order of their start."""
        del source, listed  # its frames' times are all that counts
        found: list[NumberedSpan] = []
        gaps, total = times.gaps, len(times.pts)
        for first in self._firsts(times):
            beyond = first + self.frames
            if beyond > total:
                break
            gap = bisect_right(gaps, first)
            if gap < len(gaps) and gaps[gap] < beyond:
                continue
            end = _shown(times, beyond) if beyond < total else times.duration
            found.append(NumberedSpan(Span(start=_shown(times, first), end=end), len(found)))
            if len(found) == self.limit:
                break
        return found

    def _firsts(self, times: FrameTimes) -> Iterator[int]:
        """Numbers of the frames that clips begin with, ascending, each once."""
        if self.frame_stride:
            yield from range(0, len(times.pts), self.frame_stride)
            return
        at, step = 0, 0
        while at < len(times.pts):
            yield at
            # The next moment of the grid that lies after this frame, however long a gap is.
            step = max(step + 1, ceil(_shown(times, at) / self.stride))
            following = times.index_at(step * self.stride)
            while following == at:  # several moments before one frame
                step += 1
                following = times.index_at(step * self.stride)
            at = following

    def why_none(self) -> str:
        """Why a source may have no span at all, to stand behind its name."""
        return f"fewer frames than {self.frames}"

    def describe(self) -> str:
        """What it does, in a few words."""
        every = f"{self.frame_stride} frames" if self.frame_stride else f"{float(self.stride):g} s"
        return f"{self.frames} frames every {every}"

    def digest_part(self) -> dict[str, Any]:
        """What the recipe's digest is to hold of it: all that decides spans."""
        return {
            "frames": self.frames,
            "frame_stride": self.frame_stride,
            "clip_stride_s": None if self.frame_stride else float(self.stride),
            "limit_clips": self.limit,
        }


def _shown(times: FrameTimes, number: int) -> Fraction:
    """When a frame is shown, in seconds from the first one."""
    return (times.pts[number] - times.first) * times.time_base
