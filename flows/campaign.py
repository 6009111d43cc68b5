"""The work of one flow run: find, skip what is done, probe, transcode, count.

Nothing here grows with the number of chunks: sources are opened as fast as chunks are used
up, a window of task runs is in flight, and rows go to the manifest as they come.
"""

import heapq
import itertools
import time
import uuid
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import ray
from prefect import Task
from prefect.artifacts import create_progress_artifact, update_progress_artifact

from clipping.chunk_work import ffmpeg_path, ffmpeg_version, plan_chunks
from clipping.cluster import Cluster, Request, board_named, connected, request_for
from clipping.errors import ClippingError, FailureKind, SourceError
from clipping.inputs import Found, find_sources
from clipping.models import (
    Chunk,
    ChunkRecord,
    ClipRecord,
    ClipStatus,
    Failure,
    ProbedSource,
    Source,
    SourceFile,
    SourceRecord,
    SourceStatus,
)
from clipping.outputs import Output, open_output
from clipping.remote import is_remote
from clipping.reporting import Manifest, Tally, count, summary_lines
from clipping.resuming import (
    done_clips,
    earlier_record,
    finished_source,
    in_order,
    name_taken_by,
    source_record_name,
)
from clipping.settings import Settings, allowed_failures
from clipping.shards import manifest_name
from flows.progress import Snapshot, view
from flows.submitting import Done, Window
from flows.worker import chunk_name

__all__ = ["Campaign"]

_PROBE_BATCH = 8
_FAILURES_SAID = 10
_READS_AT_ONCE = 16
_READS_AHEAD = 256
_PROGRESS_ARTIFACT_EVERY = 3.0


@dataclass(slots=True)
class _Underway:
    """A source whose chunks are being made."""

    source: Source
    chunks: int
    clips: int
    left: int


