"""What a run would do, found out without writing anything."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from clipping.cluster.placement import cpu_placement, gpu_placement
from clipping.cluster.resources import Cluster
from clipping.config.load import Settings
from clipping.dataset.resume import done_clips, earlier_record, finished_source
from clipping.errors import ClippingError
from clipping.ffmpeg.binary import ffmpeg_path, ffmpeg_version
from clipping.ffmpeg.encoders import bit_rate_for
from clipping.ffmpeg.filters import even_size
from clipping.models import Chunk, Failure, ProbedSource, SourceFile
from clipping.run.chunk import plan_chunks, probe_file
from clipping.run.tally import count
from clipping.storage.discover import Found, find_sources
from clipping.storage.outputs import Output, open_output

__all__ = ["describe"]

_FAILURES_SHOWN = 10


def describe(settings: Settings) -> list[str]:
    """Lines that say what a run with these settings would do.

    Raises ClippingError if the run could not even begin.
    """
    ffmpeg_version(ffmpeg_path(settings.execution))
    found = find_sources(settings.input, settings.extensions, settings.output, settings.shard)
    output = open_output(settings.output)
    forecast = _Forecast(settings, output, output.sizes("clips"))
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        for probed in pool.map(forecast.look, found.sources):
            forecast.add(probed)
    return [*forecast.videos(found), *forecast.work()]


@dataclass(slots=True)
class _Forecast:
    """Counts what is there and what would be made."""

    settings: Settings
    output: Output
    sizes: dict[str, int]
    finished: int = 0
    too_short: int = 0
    failures: list[str] = field(default_factory=list[str])
    clips: int = 0
    kept: int = 0
    chunks: int = 0
    seconds: float = 0.0
    bytes: float = 0.0

    def look(self, file: SourceFile) -> ProbedSource | None:
        """Probe a source, unless it is done: then None."""
        digest, settings = self.settings.recipe.digest(), self.settings
        if finished_source(
            self.output,
            earlier_record(self.output, file.key),
            file,
            digest,
            settings.num_clips_per_chunk,
            self.sizes,
            retry_failed=settings.retry_failed,
        ):
            return None
        try:
            return probe_file(file, settings.execution)
        except ClippingError as error:
            return ProbedSource(file=file, failure=Failure(kind=error.kind, message=error.message))

    def add(self, probed: ProbedSource | None) -> None:
        """Count a source."""
        settings = self.settings
        if probed is None:
            self.finished += 1
            return
        if probed.failure is not None:
            self.failures.append(probed.failure.message)
            return
        planned = plan_chunks(probed, settings.recipe, settings.num_clips_per_chunk)
        self.too_short += not planned
        for chunk in planned:
            kept = done_clips(
                self.output,
                chunk,
                settings.recipe.digest(),
                self.sizes,
                retry_failed=settings.retry_failed,
            )
            self.clips += len(chunk.clips)
            self.kept += len(kept)
            if len(kept) < len(chunk.clips):
                self.chunks += 1
                self.seconds += chunk.seconds
                self.bytes += _bits_per_second(chunk, settings) / 8 * _held_seconds(chunk)

    def videos(self, found: Found) -> Iterator[str]:
        """What was found."""
        failures = [*(error.message for _, error in found.failed), *self.failures]
        yield f"{count(len(found.sources) + len(found.failed), 'video')} found"
        if self.finished:
            yield f"  {self.finished} are done already"
        if self.too_short:
            least = self.settings.min_clip_length_s
            yield f"  {self.too_short} would give no clip: shorter than {least:g} s"
        if failures:
            yield f"  {len(failures)} cannot be clipped:"
            yield from (f"    {message}" for message in failures[:_FAILURES_SHOWN])
            if len(failures) > _FAILURES_SHOWN:
                yield f"    … and {len(failures) - _FAILURES_SHOWN} more"
        if found.passed_over:
            yield f"  {len(found.passed_over)} other files are passed over by their extension"

    def work(self) -> Iterator[str]:
        """What would be made of it, and what it takes."""
        settings = self.settings
        yield (
            f"{self.clips} clips, {self.kept} of them there already,"
            f" {self.clips - self.kept} to make in {self.chunks} chunks"
        )
        yield (
            f"{self.seconds:.1f} s of video to encode with {settings.encoder};"
            f" about {self.bytes / 1e6:.1f} MB of clips to write"
        )
        # What they ask for does not depend on a cluster that is not joined for this.
        nowhere = Cluster(())
        gpu, cpu = gpu_placement(settings, nowhere), cpu_placement(settings, nowhere)
        if gpu is not None:
            yield f"a chunk for {gpu.encoder} asks Ray for {gpu.request}"
        if cpu is not None:
            yield (
                f"a chunk for {cpu.encoder} asks Ray for {cpu.request}; for up to"
                f" {int(settings.num_cpus_per_worker)} CPUs when fewer chunks than CPUs are left"
            )
        yield f"nothing was written to {settings.output}"


def _held_seconds(chunk: Chunk) -> float:
    """Seconds of video in its clips; overlaps count as often as they are held."""
    return float(sum(clip.span.end - clip.span.start for clip in chunk.clips))


def _bits_per_second(chunk: Chunk, settings: Settings) -> float:
    """A guess at the clips' bit rate, for the disk they will take."""
    video = chunk.source.video
    width, height = even_size(video.width, video.height)
    rate = settings.recipe.rate(video, width, height)
    if rate.bit_rate:
        return rate.bit_rate
    frames_per_second = float(video.frame_count / video.duration)
    # Constant quality spends what the content needs; a source that needs little shows it.
    usual = bit_rate_for(width, height, frames_per_second, rate.quality or 23)
    return min(usual, 1.5 * video.bit_rate)
