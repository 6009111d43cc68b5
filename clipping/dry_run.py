"""What a run would do, found out without writing anything."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from clipping import ffmpeg, planning
from clipping.chunk_work import probe_file
from clipping.encoders import bit_rate_for
from clipping.errors import ClippingError, FailureKind
from clipping.frames import FrameTimes, unpack
from clipping.models import Chunk, Failure, ProbedSource, SourceFile
from clipping.resuming import done_clips, finished_source
from clipping.settings import Settings
from clipping.storage import OutputFolder, find_sources

__all__ = ["describe"]

_FAILURES_SHOWN = 10


def describe(settings: Settings) -> Iterator[str]:
    """Lines that say what a run with these settings would do."""
    found = find_sources(settings.input, settings.extensions, settings.output)
    output = OutputFolder(settings.output)
    digest, sizes = settings.recipe.digest(), output.sizes("clips")
    clips = chunks = made = finished = too_short = 0
    seconds = estimate = 0.0
    failures = [(name, error.message) for name, error in found.failed]

    def look(file: SourceFile) -> ProbedSource | None:
        done = finished_source(
            output,
            file,
            digest,
            settings.num_clips_per_chunk,
            sizes,
            settings.retry_failed,
        )
        if done is not None:
            return None
        try:
            return probe_file(file, settings.execution)
        except ClippingError as error:
            failure = Failure(kind=error.kind, message=error.message)
            return ProbedSource(file=file, failure=failure)

    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        for probed in pool.map(look, found.sources):
            if probed is None:
                finished += 1
                continue
            if probed.failure is not None:
                if probed.failure.kind is FailureKind.NO_ENCODER:
                    raise ClippingError(probed.failure.message, probed.failure.kind)
                failures.append((probed.file.key, probed.failure.message))
                continue
            planned = _chunks(probed, settings)
            if not planned:
                too_short += 1
            for chunk in planned:
                clips += len(chunk.clips)
                kept = done_clips(output, chunk, digest, sizes, settings.retry_failed)
                made += len(kept)
                if len(kept) == len(chunk.clips):
                    continue
                chunks += 1
                seconds += chunk.seconds
                estimate += _bits_per_second(chunk, settings) / 8 * _held_seconds(chunk)
    yield f"{len(found.sources) + len(found.failed)} videos found"
    if finished:
        yield f"  {finished} are done already"
    if too_short:
        yield f"  {too_short} would give no clip: shorter than {settings.min_clip_length_s:g} s"
    if failures:
        yield f"  {len(failures)} cannot be clipped:"
        yield from (f"    {message}" for _, message in failures[:_FAILURES_SHOWN])
        if len(failures) > _FAILURES_SHOWN:
            yield f"    … and {len(failures) - _FAILURES_SHOWN} more"
    if found.passed_over:
        yield f"  {len(found.passed_over)} other files are passed over by their extension"
    yield f"{clips} clips of them, {made} there already, {clips - made} to make in {chunks} chunks"
    yield f"{seconds:.1f} s of video to encode; about {estimate / 1e6:.1f} MB of clips to write"
    gpu = settings.encoder.endswith("_nvenc")
    share = f" and 1/{settings.nb_streams_per_gpu} of a GPU" if gpu else ""
    most = int(settings.num_cpus_per_worker)
    yield (
        f"each chunk asks Ray for 1 CPU{share}, and up to {most} CPUs when fewer chunks than CPUs"
        " are left"
    )
    yield f"nothing was written to {settings.output}"


def _chunks(probed: ProbedSource, settings: Settings) -> list[Chunk]:
    source = probed.source
    assert source is not None
    video = source.video
    times = FrameTimes(
        unpack(probed.frame_pts),
        unpack(probed.keyframes),
        video.end_pts,
        video.time_base,
    )
    length, stride, least = settings.recipe.exact_stride
    spans = planning.stride_spans(
        times.duration, length, stride, least, settings.recipe.limit_clips
    )
    clips = planning.clips(source.file.key, times, list(spans))
    return list(planning.chunks(source, times, clips, settings.num_clips_per_chunk))


def _held_seconds(chunk: Chunk) -> float:
    """Seconds of video in its clips; overlaps count as often as they are held."""
    return float(sum(clip.span.end - clip.span.start for clip in chunk.clips))


def _bits_per_second(chunk: Chunk, settings: Settings) -> float:
    """A guess at the clips' bit rate, for the disk they will take."""
    video = chunk.source.video
    width, height = ffmpeg.even_size(video.width, video.height)
    rate = settings.recipe.rate(video, width, height)
    if rate.bit_rate:
        return rate.bit_rate
    frames_per_second = float(video.frame_count / video.duration)
    # Constant quality spends what the content needs; a source that needs little shows it.
    usual = bit_rate_for(width, height, frames_per_second, rate.quality or 23)
    return min(usual, 1.5 * video.bit_rate)
