"""Where clips begin and end: a source of spans, and the one that there is, a fixed stride.

Pure; exact throughout.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

from clipping.models import Source, Span
from clipping.plan.frame_times import FrameTimes

__all__ = ["SpanSource", "StrideSpans", "exact", "stride_spans"]


def exact(value: float | str | Fraction) -> Fraction:
    """The number a person typed: 4.2 means 42/10, not its nearest binary double."""
    return value if isinstance(value, Fraction) else Fraction(str(value))


class SpanSource(Protocol):
    """What decides where a source's clips begin and end."""

    def spans(self, source: Source, times: FrameTimes) -> list[Span]:
        """The spans of a source, in order of their start."""
        ...

    def why_none(self) -> str:
        """Why a source may have no span at all, to stand behind its name."""
        ...

    def describe(self) -> str:
        """What it does, in a few words."""
        ...

    def digest_part(self) -> dict[str, Any]:
        """What the recipe's digest is to hold of it: all that decides spans."""
        ...


@dataclass(frozen=True, slots=True)
class StrideSpans:
    """A span of `length` seconds every `stride` seconds; NeMo Curator's FixedStrideExtractorStage.

    least: a shorter last span is dropped. limit: at most this many spans per source; 0 for all.
    """

    length: Fraction
    stride: Fraction
    least: Fraction
    limit: int = 0

    def spans(self, source: Source, times: FrameTimes) -> list[Span]:
        """The spans of a source, in order of their start."""
        del source  # its duration is all that counts
        return list(stride_spans(times.duration, self.length, self.stride, self.least, self.limit))

    def why_none(self) -> str:
        """Why a source may have no span at all, to stand behind its name."""
        return f"shorter than min_clip_length_s {float(self.least):g}"

    def describe(self) -> str:
        """What it does, in a few words."""
        return f"{float(self.length):g} s every {float(self.stride):g} s"

    def digest_part(self) -> dict[str, Any]:
        """What the recipe's digest is to hold of it: all that decides spans."""
        return {
            "clip_len_s": float(self.length),
            "clip_stride_s": float(self.stride),
            "min_clip_length_s": float(self.least),
            "limit_clips": self.limit,
        }


def stride_spans(
    duration: Fraction,
    clip_len: Fraction,
    stride: Fraction,
    min_length: Fraction,
    limit: int = 0,
) -> Iterator[Span]:
    """Spans of `clip_len` seconds, one every `stride` seconds, within `duration`.

    A span that reaches past the end is cut there, and dropped when that leaves less than
    `min_length`. `limit` 0 means all. The rules are those of NeMo Curator's
    FixedStrideExtractorStage, computed as `i * stride` so that no clip is lost to rounding.
    """
    if stride <= 0 or clip_len <= 0:
        raise ValueError("clip length and stride must be positive")
    i = 0
    while (start := i * stride) < duration and not (limit and i >= limit):
        end = min(start + clip_len, duration)
        if end - start < min_length:
            return  # later spans end at the same place and are shorter still
        yield Span(start=start, end=end)
        i += 1
