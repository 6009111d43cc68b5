"""The chunks of a source of several stretches, laid end to end on one time line. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from clipping.models import Chunk, Clip, Span, Stretch
from clipping.plan.clips import clip_id

__all__ = ["Before", "laid"]


@dataclass(frozen=True, slots=True)
class Before:
    """How many chunks, clips, frames and shots lie before a stretch; frames as clips count them."""

    chunks: int = 0
    clips: int = 0
    frames: int = 0
    shots: int = 0


def laid(chunk: Chunk, stretch: Stretch, before: Before) -> Chunk:
    """A chunk of a stretch, planned as of a file of its own, in its place in the whole source.

    Its numbers, frame numbers and spans are those of the whole; its PTS stay the stretch's own.
    """
    key = chunk.source.file.key
    return chunk.model_copy(
        update={
            "number": chunk.number + before.chunks,
            "clips": tuple(_laid(clip, key, stretch, before) for clip in chunk.clips),
            "first_frame": chunk.first_frame + before.frames,
            "stretch": stretch,
        }
    )


def _laid(clip: Clip, key: str, stretch: Stretch, before: Before) -> Clip:
    start, end = (f + before.frames for f in (clip.start_frame, clip.end_frame))
    span = Span(start=clip.span.start + stretch.start, end=clip.span.end + stretch.start)
    # As in `clips`: where two have the same frames, or none, their spans tell them apart.
    is_alone = clip.id == clip_id(key, clip.start_frame, clip.end_frame)
    name = key if is_alone else f"{key}_{span.start}_{span.end}"
    own = clip_id(f"{key}_{clip.span.start}_{clip.span.end}", clip.start_frame, clip.end_frame)
    if not is_alone and clip.asked_span is None and clip.id != own:
        name = f"{name}_{clip.id}"  # one of several that ask for the same span
    return clip.model_copy(
        update={
            "id": clip_id(name, start, end),
            "number": clip.number + before.clips,
            "span": span,
            "start_frame": start,
            "end_frame": end,
            "stretch": stretch.number,
            "shot": None if clip.shot is None else clip.shot + before.shots,
        }
    )
