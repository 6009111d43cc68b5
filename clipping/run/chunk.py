"""One chunk from beginning to end on one node: what is missing of it is made and published.

Done twice, it does nothing the second time: that is what makes retries cheap.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from fractions import Fraction
from functools import partial
from threading import Event

from clipping.config.execution import Execution
from clipping.config.recipe import Recipe
from clipping.config.run_config import RunConfig
from clipping.dataset.mp4_files import Mp4Files
from clipping.dataset.resume import EarlierWork
from clipping.dataset.sink import ClipSink, Effort
from clipping.errors import BundleError, ClippingError, FailureKind
from clipping.ffmpeg import process
from clipping.ffmpeg.binary import ffmpeg_path
from clipping.ffmpeg.encoders import COPY, Encoder, candidates, copied
from clipping.ffmpeg.memory import memory_limit
from clipping.media.clock_jumps import JoinedError
from clipping.media.method import Job, PictureChanged
from clipping.media.methods.encode_once import EncodeOnce, scratch_bytes
from clipping.media.methods.stream_copy import StreamCopy
from clipping.media.picture_shapes import with_shapes
from clipping.media.probe import probe
from clipping.media.stretches import probe_stretches, read_stretch
from clipping.media.transcode import transcode
from clipping.models import (
    Chunk,
    ChunkRecord,
    Clip,
    ClipRecord,
    ClipStatus,
    Failure,
    ListedSpan,
    ProbedSource,
    ProbedStretch,
    Source,
    SourceFile,
    Stretch,
)
from clipping.plan.chunks import chunks
from clipping.plan.clips import clips
from clipping.plan.copied import moved, why_not_copied
from clipping.plan.frame_times import FrameTimes, pack, unpack
from clipping.plan.listed import in_seconds
from clipping.plan.resampled import resampled_times, with_source_frames
from clipping.plan.stretches import Before, laid
from clipping.storage.outputs import Output
from clipping.storage.scratch import scratch_folder
from clipping.storage.source import Reading, opened, still_the_same

__all__ = [
    "is_uneven",
    "make_chunk",
    "make_each",
    "opened_source",
    "plan_chunks",
    "probe_file",
    "why_not",
]

_FEW_FRAMES = 2  # whose distance makes no rate


def probe_file(file: SourceFile, execution: Execution) -> ProbedSource:
    """Probe one source; what is wrong with it becomes its result.

    Raises ClippingError only for transient failures, and where there is no ffmpeg.
    """
    try:
        with opened_source(file, execution) as reading:
            binary = ffmpeg_path(execution.ffmpeg_binary)
            try:
                source, times = probe(reading, binary)
            except JoinedError as joined:
                return probe_stretches(
                    reading, joined.places, binary, is_transport=joined.is_transport
                )
    except ClippingError as error:
        if error.kind.is_transient or error.kind is FailureKind.NO_ENCODER:
            raise
        return ProbedSource(file=file, failure=Failure.of(error))
    return ProbedSource(
        file=file,
        source=source,
        frame_pts=pack(times.pts),
        keyframes=pack(times.keyframes),
        repeated=pack(times.repeated),
        cut_points=pack(times.cut_points),
    )


def plan_chunks(
    probed: ProbedSource,
    recipe: Recipe,
    clips_per_chunk: int,
    listed: Sequence[ListedSpan] = (),
) -> list[Chunk]:
    """The chunks of a probed source; none if it has no spans.

    They depend on the recipe, `clips_per_chunk` and what a list has for the source (`listed`)
    alone, so that a run on another cluster finds the same ones.
    """
    if probed.source is None:
        return []
    if not probed.stretches:
        return _planned(probed.source, probed, recipe, clips_per_chunk, listed)
    found: list[Chunk] = []
    before, left = Before(), recipe.limit_clips
    for part in probed.stretches:
        limited = recipe.model_copy(update={"limit_clips": left})
        mine = _of_stretch(listed, part.stretch, is_last=part is probed.stretches[-1])
        of_part = _planned(part.source, part, limited, clips_per_chunk, mine)
        found += [_asked(laid(chunk, part.stretch, before), listed) for chunk in of_part]
        spans = sum(clip.count for chunk in of_part for clip in chunk.clips)
        times = _clip_times(part.source, part, recipe)[0]
        before = Before(
            len(found),
            before.clips + spans,
            before.frames + len(times.pts),
            before.shots + len(times.cuts) + 1,
        )
        left -= min(left, spans)
        if recipe.limit_clips and not left:
            break
    return found


def why_not(probed: ProbedSource, recipe: Recipe) -> str | None:
    """Why a source cannot be copied where that is asked for; None if it can, or is encoded then."""
    if not recipe.copies or recipe.copy_fallback:
        return None
    for part in probed.parts:
        if part.source is None:
            continue
        if reason := why_not_copied(part.source.video, _clip_times(part.source, part, recipe)[1]):
            return (
                f"{probed.file.key}: it cannot be cut without encoding: {reason}; --copy-fallback"
                " names an encoder for such videos"
            )
    return None


def is_uneven(probed: ProbedSource, recipe: Recipe) -> bool:
    """Whether a source's frame rate varies, and its clips' as well."""
    if recipe.constant_rate is not None:
        return False
    videos = [part.source.video for part in probed.parts if part.source]
    return any(v.grid is None and v.frame_count > _FEW_FRAMES for v in videos)


def _of_stretch(
    listed: Sequence[ListedSpan], stretch: Stretch, *, is_last: bool
) -> list[ListedSpan]:
    """The rows that begin in a recording, by its own time; they end with it at the latest."""
    mine: list[ListedSpan] = []
    for row in listed:
        begins, lasts = (
            (Fraction(stretch.first_frame), Fraction(stretch.frame_count))
            if row.in_frames
            else (stretch.start, stretch.duration)
        )
        if row.start >= begins and (is_last or row.start < begins + lasts):
            moved = {"start": row.start - begins, "end": min(row.end - begins, lasts)}
            mine.append(row.model_copy(update=moved))
    return mine


def _asked(chunk: Chunk, listed: Sequence[ListedSpan]) -> Chunk:
    """The chunk with the rows as they are in the list, not as they were laid into a recording."""
    if not listed:
        return chunk
    rows = {row.row: row for row in listed}
    clips = (
        clip.model_copy(update={"listed": rows[clip.listed.row]}) if clip.listed else clip
        for clip in chunk.clips
    )
    return chunk.model_copy(update={"clips": tuple(clips)})


def _planned(
    source: Source,
    times_of: ProbedSource | ProbedStretch,
    recipe: Recipe,
    clips_per_chunk: int,
    listed: Sequence[ListedSpan],
) -> list[Chunk]:
    times, own = _clip_times(source, times_of, recipe)
    asked = in_seconds(listed, own)
    planned = clips(source.file.key, times, recipe.span_source.spans(source, times, asked))
    if recipe.copies and why_not_copied(source.video, own) is None:
        planned = moved(source.file.key, planned, own)
        found = chunks(source, own, planned, clips_per_chunk)
        return [chunk.model_copy(update={"copied": True}) for chunk in found]
    found = chunks(source, times, planned, clips_per_chunk)
    if (rate := recipe.constant_rate) is None:
        return list(found)
    return [with_source_frames(chunk, own, rate) for chunk in found]


def _clip_times(
    source: Source, times_of: ProbedSource | ProbedStretch, recipe: Recipe
) -> tuple[FrameTimes, FrameTimes]:
    """The times of the frames that clips are made of, and those of the source's own frames."""
    own = FrameTimes(
        unpack(times_of.frame_pts),
        unpack(times_of.keyframes),
        source.video.end_pts,
        source.video.time_base,
        unpack(times_of.repeated),
        cuts=unpack(times_of.cuts or ""),
        cut_points=unpack(times_of.cut_points),
    )
    rate = recipe.constant_rate
    return (own if rate is None else resampled_times(own, source.video, rate)), own


