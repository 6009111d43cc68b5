"""The chunks of a source of several stretches, laid end to end on one time line. Pure."""

from __future__ import annotations

from clipping.models import Chunk, Clip, Span, Stretch
from clipping.plan.clips import clip_id

__all__ = ["laid"]


def laid(chunk: Chunk, stretch: Stretch, number: int, first_clip: int) -> Chunk:
    """A chunk of a stretch, planned as of a file of its own, in its place in the whole source.

    Its numbers, frame numbers and spans are those of the whole; its PTS stay the stretch's own.
    """
    key = chunk.source.file.key
    return chunk.model_copy(
        update={
            "number": number,
            "clips": tuple(_laid(clip, key, stretch, first_clip) for clip in chunk.clips),
            "first_frame": chunk.first_frame + stretch.first_frame,
            "stretch": stretch,
        }
    )


def _laid(clip: Clip, key: str, stretch: Stretch, first_clip: int) -> Clip:
    start, end = (f + stretch.first_frame for f in (clip.start_frame, clip.end_frame))
    span = Span(start=clip.span.start + stretch.start, end=clip.span.end + stretch.start)
    # As in `clips`: where two have the same frames, or none, their spans tell them apart.
    is_alone = clip.id == clip_id(key, clip.start_frame, clip.end_frame)
    name = key if is_alone else f"{key}_{span.start}_{span.end}"
    return clip.model_copy(
        update={
            "id": clip_id(name, start, end),
            "number": clip.number + first_clip,
            "span": span,
            "start_frame": start,
            "end_frame": end,
            "stretch": stretch.number,
        }
    )
