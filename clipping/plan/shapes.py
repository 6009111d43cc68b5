"""Sources whose pictures change in mid-stream: a clip's shape, and what is said of it. Pure.

A clip has the shape of its first frame; what follows in another shape is fitted into it. So what a
clip looks like follows from its own frames alone, however the work is split.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import groupby, pairwise

from clipping.models import Clip, PictureShape, VideoFacts
from clipping.wording import count

__all__ = ["by_shape", "change_note", "changes_between", "pixel_aspect", "shape_warnings"]


def by_shape(clips: Sequence[Clip], video: VideoFacts) -> list[list[Clip]]:
    """Clips in groups whose first frames are of one shape; each group is encoded by itself."""
    if not video.shapes:
        return [list(clips)]
    ordered = sorted(clips, key=lambda clip: clip.start_pts)
    groups = groupby(ordered, key=lambda clip: video.shape_number(clip.source_pts))
    return [list(group) for _, group in groups]


def changes_between(pts: Sequence[int], video: VideoFacts) -> list[int]:
    """Places in `pts`, ascending, of frames that have another shape than the one before."""
    if len(video.shapes) < 2:
        return []
    numbers = [video.shape_number(p) for p in pts]
    return [i for i, (a, b) in enumerate(pairwise(numbers), 1) if a != b]


def change_note(pts: Sequence[int], video: VideoFacts) -> str | None:
    """What the record of a clip with the frames `pts` says of changes in it, if there are any.

    What cannot be seen (a picture that is stored turned, and shown upright as before) is not told.
    """
    told: list[str] = []
    for i in changes_between(pts, video):
        before, after = (video.shapes[video.shape_number(p)] for p in (pts[i - 1], pts[i]))
        if words := _difference(before, after):
            told.append(f"{words} at {_seconds(pts[i] - pts[0], video)}")
    if not told:
        return None
    more = f" ({count(len(told) - 1, 'more change')} in it)" if len(told) > 1 else ""
    return (
        f"the picture changes in it from {told[0]}{more}: what follows is fitted to the first"
        " picture, with bars where proportions differ"
    )


def shape_warnings(video: VideoFacts) -> Iterator[str]:
    """What a person should know of a source whose pictures are not all as its header says."""
    told = [
        f"{words} at {_seconds(after.pts - video.first_pts, video)}"
        for before, after in pairwise(video.shapes)
        if (words := _difference(before, after))
    ]
    if told:
        more = f" ({count(len(told) - 1, 'more change')})" if len(told) > 1 else ""
        yield (
            f"its picture changes from {told[0]}{more}; a clip has the picture of its first frame,"
            " and what follows in another is fitted to it, with bars where proportions differ"
        )
    if any(shape.rotation or shape.flipped for shape in video.shapes):
        yield (
            "messages in the video stream say how its pictures are to be turned; as when it is"
            " played from the start, each holds until the next"
        )


def pixel_aspect(shape: PictureShape | VideoFacts) -> Fraction:
    """Width to height of a pixel; 1 if that is not told."""
    return shape.sample_aspect_ratio or Fraction(1)


def _difference(before: PictureShape, after: PictureShape) -> str | None:
    """From what to what it changes; None if that cannot be seen."""
    a, b = _geometry(before), _geometry(after)
    if a != b:
        with_aspect = a[2] != b[2]
        return f"{_described(a, with_aspect)} to {_described(b, with_aspect)}"
    if _colours(before) != _colours(after):
        return f"{_named(before)} to {_named(after)}"
    return None


def _geometry(shape: PictureShape) -> tuple[int, int, Fraction]:
    return shape.width, shape.height, pixel_aspect(shape)


def _described(geometry: tuple[int, int, Fraction], with_aspect: bool) -> str:
    width, height, aspect = geometry
    pixels = f" (pixels {aspect.numerator}:{aspect.denominator})" if with_aspect else ""
    return f"{width}x{height}{pixels}"


def _colours(shape: PictureShape) -> tuple[str | None, ...]:
    return shape.color_space, shape.color_primaries, shape.color_transfer


def _named(shape: PictureShape) -> str:
    return "/".join(colour or "unknown" for colour in _colours(shape)) + " colours"


def _seconds(pts: int, video: VideoFacts) -> str:
    return f"{float(pts * video.time_base):.3f} s"
