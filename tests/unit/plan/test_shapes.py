"""Which clips are encoded together where the picture changes, and what is said of it."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from clipping.models import Chunk, PictureShape, VideoFacts
from clipping.plan.frame_times import unpack
from clipping.plan.segments import segments
from clipping.plan.shapes import by_shape, change_note, shape_warnings
from tests.support.sources import chunk_of, shape


def changing(chunk: Chunk, *frames: int) -> Chunk:
    """The chunk with another shape from each of these frames on."""
    pts = unpack(chunk.frame_pts)
    sizes = [(64, 48), (48, 64), (32, 24)]
    shapes = tuple(shape(pts[f], *sizes[i % 3]) for i, f in enumerate((0, *frames)))
    video = chunk.source.video.model_copy(update={"shapes": shapes})
    return chunk.model_copy(update={"source": chunk.source.model_copy(update={"video": video})})


@given(
    st.sampled_from([("1", "0.5"), ("1", "1"), ("0.4", "1"), ("2", "0.3")]),
    st.sets(st.integers(1, 180), max_size=4),
    st.integers(1, 5),
    st.booleans(),
)
def test_a_segment_has_one_shape_and_one_goal(
    span: tuple[str, str], at: set[int], most: int, side_by_side: bool
) -> None:
    """Each group's segments hold the frames of its clips, once each, none across a change."""
    chunk = changing(chunk_of(200, *span), *sorted(at))
    video, pts = chunk.source.video, unpack(chunk.frame_pts)
    groups = by_shape(chunk.clips, video)
    assert sorted(c.number for g in groups for c in g) == [c.number for c in chunk.clips]
    for group in groups:
        planned = segments(chunk, group, most, side_by_side=side_by_side)
        goals = {video.shape_number(clip.start_pts) for clip in group}
        assert {segment.shown_as for segment in planned} == goals
        for segment in planned:
            assert {video.shape_number(p) for p in segment.pts} == {segment.shape}
        held = [p for segment in planned for p in segment.pts]
        expected = {p for c in group for p in pts[c.start_frame : c.end_frame]}
        assert held == sorted(expected)


def test_the_same_plan_as_ever_without_a_change() -> None:
    """One group, and segments that know of no shape."""
    chunk = chunk_of(200, 1, "0.5")
    assert by_shape(chunk.clips, chunk.source.video) == [list(chunk.clips)]
    assert {(s.shape, s.shown_as) for s in segments(chunk, chunk.clips, 4)} == {(0, 0)}


def facts(*shapes: PictureShape) -> VideoFacts:
    chunk = chunk_of(100, 1, 1)
    return chunk.source.video.model_copy(update={"shapes": shapes})


def test_a_note_says_from_what_to_what_and_when() -> None:
    """In seconds of the clip; in the source's warning, of the source."""
    video = facts(shape(977, 64, 48), shape(2977, 48, 64), shape(3977, 64, 48, Fraction(4, 3)))
    assert change_note(range(977, 2977, 40), video) is None
    assert change_note(range(2977, 3977, 40), video) is None
    note = change_note(range(1977, 3977, 40), video) or ""
    assert "from 64x48 to 48x64 at 1.000 s:" in note
    note = change_note(range(1977, 4977, 40), video) or ""
    assert "from 64x48 to 48x64 at 1.000 s (1 more change in it):" in note
    (warning,) = shape_warnings(video)
    assert "from 64x48 to 48x64 at 2.000 s (1 more change);" in warning


def test_what_cannot_be_seen_is_not_told() -> None:
    """A pixel aspect of 1:1 that is said, and one that is not; a picture that is stored turned."""
    turned = shape(2977, 64, 48, Fraction(1)).model_copy(update={"rotation": 90})
    video = facts(shape(977, 64, 48), turned)
    assert change_note(range(977, 4977, 40), video) is None
    (warning,) = shape_warnings(video)
    assert "how its pictures are to be turned" in warning