@dataclass
class Campaign:
    """One run over a set of inputs; `run` does it all."""

    settings: Settings
    probe_task: Task[Any, Any]
    chunk_task: Task[Any, Any]
    tally: Tally = field(default_factory=Tally)
    snapshot: Snapshot = field(default_factory=Snapshot)
    _underway: dict[str, _Underway] = field(default_factory=dict)
    _unprobed: deque[list[SourceFile]] = field(default_factory=deque)
    _queue: list[tuple[float, int, Chunk]] = field(default_factory=list)
    _order: Iterator[int] = field(default_factory=itertools.count)
    _sizes: dict[str, int] = field(default_factory=dict)
    _manifest: Manifest | None = None
    _frames_done: float = 0.0
    _probes_flying: int = 0
    _chunks_flying: set[str] = field(default_factory=set)

    @cached_property
    def output(self) -> Output:
        """Where everything goes."""
        return open_output(self.settings.output, self.settings.shard)

    def run(self) -> Tally:
        """Do it. Raises UsageError for settings that cannot work; all else ends in the tally."""
        with self.output.claimed():
            settings = self.settings
            found = find_sources(
                settings.input, settings.extensions, settings.output, settings.shard
            )
            # One listing tells what is there, however many clips there are.
            self._sizes = self.output.sizes("clips")
            self._manifest = Manifest(self.output, manifest_name(settings.shard))
            waiting = self._sort_out(found)
            if waiting:
                # Both are known before anything is spent: no ffmpeg, no node that fits.
                ffmpeg_version(ffmpeg_path(self.settings.execution))
                self._work_off(waiting)
            self._manifest.close()
        self.tally.seconds = time.monotonic() - self.tally.began
        return self.tally

    # What is done already

    def _sort_out(self, found: Found) -> list[SourceFile]:
        """Count what earlier runs did; the sources that are left."""
        self.tally.sources = len(found.sources) + len(found.failed)
        self.tally.passed_over = len(found.passed_over)
        for name, error in found.failed:
            self.tally.failed_sources += 1
            self.tally.add_failure(name, Failure(kind=error.kind, message=error.message))
        waiting: list[SourceFile] = []
        for file, other, done in self._earlier(found.sources):
            if other:
                message = (
                    f"{file.key}: that name belongs to {other} in this output; use another"
                    " output, or one input above both"
                )
                self.tally.failed_sources += 1
                self.tally.add_failure(file.key, Failure(kind=FailureKind.USAGE, message=message))
                continue
            if done is None:
                waiting.append(file)
                continue
            record, chunks = done
            self._count_source(record)
            self.tally.planned += record.clips
            for chunk in chunks:
                self._count_chunk(chunk, file, done_before=True)
        self.snapshot.videos = len(waiting)
        return waiting

    def _earlier(self, files: list[SourceFile]) -> Iterator[tuple[SourceFile, str | None, Any]]:
        """Each file with who else has its name in the output, and what is done of it."""
        settings, digest = self.settings, self.settings.recipe.digest()

        def ask(file: SourceFile) -> tuple[SourceFile, str | None, Any]:
            record = earlier_record(self.output, file.key)
            done = finished_source(
                self.output,
                record,
                file,
                digest,
                settings.num_clips_per_chunk,
                self._sizes,
                retry_failed=settings.retry_failed,
            )
            return file, name_taken_by(record, file), done

        if not is_remote(settings.output):
            yield from map(ask, files)
            return
        with ThreadPoolExecutor(_READS_AT_ONCE) as pool:
            for start in range(0, len(files), _READS_AHEAD):
                yield from pool.map(ask, files[start : start + _READS_AHEAD])

    # The work

    def _work_off(self, waiting: list[SourceFile]) -> None:
        self._unprobed.extend(
            waiting[i : i + _PROBE_BATCH] for i in range(0, len(waiting), _PROBE_BATCH)
        )
        view().show(self.snapshot)
        with ExitStack() as stack:
            cluster = stack.enter_context(
                connected(self.settings.ray_address, verbose=self.settings.talks)
            )
            cluster.require(Request(1))
            cluster.require(request_for(self.settings, cluster, cluster.cpus))
            board = f"clipping-{uuid.uuid4().hex[:12]}"
            actor = board_named(board)
            progress = _ProgressArtifact()
            window = Window(self.settings.crash_retries)
            self.snapshot.began = time.monotonic()
            while self._unprobed or self._queue or len(window):
                self._fill(window, cluster, board)
                done = window.next(timeout=0.5)
                if done is not None:
                    self._take(done)
                self._show(actor, progress)
            self.tally.crashes = window.crashes
            progress.close()

    def _fill(self, window: Window, cluster: Cluster, board: str) -> None:
        """Submit until enough is in flight: open videos while few chunks wait, else chunks."""
        settings = self.settings
        slots = max(1, cluster.slots(request_for(settings, cluster, cluster.cpus)))
        while len(window) < slots + 2:
            hungry = len(self._queue) < 2 * slots and self._probes_flying < slots
            if self._unprobed and hungry:
                files = self._unprobed.popleft()
                self._probes_flying += 1
                window.submit(
                    self.probe_task,
                    files,
                    Request(1),
                    files=files,
                    execution=settings.execution,
                )
            elif self._queue:
                left = len(self._queue) + len(window)
                more = self._unprobed or self._probes_flying
                request = request_for(settings, cluster, cluster.cpus if more else left)
                _, _, chunk = heapq.heappop(self._queue)
                self._chunks_flying.add(chunk_name(chunk))
                window.submit(
                    self.chunk_task,
                    chunk,
                    request,
                    again={"there": None},  # the lost worker may have published some
                    there=self._there(chunk),
                    chunk=chunk,
                    recipe=settings.recipe,
                    execution=settings.execution,
                    output=settings.output,
                    cpus=request.cpus,
                    board=board,
                )
            else:
                return

    def _there(self, chunk: Chunk) -> dict[str, int]:
        """Which of a chunk's clips were there when the run began, with their sizes."""
        names = [f"{clip.id}.mp4" for clip in chunk.clips]
        return {name: self._sizes[name] for name in names if name in self._sizes}

    def _take(self, done: Done) -> None:
        if isinstance(done.item, Chunk):
            self._take_chunk(done.item, done.value, done.failure)
        else:
            self._take_probed(done.item, done.value, done.failure)

    def _take_probed(
        self,
        files: list[SourceFile],
        probed: list[ProbedSource] | None,
        failure: ClippingError | None,
    ) -> None:
        self._probes_flying -= 1
        if failure is not None and len(files) > 1:
            # One file took the others down with it; alone, each answers for itself.
            self._unprobed.extendleft([file] for file in files)
            return
        self.snapshot.videos_probed += len(files)
        if failure is not None:
            self._fail_source(files[0], Failure(kind=failure.kind, message=failure.message))
            return
        for result in probed or []:
            if result.failure is not None:
                self._fail_source(result.file, result.failure)
            else:
                self._plan(result)

    def _plan(self, probed: ProbedSource) -> None:
        """Queue a source's chunks, less what is done."""
        settings, source = self.settings, probed.source
        assert source is not None
        video, key = source.video, source.file.key
        for warning in source.warnings:
            self.tally.add_warning(f"{key}: {warning}")
        if settings.use_input_bit_rate and video.bit_rate_estimated:
            self.tally.add_warning(
                f"{key}: its header gives no bit rate; {video.bit_rate} bit/s, from the size of"
                " its video packets and its duration, is aimed at"
            )
        chunks = plan_chunks(probed, settings.recipe, settings.num_clips_per_chunk)
        if not chunks:
            reason = (
                f"lasts {float(video.duration):.3f} s, shorter than min_clip_length_s"
                f" {settings.min_clip_length_s:g}"
            )
            record = self._source_record(source.file, SourceStatus.EMPTY, reason=reason)
            self._count_source(record)
            self.output.write_text(source_record_name(key), _json(record))
            return
        clips = sum(len(chunk.clips) for chunk in chunks)
        self.tally.planned += clips
        self._underway[key] = _Underway(source, len(chunks), clips, len(chunks))
        digest = settings.recipe.digest()
        for chunk in chunks:
            kept = done_clips(
                self.output, chunk, digest, self._sizes, retry_failed=settings.retry_failed
            )
            if len(kept) == len(chunk.clips):
                self._count_done_chunk(chunk, kept)
                continue
            frames = sum(c.frame_count for c in chunk.clips)
            self.snapshot.frames_total += frames
            # The longest first, so that no long one is left alone at the end.
            work = chunk.seconds * video.width * video.height
            heapq.heappush(self._queue, (-work, next(self._order), chunk))

    def _count_done_chunk(self, chunk: Chunk, kept: dict[str, ClipRecord]) -> None:
        record = ChunkRecord(
            source_key=chunk.source.file.key,
            chunk=chunk.number,
            recipe_digest=self.settings.recipe.digest(),
            fingerprint=chunk.source.file.fingerprint,
            clips=in_order(chunk, list(kept.values())),
        )
        self._count_chunk(record, chunk.source.file, done_before=True)
        self._end_chunk(chunk)

    def _take_chunk(
        self, chunk: Chunk, record: ChunkRecord | None, failure: ClippingError | None
    ) -> None:
        self._chunks_flying.discard(chunk_name(chunk))
        self._frames_done += sum(c.frame_count for c in chunk.clips)
        if record is None:
            record = self._lost_chunk(chunk, failure or SourceError("it gave no result"))
        self._count_chunk(record, chunk.source.file, done_before=False)
        self.snapshot.clip_seconds += record.made_seconds
        self._end_chunk(chunk)

    def _lost_chunk(self, chunk: Chunk, failure: ClippingError) -> ChunkRecord:
        """The record of a chunk whose task failed: what it published by then counts."""
        digest, settings = self.settings.recipe.digest(), self.settings
        sizes = self.output.sizes_of("clips", [f"{c.id}.mp4" for c in chunk.clips])
        kept = done_clips(self.output, chunk, digest, sizes, retry_failed=settings.retry_failed)
        reason = Failure(kind=failure.kind, message=failure.message)
        records = [
            kept.get(clip.id)
            or ClipRecord(
                clip=clip,
                status=ClipStatus.FAILED,
                failure=reason,
                errors=(failure.message,),
            )
            for clip in chunk.clips
        ]
        return ChunkRecord(
            source_key=chunk.source.file.key,
            chunk=chunk.number,
            recipe_digest=digest,
            fingerprint=chunk.source.file.fingerprint,
            clips=tuple(records),
        )

    # Counting

    def _count_chunk(self, record: ChunkRecord, file: SourceFile, *, done_before: bool) -> None:
        rows = self.tally.add_chunk(record, file, done_before=done_before)
        if self._manifest is not None:
            self._manifest.add(rows)
        self.snapshot.planned = self.tally.planned
        self.snapshot.done = self.tally.written
        self.snapshot.failed = self.tally.failed

    def _end_chunk(self, chunk: Chunk) -> None:
        key = chunk.source.file.key
        underway = self._underway[key]
        underway.left -= 1
        if underway.left:
            return
        del self._underway[key]
        record = self._source_record(
            chunk.source.file,
            SourceStatus.CLIPPED,
            chunks=underway.chunks,
            clips=underway.clips,
            source=underway.source,
        )
        self._count_source(record)
        self.output.write_text(source_record_name(key), _json(record))

    def _fail_source(self, file: SourceFile, failure: Failure) -> None:
        record = self._source_record(file, SourceStatus.FAILED, failure=failure)
        self._count_source(record)
        self.output.write_text(source_record_name(file.key), _json(record))

    def _source_record(self, file: SourceFile, status: SourceStatus, **more: Any) -> SourceRecord:
        return SourceRecord(
            key=file.key,
            uri=file.uri,
            fingerprint=file.fingerprint,
            recipe_digest=self.settings.recipe.digest(),
            status=status,
            **more,
        )

    def _count_source(self, record: SourceRecord) -> None:
        tally = self.tally
        if record.status is SourceStatus.CLIPPED:
            tally.clipped += 1
        elif record.status is SourceStatus.EMPTY:
            tally.empty += 1
            tally.reasons_empty["shorter than min_clip_length_s"] += 1
            if record.reason:
                tally.add_warning(f"{record.key}: no clips: {record.reason}")
        else:
            tally.failed_sources += 1
            if record.failure:
                tally.add_failure(record.key, record.failure)

    # Showing

    def _show(self, actor: Any, progress: "_ProgressArtifact") -> None:
        running = sum(n for name, n in _read_board(actor).items() if name in self._chunks_flying)
        snapshot = self.snapshot
        unopened = snapshot.videos - snapshot.videos_probed
        opened = max(1, snapshot.videos_probed)
        total = snapshot.frames_total * (1 + unopened / opened)
        snapshot.frames = self._frames_done + min(running, max(0, total - self._frames_done))
        shown = Snapshot(**{**_values(snapshot), "frames_total": total})
        view().show(shown)
        progress.update(shown.share)

    # The end

    def about(self) -> list[tuple[str, str]]:
        """What the summary says of the settings."""
        settings = self.settings
        return [
            (
                "Recipe",
                f"{settings.clip_len_s:g} s every {settings.clip_stride_s:g} s,"
                f" {settings.encoder}, digest {settings.recipe.digest()}",
            ),
            ("ffmpeg", ffmpeg_version(ffmpeg_path(settings.execution))),
        ]

    def closing_lines(self) -> list[str]:
        """What a person reads at the end."""
        tally = self.tally
        lines = [*summary_lines(tally, self.settings.output)]
        if tally.empty:
            lines.append(
                f"{count(tally.empty, 'video')} gave no clip: shorter than"
                f" --min-clip-length-s {self.settings.min_clip_length_s:g}"
            )
        if tally.absent:
            lines.append(f"{count(tally.absent, 'clip')} absent: no frame lies in that span")
        if tally.damaged:
            lines.append(
                f"{count(tally.damaged, 'clip')} with damage of the source (see the errors there)"
            )
        if tally.passed_over:
            lines.append(f"{count(tally.passed_over, 'other file')} passed over by extension")
        if tally.failed or tally.failed_sources:
            lines.append(
                f"{count(tally.failed, 'clip')} and {count(tally.failed_sources, 'video')} failed:"
            )
            shown = tally.failures[:_FAILURES_SAID]
            lines += [f"  {_named(name, failure)}" for name, failure in shown]
            more = sum(tally.kinds.values()) - len(shown)
            if more > 0:
                lines.append(f"  … and {more} more, in manifest.parquet and processed_videos/")
        return lines

    def verdict(self) -> str | None:
        """Why the run failed, or None."""
        tally, settings = self.tally, self.settings
        if problems := tally.problems():
            return "; ".join(problems)
        failures = tally.failed + tally.failed_sources
        allowed = allowed_failures(settings.allow_failures, tally.planned + tally.failed_sources)
        if failures > allowed:
            return (
                f"{count(tally.failed, 'clip')} and {count(tally.failed_sources, 'video')} failed"
                f" ({allowed} allowed); everything else is in {settings.output}"
            )
        if not tally.written and not failures:
            return (
                f"0 clips: no video in the input is as long as min_clip_length_s"
                f" ({settings.min_clip_length_s:g} s)"
                if tally.empty
                else "0 clips: the input holds no videos"
            )
        return None


def _named(name: str, failure: Failure) -> str:
    """A failure's message; those of a source begin with its name already."""
    return failure.message if failure.message.startswith(name) else f"{name}: {failure.message}"


def _json(record: SourceRecord) -> str:
    return record.model_dump_json(indent=1)


def _values(snapshot: Snapshot) -> dict[str, Any]:
    return {name: getattr(snapshot, name) for name in Snapshot.__slots__}


def _read_board(actor: Any) -> dict[str, int]:
    try:
        return ray.get(actor.get.remote(), timeout=2.0)
    except ray.exceptions.RayError:
        return {}  # progress is a courtesy


class _ProgressArtifact:
    """Prefect's progress artifact, moved every few seconds."""

    def __init__(self) -> None:
        self._id: Any = create_progress_artifact(
            progress=0.0, key="clip-progress", description="Share of the frames encoded"
        )
        self._last = time.monotonic()

    def update(self, share: float) -> None:
        now = time.monotonic()
        if now - self._last >= _PROGRESS_ARTIFACT_EVERY:
            self._last = now
            update_progress_artifact(self._id, progress=round(share * 100, 1))

    def close(self) -> None:
        update_progress_artifact(self._id, progress=100.0)
