"""Planning is exact: property tests over times, rates, lengths and strides."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from math import ceil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipping.models import Chunk, Source
from clipping.plan.chunks import chunks
from clipping.plan.clips import clips
from clipping.plan.frame_times import FrameTimes, pack, unpack
from clipping.plan.segments import segments
from clipping.plan.spans import exact, stride_spans
from tests.support.sources import source_of, times_of

seconds = st.fractions(min_value=Fraction(1, 100), max_value=50, max_denominator=1000)
steps = st.lists(st.integers(1, 5000), min_size=1, max_size=300)


@given(steps)
def test_packing_loses_nothing(gaps: list[int]) -> None:
    """What is packed into a chunk comes out the same."""
    pts = times_of(gaps).pts
    assert list(unpack(pack(pts))) == list(pts)


@given(seconds, seconds, seconds, st.integers(0, 5))
def test_spans_follow_the_seeds_rules(
    duration: Fraction, length: Fraction, stride: Fraction, limit: int
) -> None:
    """Start i lies at i * stride exactly; only the end of the video shortens a span."""
    least = length / 3
    spans = list(stride_spans(duration, length, stride, least, limit))
    for i, span in enumerate(spans):
        assert span.start == i * stride
        assert span.end == min(span.start + length, duration)
        assert span.end - span.start >= least
    assert not limit or len(spans) <= limit
    following = len(spans) * stride
    if not limit or len(spans) < limit:  # nothing that deserves to be a clip is left out
        assert min(following + length, duration) - following < least or following >= duration


def test_the_seed_lost_clips_here() -> None:
    """4.2 s clips of a 600 s video: a float that is added up keeps 46 of them."""
    spans = list(stride_spans(Fraction(600), exact(4.2), exact(4.2), exact(4.2)))
    assert len(spans) == 142
    assert spans[141].end == Fraction(5964, 10)


@pytest.mark.parametrize(
    ("typed", "meant"), [(4.2, (21, 5)), ("0.1", (1, 10)), (1e-05, (1, 10**5))]
)
def test_a_number_means_what_was_typed(typed: float | str, meant: tuple[int, int]) -> None:
    """4.2 is 21/5 and not the double nearest to it."""
    assert exact(typed) == Fraction(*meant)


@given(steps, seconds)
def test_adjacent_clips_share_no_frame_and_lose_none(gaps: list[int], length: Fraction) -> None:
    """With stride = length every frame is in exactly one clip."""
    times = times_of(gaps)
    if times.duration / length > 2000:
        return
    spans = list(stride_spans(times.duration, length, length, Fraction(0)))
    planned = clips("k", times, spans)
    held = [f for clip in planned for f in range(clip.start_frame, clip.end_frame)]
    assert held == list(range(len(times.pts)))
    assert len({clip.id for clip in planned}) == len(planned)


@given(steps, seconds, seconds)
def test_a_clip_holds_the_frames_of_its_span(
    gaps: list[int], length: Fraction, stride: Fraction
) -> None:
    """Membership is decided by presentation time alone, half-open, in exact arithmetic."""
    times = times_of(gaps)
    if times.duration / stride > 500:
        return
    spans = list(stride_spans(times.duration, length, stride, Fraction(0)))
    for clip in clips("k", times, spans):
        inside = [
            f
            for f, p in enumerate(times.pts)
            if clip.span.start <= (p - times.first) * times.time_base < clip.span.end
        ]
        assert inside == list(range(clip.start_frame, clip.end_frame))
        if inside:
            assert clip.start_pts == times.pts[inside[0]]
            assert clip.end_pts > times.pts[inside[-1]]
            # In ticks: an end between two of them can only be the later one.
            over = clip.end_pts - times.first - ceil(clip.span.end / times.time_base)
            assert over <= times.nominal


@settings(deadline=None)
@given(
    steps, seconds, seconds, st.integers(1, 8), st.sampled_from([48, 480, 2160]),
    st.integers(1, 6), st.integers(1, 60),
)  # fmt: skip
def test_runs_encode_every_wanted_frame_once(
    gaps: list[int],
    length: Fraction,
    stride: Fraction,
    per_chunk: int,
    height: int,
    per_segment: int,
    key_every: int,
) -> None:
    """However a chunk is split, each frame that a clip holds is encoded once, others never."""
    times = times_of(gaps, key_every)
    if times.duration / stride > 200:
        return
    spans = list(stride_spans(times.duration, length, stride, Fraction(0)))
    planned = clips("k", times, spans)
    made = list(chunks(sized(times, height), times, planned, per_chunk))
    assert [c for chunk in made for c in chunk.clips] == planned
    for chunk in made:
        check_segments(chunk, times, per_segment)


def sized(times: FrameTimes, height: int) -> Source:
    """A source of that height in pixels, and 16:9."""
    source = source_of(times)
    video = source.video.model_copy(update={"width": height * 16 // 9, "height": height})
    return source.model_copy(update={"video": video})


def check_segments(chunk: Chunk, times: FrameTimes, per_segment: int) -> None:
    """The rules of a chunk's runs."""
    wanted = {f for c in chunk.clips for f in range(c.start_frame, c.end_frame)}
    plan = segments(chunk, chunk.clips, per_segment)
    encoded = [p for run in plan for p in run.pts]
    assert encoded == sorted(encoded)
    assert encoded == [times.pts[f] for f in sorted(wanted)]
    edges = {e for c in chunk.clips if c.frame_count for e in (c.start_frame, c.end_frame)}
    for run in plan:
        chosen = [p for p in times.pts if any(a <= p < b for a, b in run.ranges)]
        assert chosen == list(run.pts)
        assert run.first_frame in edges
        assert run.seek is None or (run.seek <= run.pts[0] and run.seek in times.keyframes)
        # Every clip boundary inside the run becomes an IDR: a point between two frames.
        inside = sorted(e for e in edges if run.first_frame < e < run.end_frame)
        for edge in inside:
            if times.pts[edge] in run.pts:
                assert any(times.pts[edge - 1] < b < times.pts[edge] for b in run.boundaries)
    for a, b in pairwise(plan):
        assert a.end_frame <= b.first_frame