def make_each(chunks: Sequence[Chunk], make: Callable[[Chunk], ChunkRecord]) -> list[ChunkRecord]:
    """Make chunks of one task, one after the other; a failing one does not stop the next.

    Raises BundleError with every failing chunk's own error, or just that if there is one chunk.
    """
    records: list[ChunkRecord] = []
    failures: dict[str, ClippingError] = {}
    for chunk in chunks:
        try:
            records.append(make(chunk))
        except ClippingError as error:
            failures[chunk.name] = error
        except OSError as error:
            failures[chunk.name] = ClippingError(str(error), FailureKind.IO)
    if failures:
        raise next(iter(failures.values())) if len(chunks) == 1 else BundleError(failures)
    return records


def make_chunk(
    chunk: Chunk,
    config: RunConfig,
    output: Output,
    *,
    encoder: str = "",
    cpus: int = 1,
    node: str | None = None,
    existing_sizes: Mapping[str, int] | None = None,
    on_frames: Callable[[int], None] | None = None,
    note: Callable[[str], None] | None = None,
    log: Callable[[str], None] | None = None,
) -> ChunkRecord:
    """Make what is missing of `chunk` and publish it, the chunk's record last.

    encoder: what encodes; empty for the recipe's first choice.
    node: what the records are to say of where this is.
    existing_sizes: name to size of the chunk's clips in the output, if somebody has listed it;
    else they are looked for one by one.
    Raises ClippingError for what is transient or is nobody's clip's fault; clips published by
    then stay, and the next attempt goes on behind them.
    """
    began = time.monotonic()
    recipe, execution = config.recipe, config.execution
    binary = ffmpeg_path(execution.ffmpeg_binary)
    if existing_sizes is None:
        earlier = EarlierWork.of_chunk(config, output, chunk)
    else:
        earlier = EarlierWork.among(config, output, existing_sizes)
    sink: ClipSink = Mp4Files(chunk, earlier)
    existing = sink.existing()
    wanted = [clip for clip in chunk.clips if clip.id not in existing]
    made: list[ClipRecord] = []
    if wanted:
        still_the_same(chunk.source.file)
        sink.begin()
        with (
            opened_source(chunk.source.file, execution) as whole,
            read_stretch(whole, chunk) as reading,
            scratch_folder(execution.scratch_dir, scratch_bytes(chunk)) as scratch,
        ):
            row = _row(chunk, encoder or recipe.encoder, recipe)
            job = Job(
                recipe=recipe,
                execution=execution,
                reading=reading,
                binary=binary,
                scratch=scratch,
                encoder=row,
                cpus=cpus,
                use_hwaccel=execution.use_hwaccel and row.on_gpu,
                node=node,
                on_frames=on_frames,
                note=note,
                log=log,
            )
            try:
                _make(chunk, wanted, job, sink, made)
            except PictureChanged:
                chunk, job = _told_of_changes(chunk, job), replace(job, stop=Event())
                done = {record.clip.id for record in made}
                _make(chunk, [c for c in wanted if c.id not in done], job, sink, made)
    effort = Effort(
        seconds=round(time.monotonic() - began, 3),
        encoded_frames=sum(r.frames for r in made),
        made_seconds=_seconds(chunk, made),
    )
    return sink.commit(made, effort)


