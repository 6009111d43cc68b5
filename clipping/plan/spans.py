"""Where clips begin and end: a source of spans, and the one that there is, a fixed stride.

Pure; exact throughout. A timestamp may lie years away from the next one, so spans in which no frame
lies are never made one by one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Any, Protocol

from clipping.models import ListedSpan, Source, Span
from clipping.plan.frame_times import FrameTimes

__all__ = ["NumberedSpan", "SpanSource", "StrideSpans", "exact", "stride_spans"]


def exact(value: float | str | Fraction) -> Fraction:
    """The number a person typed: 4.2 means 42/10, not its nearest binary double."""
    return value if isinstance(value, Fraction) else Fraction(str(value))


@dataclass(frozen=True, slots=True)
class NumberedSpan:
    """A span with its number, from 0; or a row of them in which no frame lies.

    count: how many consecutive spans it stands for. With more than one, `number` is the first
    one's, and `span` goes from the first one's start to the last one's end.
    shot: number of the shot that it lies in; listed: the row of a list that asked for it.
    """

    span: Span
    number: int
    count: int = 1
    shot: int | None = None
    listed: ListedSpan | None = None


class SpanSource(Protocol):
    """What decides where a source's clips begin and end."""

    def spans(
        self, source: Source, times: FrameTimes, listed: Sequence[ListedSpan] = ()
    ) -> list[NumberedSpan]:
        """The spans of a source, in order of their start; those without frames in rows.

        listed: what a list has for it, if a list was given.
        """
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

    def spans(
        self, source: Source, times: FrameTimes, listed: Sequence[ListedSpan] = ()
    ) -> list[NumberedSpan]:
        """The spans of a source, in order of their start; those without frames in rows."""
        del source, listed  # its frames' times are all that counts
        return list(stride_spans(times, self.length, self.stride, self.least, self.limit))

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
    times: FrameTimes,
    clip_len: Fraction,
    stride: Fraction,
    min_length: Fraction,
    limit: int = 0,
) -> Iterator[NumberedSpan]:
    """Spans of `clip_len` seconds, one every `stride` seconds, within a source's duration.

    A span that reaches past the end is cut there, and dropped when that leaves less than
    `min_length`. `limit` 0 means all. The rules are those of NeMo Curator's
    FixedStrideExtractorStage, computed as `i * stride` so that no clip is lost to rounding.
    Consecutive spans without a frame come as one, in one step.
    """
    if stride <= 0 or clip_len <= 0:
        raise ValueError("clip length and stride must be positive")
    total = _how_many(times.duration, clip_len, stride, min_length)
    total = min(total, limit) if limit else total

    def span(number: int, count: int = 1) -> NumberedSpan:
        end = min((number + count - 1) * stride + clip_len, times.duration)
        return NumberedSpan(Span(start=number * stride, end=end), number, count)

    at, empty_from = 0, 0
    while at < total:
        following = times.seconds_at_or_after(at * stride)
        # The first span from here on that ends after the next frame; it may begin after it, too.
        holding = total if following is None else (following - clip_len) // stride + 1
        if holding > at:
            at = min(holding, total)
            continue
        if at > empty_from:
            yield span(empty_from, at - empty_from)
        yield span(at)
        at += 1
        empty_from = at
    if at > empty_from:
        yield span(empty_from, at - empty_from)


def _how_many(
    duration: Fraction, clip_len: Fraction, stride: Fraction, min_length: Fraction
) -> int:
    """How many spans begin within `duration` and are not cut to less than `min_length` there."""
    if min_length > min(clip_len, duration):
        return 0
    # Number i counts if i * stride < duration and i * stride <= duration - min_length.
    begin_inside = ceil(duration / stride)
    long_enough = (duration - min_length) // stride + 1
    return min(begin_inside, long_enough)