def test_chunks_depend_on_the_recipe_alone() -> None:
    """A clip's id and its chunk are the same whatever else is made beside it."""
    times = times_of([40] * 400)
    spans = list(stride_spans(times.duration, Fraction(1), Fraction(1), Fraction(0)))
    first, again = (clips("k", times, spans) for _ in range(2))
    assert [c.id for c in first] == [c.id for c in again]
    assert clips("other", times, spans)[0].id != first[0].id


def test_a_long_gap_begins_a_new_run_and_a_short_one_does_not() -> None:
    """Skipping by decoding is kept up until a keyframe offers a shorter way."""
    times = times_of([40] * 2000, key_every=25)
    far = clips("k", times, list(stride_spans(times.duration, exact(1), exact(20), exact(0))))
    near = clips("k", times, list(stride_spans(times.duration, exact(1), exact("1.5"), exact(0))))
    chunk_far = next(chunks(source_of(times), times, far, 4))
    chunk_near = next(chunks(source_of(times), times, near, 4))
    assert len(segments(chunk_far, chunk_far.clips)) == 4
    assert len(segments(chunk_near, chunk_near.clips)) == 1


def test_a_source_without_keyframes_is_not_decoded_twice_for_the_sake_of_cpus() -> None:
    """One GOP is one run, whose encoder gets threads instead; with keyframes there are many."""
    spans = list(stride_spans(Fraction(40), exact(2), exact(2), exact(0)))
    for key_every, expected in ((1000, (1, 4)), (50, (4, 1)), (500, (2, 3))):
        times = times_of([40] * 1000, key_every)
        (chunk,) = chunks(sized(times, 720), times, clips("k", times, spans), 32)
        plan = segments(chunk, chunk.clips, 32)
        assert (len(plan), plan[0].threads) == expected


@pytest.mark.parametrize("key_every", [48, 125, 240, 250])
def test_splitting_costs_little_decoding_and_leaves_no_cpu_idle(key_every: int) -> None:
    """Of a long chunk: 2 % at most, at enough places that six CPUs end at about the same time."""
    times = times_of([40] * 8000, key_every)
    spans = list(stride_spans(times.duration, exact(10), exact(10), exact(10)))
    (chunk,) = chunks(sized(times, 720), times, clips("k", times, spans), 32)
    plan = segments(chunk, chunk.clips)
    again = sum(run.first_frame - times.pts.index(run.seek) for run in plan if run.seek is not None)
    assert again / 4 <= 0.02 * 8000
    assert len(plan) >= 6
    assert max(run.frame_count for run in plan) <= 1.5 * 8000 / len(plan)


def test_small_pictures_are_not_split() -> None:
    """A process, or a thread, for less than seconds of work costs more than it saves."""
    times = times_of([40] * 500, 50)
    spans = list(stride_spans(times.duration, exact(2), exact(2), exact(2)))
    (chunk,) = chunks(sized(times, 360), times, clips("k", times, spans), 32)
    (run,) = segments(chunk, chunk.clips)
    assert run.threads == 1


def test_a_gpu_gets_long_runs() -> None:
    """Its sessions follow each other: nothing is won by more of them."""
    times = times_of([40] * 1000, 50)
    spans = list(stride_spans(times.duration, exact(2), exact(2), exact(2)))
    (chunk,) = chunks(sized(times, 2160), times, clips("k", times, spans), 32)
    assert len(segments(chunk, chunk.clips, side_by_side=False)) == 2
    assert len(segments(chunk, chunk.clips)) > 10
