"""Where clips begin and end, before anything is known of frames. Pure; exact throughout."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from clipping.models import Span

__all__ = ["exact", "stride_spans"]


def exact(value: float | str | Fraction) -> Fraction:
    """The number a person typed: 4.2 means 42/10, not its nearest binary double."""
    return value if isinstance(value, Fraction) else Fraction(str(value))


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
