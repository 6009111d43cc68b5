"""Planning is exact: property tests over times, rates, lengths and strides."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from math import ceil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipping.models import Chunk, Source, Span
from clipping.plan.chunks import chunks
from clipping.plan.clips import clip_id, clips
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


def one_by_one(
    times: FrameTimes, length: Fraction, stride: Fraction, least: Fraction, limit: int
) -> list[Span]:
    """The seed's rules as they are said: span after span until the end of the video."""
    spans: list[Span] = []
    while (start := len(spans) * stride) < times.duration and not (limit and len(spans) >= limit):
        end = min(start + length, times.duration)
        if end - start < least:
            break
        spans.append(Span(start=start, end=end))
    return spans


@given(
    steps, seconds, seconds, st.sampled_from([Fraction(0), Fraction(1, 3), Fraction(1)]),
    st.integers(0, 5),
)  # fmt: skip
def test_spans_follow_the_seeds_rules(
    gaps: list[int], length: Fraction, stride: Fraction, least: Fraction, limit: int
) -> None:
    """Start i lies at i * stride exactly; spans without frames, and no others, come in rows."""
    times = times_of(gaps)
    if times.duration / stride > 2000:
        return
    expected = one_by_one(times, length, stride, least * length, limit)
    found = list(stride_spans(times, length, stride, least * length, limit))
    assert sum(n.count for n in found) == len(expected)
    for numbered in found:
        row = expected[numbered.number : numbered.number + numbered.count]
        assert numbered.span == Span(start=row[0].start, end=row[-1].end)
        held = [times.index_at(span.end) - times.index_at(span.start) for span in row]
        assert len(row) == 1 or not any(held)
        assert numbered.number == 0 or row[0].start == numbered.number * stride
    empty = [times.index_at(n.span.end) == times.index_at(n.span.start) for n in found]
    assert not any(a and b for a, b in pairwise(empty)), "two rows that are one"


def test_the_seed_lost_clips_here() -> None:
    """4.2 s clips of a 600 s video: a float that is added up keeps 46 of them."""
    times = times_of([1000] * 599)
    spans = list(stride_spans(times, exact(4.2), exact(4.2), exact(4.2)))
    assert len(spans) == 142
    assert spans[141].span.end == Fraction(5964, 10)


def test_a_clock_that_jumps_costs_nothing() -> None:
    """A century without frames is one row, whose neighbours keep their ids and numbers."""
    century = 100 * 365 * 86_400
    times = times_of([40] * 30 + [century * 1000] + [40] * 30)
    planned = clips("k", times, list(stride_spans(times, exact(1), exact("0.5"), exact(0))))
    row = next(c for c in planned if not c.frame_count)
    assert [c.frame_count > 0 for c in planned] == [c is not row for c in planned]
    assert len(planned) < 10
    assert row.count == 2 * century - 2
    assert row.number + row.count == planned[planned.index(row) + 1].number
    assert (row.span.start, row.span.end) == (Fraction(3, 2), Fraction(century + 1))
    for clip in planned:
        if clip is not row:
            assert clip.id == clip_id("k", clip.start_frame, clip.end_frame)
            assert clip.span.start == clip.number * Fraction(1, 2)
            assert (clip.end_pts - clip.start_pts) * times.time_base < 2
    # The gap also ends a chunk: nothing is encoded across it, and no silence made for it.
    before, after = chunks(source_of(times), times, planned, 32)
    assert before.clips[-1] == row
    assert before.seconds < 3
    assert after.seconds < 3


def test_a_header_does_not_decide_how_long_frames_last() -> None:
    """A last frame of a century, or two frames that far apart, are not taken at their word."""
    century = 100 * 365 * 86_400_000
    lasting = FrameTimes.of([0, 40, 80], [0], century, Fraction(1, 1000))
    assert lasting.end == 120
    apart = FrameTimes.of([0, century], [0], 0, Fraction(1, 1000))
    first, row, last, _ = clips("k", apart, list(stride_spans(apart, exact(1), exact(1), exact(0))))
    assert (first.end_pts, row.frame_count, last.start_frame) == (1000, 0, 1)
    assert apart.gap_pts > 0.99 * century


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
    spans = list(stride_spans(times, length, length, Fraction(0)))
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
    spans = list(stride_spans(times, length, stride, Fraction(0)))
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
    spans = list(stride_spans(times, length, stride, Fraction(0)))
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
    spans = list(stride_spans(times, Fraction(1), Fraction(1), Fraction(0)))
    first, again = (clips("k", times, spans) for _ in range(2))
    assert [c.id for c in first] == [c.id for c in again]
    assert clips("other", times, spans)[0].id != first[0].id


def test_a_long_gap_begins_a_new_run_and_a_short_one_does_not() -> None:
    """Skipping by decoding is kept up until a keyframe offers a shorter way."""
    times = times_of([40] * 2000, key_every=25)
    far = clips("k", times, list(stride_spans(times, exact(1), exact(20), exact(0))))
    near = clips("k", times, list(stride_spans(times, exact(1), exact("1.5"), exact(0))))
    chunk_far = next(chunks(source_of(times), times, far, 4))
    chunk_near = next(chunks(source_of(times), times, near, 4))
    assert len(segments(chunk_far, chunk_far.clips)) == 4
    assert len(segments(chunk_near, chunk_near.clips)) == 1


def test_a_source_without_keyframes_is_not_decoded_twice_for_the_sake_of_cpus() -> None:
    """One GOP is one run, whose encoder gets threads instead; with keyframes there are many."""
    for key_every, expected in ((1000, (1, 4)), (50, (4, 1)), (500, (2, 1))):
        times = times_of([40] * 999, key_every)
        spans = list(stride_spans(times, exact(2), exact(2), exact(0)))
        (chunk,) = chunks(sized(times, 720), times, clips("k", times, spans), 32)
        plan = segments(chunk, chunk.clips, 32)
        assert (len(plan), plan[0].threads) == expected


@pytest.mark.parametrize("key_every", [48, 125, 240, 250])
def test_splitting_costs_little_decoding_and_leaves_no_cpu_idle(key_every: int) -> None:
    """Of a long chunk: 2 % at most, at enough places that six CPUs end at about the same time."""
    times = times_of([40] * 8000, key_every)
    spans = list(stride_spans(times, exact(10), exact(10), exact(10)))
    (chunk,) = chunks(sized(times, 720), times, clips("k", times, spans), 32)
    plan = segments(chunk, chunk.clips)
    again = sum(run.first_frame - times.pts.index(run.seek) for run in plan if run.seek is not None)
    assert again / 4 <= 0.02 * 8000
    assert len(plan) >= 6
    assert max(run.frame_count for run in plan) <= 1.5 * 8000 / len(plan)


def test_small_pictures_are_not_split() -> None:
    """A process, or a thread, for less than seconds of work costs more than it saves."""
    times = times_of([40] * 500, 50)
    spans = list(stride_spans(times, exact(2), exact(2), exact(2)))
    (chunk,) = chunks(sized(times, 360), times, clips("k", times, spans), 32)
    (run,) = segments(chunk, chunk.clips)
    assert run.threads == 1


def test_a_gpu_gets_long_runs() -> None:
    """Its sessions follow each other: nothing is won by more of them."""
    times = times_of([40] * 1000, 50)
    spans = list(stride_spans(times, exact(2), exact(2), exact(2)))
    (chunk,) = chunks(sized(times, 2160), times, clips("k", times, spans), 32)
    assert len(segments(chunk, chunk.clips, side_by_side=False)) == 2
    assert len(segments(chunk, chunk.clips)) > 10
