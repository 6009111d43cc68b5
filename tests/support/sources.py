"""Sources without a video: frame times as given, facts made up."""

from __future__ import annotations

from fractions import Fraction

from clipping.models import Chunk, PictureShape, Source, SourceFile, VideoFacts
from clipping.plan.chunks import chunks
from clipping.plan.clips import clips
from clipping.plan.frame_times import FrameTimes
from clipping.plan.spans import exact, stride_spans


def times_of(gaps: list[int], key_every: int = 10) -> FrameTimes:
    """Frame times with the given distances, in milliseconds, a keyframe every few frames."""
    pts = [0]
    for gap in gaps:
        pts.append(pts[-1] + gap)
    pts = [p + 977 for p in pts]
    return FrameTimes.of(pts, pts[::key_every], gaps[-1], Fraction(1, 1000))


def source_of(times: FrameTimes) -> Source:
    """A source that has these frames."""
    file = SourceFile(key="a/b.mp4", uri="/a/b.mp4", size=1, fingerprint="1-1")
    video = VideoFacts(
        container="mov,mp4", stream=0, codec="h264", profile=None, coded_width=64,
        coded_height=48, width=64, height=48, rotation=0, pixel_format="yuv420p", bit_depth=8,
        color_range=None, color_space=None, color_primaries=None, color_transfer=None,
        field_order="progressive", sample_aspect_ratio=None, time_base=times.time_base,
        average_rate=None, nominal_rate=None, bit_rate=1000, bit_rate_estimated=False,
        first_pts=times.first, end_pts=times.end, frame_count=len(times.pts),
        nominal_duration=times.nominal, index="packets", seekable=True, seeks_exactly=True,
    )  # fmt: skip
    return Source(file=file, video=video, audio=())


def chunk_of(
    frames: int, length: float | str, stride: float | str, size: tuple[int, int] = (64, 48)
) -> Chunk:
    """A video's only chunk, at 25 frames a second; clips have their whole length."""
    times = times_of([40] * (frames - 1))
    source = source_of(times)
    width, height = size
    video = source.video.model_copy(update={"width": width, "height": height})
    spans = stride_spans(times, exact(length), exact(stride), exact(length))
    planned = clips(source.file.key, times, list(spans))
    (chunk,) = chunks(source.model_copy(update={"video": video}), times, planned, 32)
    return chunk


def shape(pts: int, width: int, height: int, aspect: Fraction | None = None) -> PictureShape:
    """What pictures are like from `pts` on."""
    return PictureShape(
        pts=pts, width=width, height=height, sample_aspect_ratio=aspect, pixel_format="yuv420p",
        color_range="tv", color_space=None, color_primaries=None, color_transfer=None,
    )  # fmt: skip
