"""Clips that are copied: their edges move to where the source can be cut. Pure; exact.

Each edge goes to the nearest cutting point, in time; the video's own start and end are some. Two
clips that share an edge still do, so that nothing is lost or doubled.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from clipping.models import Clip, Span, VideoFacts
from clipping.plan.clips import Names
from clipping.plan.frame_times import FrameTimes

__all__ = ["COPYABLE", "moved", "why_not_copied"]

# ffmpeg's names of codecs that MP4 holds and the usual loaders read.
COPYABLE = ("h264", "hevc", "av1", "vp9")


def why_not_copied(video: VideoFacts, times: FrameTimes) -> str | None:
    """Why a video cannot be cut without encoding, in words; None if it can."""
    if video.codec not in COPYABLE:
        return f"MP4 for the usual readers holds {', '.join(COPYABLE)}, not {video.codec}"
    if video.index != "packets":
        return "its packets do not tell when its frames are shown"
    if video.is_edited:
        return "its edit list has several parts"
    if video.shapes:
        return "its picture changes in mid-stream"
    if video.is_dolby_vision_alone:
        return "it is Dolby Vision without a base layer, which a copy would not declare"
    if not times.cut_points:
        return "no keyframe in it begins a closed GOP"
    return None


def moved(source_key: str, clips: Sequence[Clip], times: FrameTimes) -> list[Clip]:
    """The clips with their edges at cutting points; `asked_span` is the span that was asked for.

    A clip whose edges meet has no frames.
    """
    at = [bisect_left(times.pts, point) for point in times.cut_points]
    edges = sorted({*at, len(times.pts)})
    names = Names(source_key)
    found: list[Clip] = []
    for clip in clips:
        if not clip.frame_count:
            found.append(clip)
            continue
        start, end = (_nearest(edge, edges, times) for edge in (clip.start_frame, clip.end_frame))
        start = min(start, end)
        start_pts, end_pts = _pts(start, times), _pts(end, times)
        span = Span(
            start=(start_pts - times.first) * times.time_base,
            end=(end_pts - times.first) * times.time_base,
        )
        edges_now = {"start_frame": start, "end_frame": end, "start_pts": start_pts}
        name = names.take(start, end, clip.span)
        more = {"id": name, "span": span, "end_pts": end_pts, "asked_span": clip.span}
        found.append(clip.model_copy(update={**edges_now, **more}))
    return found


def _pts(frame: int, times: FrameTimes) -> int:
    return times.pts[frame] if frame < len(times.pts) else times.end


def _nearest(frame: int, edges: Sequence[int], times: FrameTimes) -> int:
    """The cutting point nearest to a frame's time; of two, the earlier one."""
    place = bisect_left(edges, frame)
    around = edges[max(0, place - 1) : place + 1]
    at = _pts(frame, times)
    return min(around, key=lambda edge: abs(_pts(edge, times) - at))
