"""One chunk from beginning to end on one node: what is missing of it is made and published.

Done twice, it does nothing the second time: that is what makes retries cheap.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from clipping.config.execution import Execution
from clipping.config.recipe import Recipe
from clipping.dataset.clip_json import meta
from clipping.dataset.layout import chunk_record_name, clip_name, meta_name
from clipping.dataset.resume import done_clips, in_order
from clipping.errors import BundleError, ClippingError, FailureKind
from clipping.ffmpeg.binary import ffmpeg_path, ffmpeg_version
from clipping.ffmpeg.encoders import candidates
from clipping.media.probe import probe
from clipping.media.transcode import Job, transcode
from clipping.models import (
    Chunk,
    ChunkRecord,
    ClipRecord,
    ClipStatus,
    Failure,
    ProbedSource,
    SourceFile,
)
from clipping.plan.chunks import chunks
from clipping.plan.clips import clips
from clipping.plan.frame_times import FrameTimes, pack, unpack
from clipping.plan.spans import stride_spans
from clipping.storage.outputs import Output
from clipping.storage.scratch import scratch_folder
from clipping.storage.source import opened, still_the_same

__all__ = ["make_chunk", "make_each", "plan_chunks", "probe_file"]


def probe_file(file: SourceFile, execution: Execution) -> ProbedSource:
    """Probe one source; what is wrong with it becomes its result.

    Raises ClippingError only for what can pass.
    """
    try:
        with opened(file, execution.scratch_dir) as reading:
            source, times = probe(reading, ffmpeg_path(execution))
    except ClippingError as error:
        if error.kind.is_transient or error.kind is FailureKind.NO_ENCODER:
            raise
        failure = Failure(kind=error.kind, message=error.message)
        return ProbedSource(file=file, failure=failure)
    return ProbedSource(
        file=file,
        source=source,
        frame_pts=pack(times.pts),
        keyframes=pack(times.keyframes),
    )


def plan_chunks(probed: ProbedSource, recipe: Recipe, clips_per_chunk: int) -> list[Chunk]:
    """The chunks of a probed source; none if it is shorter than the shortest clip.

    They depend on the recipe and `clips_per_chunk` alone, so that a run on another cluster
    finds the same ones.
    """
    source = probed.source
    if source is None:
        return []
    video = source.video
    times = FrameTimes(
        unpack(probed.frame_pts), unpack(probed.keyframes), video.end_pts, video.time_base
    )
    length, stride, least = recipe.exact_stride
    spans = stride_spans(times.duration, length, stride, least, recipe.limit_clips)
    planned = clips(source.file.key, times, list(spans))
    return list(chunks(source, times, planned, clips_per_chunk))


def make_each(chunks: Sequence[Chunk], make: Callable[[Chunk], ChunkRecord]) -> list[ChunkRecord]:
    """Make chunks of one task, one after the other; a failing one does not stop the next.

    Raises BundleError with every failing chunk's own error, or just that if there is one chunk.
    """
    if len(chunks) == 1:
        return [make(chunks[0])]
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
        raise BundleError(failures)
    return records


def make_chunk(
    chunk: Chunk,
    recipe: Recipe,
    execution: Execution,
    output: Output,
    *,
    encoder: str = "",
    cpus: int = 1,
    node: str | None = None,
    there: Mapping[str, int] | None = None,
    on_frames: Callable[[int], None] | None = None,
    note: Callable[[str], None] | None = None,
    log: Callable[[str], None] | None = None,
) -> ChunkRecord:
    """Make what is missing of `chunk` and publish it, the chunk's record last.

    encoder: what encodes; empty for the recipe's first choice.
    node: what the records are to say of where this is.
    there: name to size of the chunk's clips in the output, if somebody has listed it; else
    they are looked for one by one.
    Raises ClippingError for what can pass or is nobody's clip's fault; clips published by then
    stay, and the next attempt goes on behind them.
    """
    began = time.monotonic()
    digest, file = recipe.digest(), chunk.source.file
    binary = ffmpeg_path(execution)
    version = ffmpeg_version(binary)
    row = candidates(encoder or recipe.encoder)[0]
    names = {f"{clip.id}.mp4" for clip in chunk.clips}
    sizes = output.sizes_of("clips", names) if there is None else there
    done = done_clips(output, chunk, digest, sizes, retry_failed=execution.retry_failed)
    wanted = [clip for clip in chunk.clips if clip.id not in done]
    record_path = chunk_record_name(file.key, chunk.number)
    if wanted:
        still_the_same(file)
        # An older record must not vouch for files that are about to be replaced.
        output.remove(record_path)

    def publish(draft: ClipRecord, path: Path) -> ClipRecord:
        name = clip_name(draft.clip.id)
        size, digest_of_file = output.publish(path, name)
        record = draft.model_copy(
            update={
                "bytes": size,
                "sha256": digest_of_file,
                "location": output.location(name),
            }
        )
        text = meta(chunk.source, record, digest, version)
        output.write_text(meta_name(draft.clip.id), text)
        return record

    made: list[ClipRecord] = []
    if wanted:
        with (
            opened(file, execution.scratch_dir) as reading,
            scratch_folder(execution.scratch_dir, _scratch_need(chunk)) as scratch,
        ):
            job = Job(
                recipe=recipe,
                reading=reading,
                binary=binary,
                scratch=scratch,
                encoder=row,
                cpus=cpus,
                threads=execution.encoder_threads,
                clips_per_run=execution.encode_batch_size,
                verify_decode=execution.verify == "decode",
                use_hwaccel=execution.use_hwaccel and row.on_gpu,
                stall_limit=execution.stall_timeout_s,
                node=node,
                on_frames=on_frames,
                note=note,
                log=log,
            )
            for record in transcode(chunk, wanted, job, publish):
                made.append(record)
                if record.location is None:
                    text = meta(chunk.source, record, digest, version)
                    output.write_text(meta_name(record.clip.id), text)
    finished = ChunkRecord(
        source_key=file.key,
        chunk=chunk.number,
        recipe_digest=digest,
        fingerprint=file.fingerprint,
        clips=in_order(chunk, [*done.values(), *made]),
        seconds=round(time.monotonic() - began, 3),
        encoded_frames=sum(r.frames for r in made),
        made_seconds=_seconds(chunk, made),
        reused=sum(r.status is ClipStatus.WRITTEN for r in done.values()),
    )
    output.write_text(record_path, finished.model_dump_json(indent=1))
    return finished


def _seconds(chunk: Chunk, records: Iterable[ClipRecord]) -> float:
    """Seconds of video in the clips that were written."""
    written = (r.clip for r in records if r.status is ClipStatus.WRITTEN)
    return float(sum(c.end_pts - c.start_pts for c in written) * chunk.source.video.time_base)


def _scratch_need(chunk: Chunk) -> int:
    """Bytes of scratch for the encoded runs, generously."""
    video = chunk.source.video
    pixels_per_second = video.width * video.height * float(video.frame_count / video.duration)
    bits = max(video.bit_rate * 2.0, pixels_per_second * 0.4)
    return int(chunk.seconds * bits / 8)
