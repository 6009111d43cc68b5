"""Clips of exactly so many frames, against a naive count."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipping.config.recipe import Recipe
from clipping.plan.clips import clips
from clipping.plan.frame_spans import FrameSpans
from clipping.plan.frame_times import FrameTimes

MS = Fraction(1, 1000)
SOURCE: Any = None  # frames' times are all that counts
HOURS = 2 * 3600 * 1000


def times_of(*pts: int) -> FrameTimes:
    """Frames at these milliseconds; the last one lasts 40."""
    return FrameTimes(pts, pts[:1], pts[-1] + 40, MS)


def frames_of(times: FrameTimes, spans: FrameSpans) -> list[tuple[int, int]]:
    """The frames of each clip that comes of the spans."""
    planned = clips("key", times, spans.spans(SOURCE, times))
    assert [clip.number for clip in planned] == list(range(len(planned)))
    assert len({clip.id for clip in planned}) == len(planned)
    return [(clip.start_frame, clip.end_frame) for clip in planned]


@given(
    steps=st.lists(st.sampled_from([1, 16, 33, 34, 400, 2500, HOURS]), min_size=1, max_size=60),
    frames=st.integers(1, 20),
    stride=st.integers(1, 25),
)
def test_by_frames(steps: list[int], frames: int, stride: int) -> None:
    """Every window of `frames` frames from each multiple of the stride, but across no gap."""
    pts = [7]
    for step in steps:
        pts.append(pts[-1] + step)
    expected = [
        (i, i + frames)
        for i in range(0, len(pts), stride)
        if i + frames <= len(pts) and max([0, *steps[i : i + frames - 1]]) <= 3_600_000
    ]
    spans = FrameSpans(frames=frames, frame_stride=stride, stride=Fraction(10))
    assert frames_of(times_of(*pts), spans) == expected


@given(
    steps=st.lists(st.sampled_from([1, 16, 33, 34, 400, 2500]), min_size=1, max_size=60),
    frames=st.integers(1, 20),
    stride=st.sampled_from([Fraction(1, 10), Fraction(1, 3), Fraction(1), Fraction(7, 2)]),
)
def test_by_seconds(steps: list[int], frames: int, stride: Fraction) -> None:
    """From the first frame at or after each moment; moments before one frame make one clip."""
    pts = [0]
    for step in steps:
        pts.append(pts[-1] + step)
    firsts: list[int] = []
    for i in range(int(pts[-1] * MS / stride) + 2):
        first = next((n for n, p in enumerate(pts) if p * MS >= i * stride), len(pts))
        if first + frames <= len(pts) and first not in firsts:
            firsts.append(first)
    spans = FrameSpans(frames=frames, frame_stride=0, stride=stride)
    assert frames_of(times_of(*pts), spans) == [(f, f + frames) for f in firsts]


def test_a_gap_of_years_costs_nothing() -> None:
    """Moments without a frame are passed in one step."""
    times = times_of(0, 40, 80, 10**15, 10**15 + 40, 10**15 + 80)
    spans = FrameSpans(frames=2, frame_stride=0, stride=Fraction(1))
    assert frames_of(times, spans) == [(0, 2), (3, 5)]


def test_at_most_so_many() -> None:
    """`limit_clips` counts clips."""
    spans = FrameSpans(frames=2, frame_stride=1, stride=Fraction(1), limit=3)
    assert frames_of(times_of(*range(0, 400, 40)), spans) == [(0, 2), (1, 3), (2, 4)]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"frames": 9, "clip_len_s": 3}, "exclude each other"),
        ({"frame_stride": 9}, "frame_stride needs frames"),
        ({"frames": 5000, "frame_stride": 1}, "more than 1000 clips"),
    ],
)
def test_what_excludes_each_other_is_told(settings: dict[str, Any], words: str) -> None:
    """In a sentence."""
    with pytest.raises(ValueError, match=words):
        Recipe(**settings)


def test_the_digest_follows_what_counts() -> None:
    """What has no effect does not make clips again."""
    base = Recipe(frames=9, frame_stride=9)
    assert Recipe(frames=9, frame_stride=9, clip_stride_s=3).digest() == base.digest()
    assert Recipe(frames=9, clip_stride_s=3).digest() != Recipe(frames=9).digest()
    assert Recipe(frames=9, frame_stride=8).digest() != base.digest()
    assert base.span_source.describe() == "9 frames every 9 frames"
    assert Recipe(frames=9).span_source.describe() == "9 frames every 10 s"