def opened_source(file: SourceFile, execution: Execution) -> AbstractContextManager[Reading]:
    """A source made readable; what reads it has its memory bounded."""
    limit = memory_limit(execution.ffmpeg_memory_gb)
    return opened(file, execution.scratch_dir, _bounded(execution), limit)


def _row(chunk: Chunk, encoder: str, recipe: Recipe) -> Encoder:
    """What makes a chunk's packets."""
    if chunk.copied:
        return copied(chunk.source.video.codec)
    row = candidates(recipe.copy_fallback if encoder == COPY else encoder)[0]
    return row.of_depth(recipe.bits)


def _make(
    chunk: Chunk, wanted: Sequence[Clip], job: Job, sink: ClipSink, made: list[ClipRecord]
) -> None:
    """Make clips of `chunk`; their records go to `made`, as each one ends."""
    method = StreamCopy(chunk, job) if chunk.copied else EncodeOnce(chunk, job)
    for record in transcode(chunk, wanted, method, job, sink.add):
        done = record if record.location else sink.add(record, None)
        made.append(done)


def _told_of_changes(chunk: Chunk, job: Job) -> Chunk:
    """The chunk with what its source's pictures are like, where the probe had not noticed."""
    source = chunk.source
    video = with_shapes(job.reading, source.video, unpack(chunk.source_frame_pts), is_certain=True)
    return chunk.model_copy(update={"source": source.model_copy(update={"video": video})})


def _bounded(execution: Execution) -> process.Runner:
    """What runs ffmpeg on a source: it may be of any size."""
    return partial(process.run, memory_limit=memory_limit(execution.ffmpeg_memory_gb))


def _seconds(chunk: Chunk, records: Iterable[ClipRecord]) -> float:
    """Seconds of video in the clips that were written."""
    written = (r for r in records if r.status is ClipStatus.WRITTEN)
    return float(sum(r.seconds(chunk.source.video.time_base) for r in written))
