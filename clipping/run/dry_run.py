"""What a run would do, found out without writing anything."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from clipping.cluster.local_checks import require_encoder, require_writable
from clipping.cluster.placement import cpu_placement, gpu_placement
from clipping.cluster.resources import Cluster
from clipping.config.run_config import RunConfig
from clipping.dataset.coverage import Coverage
from clipping.dataset.layout import clip_name
from clipping.dataset.resume import EarlierWork
from clipping.errors import ClippingError
from clipping.ffmpeg.encoders import bit_rate_for
from clipping.ffmpeg.filters import size_of
from clipping.models import Chunk, ClipStatus, Failure, ProbedSource, SourceFile, SourceRecord
from clipping.run.chunk import is_uneven, plan_chunks, probe_file, why_not
from clipping.run.preparation import earlier_work, found_by
from clipping.run.shots import look_for_shots
from clipping.run.span_list import SpanList, cut_short, load_spans
from clipping.run.summary import absent, listed
from clipping.storage.discover import Found
from clipping.storage.outputs import open_output
from clipping.wording import count, size

__all__ = ["describe"]

_FAILURES_SHOWN = 10


def describe(config: RunConfig) -> list[str]:
    """Lines that say what a run with this configuration would do.

    Raises ClippingError if the run could not even begin.
    """
    require_encoder(config)
    require_writable(config)
    found = found_by(config)
    output = open_output(config.output, config.execution.shard)
    spans = load_spans(config, found)
    forecast = _Forecast(config, earlier_work(config, output, found, spans), spans)
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        for probed in pool.map(forecast.look, found.sources):
            forecast.add(probed)
    stale = forecast.stale(found) if config.execution.prune else ()
    return [*forecast.videos(found), *forecast.work(), *stale, forecast.last_line]


@dataclass(slots=True)
class _Forecast:
    """Counts what is there and what would be made."""

    config: RunConfig
    earlier: EarlierWork
    spans: SpanList | None = None
    finished: int = 0
    without_clips: int = 0
    failures: list[str] = field(default_factory=list[str])
    warnings: list[str] = field(default_factory=list[str])
    known_failures: list[str] = field(default_factory=list[str])
    failed_clips: int = 0
    clips: int = 0
    absent: int = 0
    stretches: int = 0
    kept: int = 0
    chunks: int = 0
    seconds: float = 0.0
    bytes: float = 0.0
    uneven: int = 0
    shortest: float = math.inf
    longest: float = 0.0
    expected: list[tuple[SourceFile, set[str] | None]] = field(
        default_factory=list[tuple[SourceFile, set[str] | None]]
    )

    def look(self, file: SourceFile) -> ProbedSource | SourceRecord:
        """Probe a source, unless it is done: then its record."""
        finished = self.earlier.finished(file, self.earlier.source_record(file.key))
        if finished:
            return finished[0]
        try:
            probed = probe_file(file, self.config.execution)
            if probed.failure is not None:
                return probed
            return look_for_shots(probed, self.config, self.earlier.output, keep=False)
        except ClippingError as error:
            return ProbedSource(file=file, failure=Failure.of(error))

    def add(self, probed: ProbedSource | SourceRecord) -> None:
        """Count a source."""
        if isinstance(probed, SourceRecord):
            if probed.failure is not None:
                self.known_failures.append(probed.failure.message)
            else:
                self.finished += 1
            return
        if probed.failure is not None:
            self.failures.append(probed.failure.message)
            self.expected.append((probed.file, None))
            return
        config = self.config
        if probed.source is not None:
            key = probed.file.key
            self.warnings.extend(f"{key}: {warning}" for warning in probed.source.warnings)
        if reason := why_not(probed, config.recipe):
            self.failures.append(reason)
            self.expected.append((probed.file, None))
            return
        listed = self.spans.of(probed.file.key) if self.spans else ()
        at_most = config.execution.num_clips_per_chunk
        planned = plan_chunks(probed, config.recipe, at_most, listed)
        clips = (clip for chunk in planned for clip in chunk.clips)
        self.warnings.extend(f"{probed.file.key}: {warning}" for warning in cut_short(clips))
        self.without_clips += not planned
        self.uneven += bool(planned) and is_uneven(probed, config.recipe)
        if config.execution.prune:
            ids = {clip.id for chunk in planned for clip in chunk.clips}
            self.expected.append((probed.file, ids))
        for chunk in planned:
            real = [clip for clip in chunk.clips if clip.frame_count]
            kept = self.earlier.done_clips(chunk)
            lengths = [float(clip.span.end - clip.span.start) for clip in real]
            self.shortest = min([self.shortest, *lengths])
            self.longest = max([self.longest, *lengths])
            self.clips += len(real)
            self.absent += sum(clip.count for clip in chunk.clips if not clip.frame_count)
            self.stretches += len(chunk.clips) - len(real)
            self.kept += sum(clip.id in kept for clip in real)
            self.failed_clips += sum(c.status is ClipStatus.FAILED for c in kept.values())
            if len(kept) < len(chunk.clips):
                self.chunks += 1
                self.seconds += chunk.seconds
                self.bytes += _bits_per_second(chunk, config) / 8 * _held_seconds(chunk)

    def videos(self, found: Found) -> Iterator[str]:
        """What was found."""
        failures = [*(error.message for _, error in found.failed), *self.failures]
        yield f"{count(len(found.sources) + len(found.failed), 'video')} found"
        if self.finished:
            yield f"  {self.finished} are done already"
        if self.without_clips:
            why = self.config.recipe.span_source.why_none()
            yield f"  {self.without_clips} would give no clip: {why}"
        if failures:
            yield f"  {len(failures)} cannot be clipped:"
            yield from _some(failures)
        if self.known_failures:
            yield (
                f"  {len(self.known_failures)} failed before and would not be opened again"
                " (--retry-failed opens them):"
            )
            yield from _some(self.known_failures)
        if self.warnings:
            yield "  noticed in them:"
            yield from _some(self.warnings)
        if self.uneven:
            yield (
                f"  {count(self.uneven, 'video')} of variable frame rate, which clips keep"
                " (--fps makes it constant)"
            )
        if found.passed_over:
            named = listed(found.passed_over[:3], len(found.passed_over))
            yield f"  {count(len(found.passed_over), 'other file')} passed over by name{named}"

    def work(self) -> Iterator[str]:
        """What would be made of it, and what it takes."""
        config = self.config
        failed = f" {self.failed_clips} failed before," if self.failed_clips else ""
        yield (
            f"{count(self.clips, 'clip')}, {self.kept - self.failed_clips} of them there already,"
            f"{failed} {self.clips - self.kept} to make in {count(self.chunks, 'chunk')}"
        )
        if config.recipe.frames and self.clips:
            shortest, longest = f"{self.shortest:.3f}", f"{self.longest:.3f}"
            lasts = shortest if shortest == longest else f"{shortest} to {longest}"
            yield f"{config.recipe.frames} frames last {lasts} s"
        if self.absent:
            yield absent(self.absent, self.stretches)
        yield (
            f"{self.seconds:.1f} s of video to"
            f" {'copy' if config.recipe.copies else f'encode with {config.recipe.encoder}'};"
            f" about {size(self.bytes)} of clips to write"
        )
        # What they ask for does not depend on a cluster that is not joined for this.
        nowhere = Cluster(())
        gpu, cpu = gpu_placement(config, nowhere), cpu_placement(config, nowhere)
        if gpu is not None:
            yield f"a chunk for {gpu.encoder} asks Ray for {gpu.request}"
        if cpu is not None:
            yield (
                f"a chunk for {cpu.encoder} asks Ray for {cpu.request}; for up to"
                f" {int(config.execution.num_cpus_per_worker)} CPUs when fewer chunks than CPUs"
                " are left"
            )

    def stale(self, found: Found) -> Iterator[str]:
        """The clips that would be removed."""
        assert self.earlier.tables is not None
        with Coverage(self.earlier.tables, self.earlier.recipe_digest) as coverage:
            for file, clips in self.expected:
                coverage.expect(file, clips)
            rows = coverage.would_remove([file.uri for file in found.sources], self.config.input)
        rows = [row for row in rows if row["bytes"]]
        failing = " unless the run fails" if self.failures else ""
        yield f"{count(len(rows), 'stale clip')} would be removed{failing}"
        for row in rows:
            yield f"  {clip_name(row['clip'])} ({row['source']}: {row['stale']})"

    @property
    def last_line(self) -> str:
        """Said of every dry run."""
        return f"nothing was written to {self.config.output}"


def _some(failures: list[str]) -> Iterator[str]:
    yield from (f"    {message}" for message in failures[:_FAILURES_SHOWN])
    if len(failures) > _FAILURES_SHOWN:
        yield f"    … and {len(failures) - _FAILURES_SHOWN} more"


def _held_seconds(chunk: Chunk) -> float:
    """Seconds of video in its clips; overlaps count as often as they are held."""
    return float(sum(c.span.end - c.span.start for c in chunk.clips if c.frame_count))


def _bits_per_second(chunk: Chunk, config: RunConfig) -> float:
    """A guess at the clips' bit rate, for the disk they will take."""
    video, recipe = chunk.source.video, config.recipe
    if recipe.copies:
        return video.bit_rate
    width, height = size_of(video, recipe.size_rule)
    rate = recipe.rate(video, width, height, chunk.frame_rate)
    if rate.bit_rate:
        return rate.bit_rate
    # Constant quality spends what the content needs; a source that needs little shows it.
    usual = bit_rate_for(width, height, chunk.frame_rate, rate.quality or 0.0)
    return min(usual, 1.5 * video.bit_rate)
