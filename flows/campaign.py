"""The work of one flow run: find, skip what is done, probe, transcode, count.

Nothing here grows with the number of chunks: sources are opened as fast as chunks are used
up, a window of task runs is in flight, and rows go to the manifest as they come.
"""

import time
import uuid
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from prefect import Task
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.logging import get_run_logger

from clipping.backlog import Backlog, Waiting, work_of
from clipping.board import Board
from clipping.chunk_work import ffmpeg_path, ffmpeg_version, plan_chunks
from clipping.cluster import Cluster, Request, connected, request_for
from clipping.errors import BundleError, ClippingError, FailureKind, SourceError
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
from clipping.reporting import Manifest, Tally
from clipping.resuming import (
    done_clips,
    earlier_record,
    finished_source,
    in_order,
    name_taken_by,
    source_record_name,
)
from clipping.settings import Settings
from clipping.shards import manifest_name
from flows.progress import Snapshot, view
from flows.submitting import Done, Window

__all__ = ["Campaign"]

_PROBE_BATCH = 8
# Task runs that wait in Ray, so that no worker waits for the driver.
_SUBMITTED_AHEAD = 2
_READS_AT_ONCE = 16
_READS_AHEAD = 256
_PROGRESS_ARTIFACT_EVERY = 3.0
_SHOWN_EVERY = 0.4


@dataclass(slots=True)
class _Underway:
    """A source whose chunks are being made."""

    source: Source
    chunks: int
    clips: int
    left: int


@dataclass(frozen=True, slots=True)
class _Unopened:
    """Sources to probe in one task, and how many workers died over them."""

    files: list[SourceFile]
    crashes: int = 0


@dataclass
class Campaign:
    """One run over a set of inputs; `run` does it all."""

    settings: Settings
    probe_task: Task[Any, Any]
    chunk_task: Task[Any, Any]
    tally: Tally = field(default_factory=Tally)
    snapshot: Snapshot = field(default_factory=Snapshot)
    _underway: dict[str, _Underway] = field(default_factory=dict)
    _unprobed: deque[_Unopened] = field(default_factory=deque)
    _backlog: Backlog = field(default_factory=Backlog)
    _sizes: dict[str, int] = field(default_factory=dict)
    _manifest: Manifest | None = None
    _frames_done: float = 0.0
    _shown: float = 0.0
    _probes_flying: int = 0
    _flying: dict[str, float] = field(default_factory=dict)  # task's first chunk to work

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
            _Unopened(waiting[i : i + _PROBE_BATCH]) for i in range(0, len(waiting), _PROBE_BATCH)
        )
        view().show(self.snapshot)
        with ExitStack() as stack:
            cluster = stack.enter_context(
                connected(self.settings.ray_address, verbose=self.settings.talks)
            )
            cluster.require(Request(1))
            cluster.require(request_for(self.settings, cluster))
            board = Board(uuid.uuid4().hex)
            progress = _ProgressArtifact()
            window = Window()
            self.snapshot.began = time.monotonic()
            while self._unprobed or self._backlog or len(window):
                self._fill(window, cluster, board)
                done = window.next(timeout=0.5)
                if done is not None:
                    self._take(done, board)
                self._show(board, progress)
            self.tally.crashes = window.crashes
            progress.close()

    def _fill(self, window: Window, cluster: Cluster, board: Board) -> None:
        """Submit until enough is in flight: open videos while few chunks wait, else chunks."""
        slots = max(1, cluster.slots(request_for(self.settings, cluster)))
        while len(window) < slots + _SUBMITTED_AHEAD:
            hungry = self._backlog.is_short(slots) and self._probes_flying < slots
            if self._unprobed and hungry:
                self._submit_probe(window, self._unprobed.popleft())
            elif self._backlog:
                more = bool(self._unprobed or self._probes_flying)
                bundle = self._backlog.take(slots, more_to_come=more)
                self._submit_chunks(window, cluster, board, bundle, more_to_come=more)
            else:
                return

    def _submit_probe(self, window: Window, unopened: _Unopened) -> None:
        self._probes_flying += 1
        window.submit(
            self.probe_task,
            unopened,
            Request(1),
            files=unopened.files,
            execution=self.settings.execution,
        )

    def _submit_chunks(
        self,
        window: Window,
        cluster: Cluster,
        board: Board,
        bundle: tuple[Waiting, ...],
        *,
        more_to_come: bool,
    ) -> None:
        settings = self.settings
        work = sum(w.work for w in bundle)
        left = work + self._backlog.work + sum(self._flying.values())
        alone = len(bundle) == 1 and not more_to_come
        request = request_for(settings, cluster, work / left if alone and left else 0.0)
        self._flying[bundle[0].chunk.name] = work
        window.submit(
            self.chunk_task,
            bundle,
            request,
            # A lost worker may have published some: those have to be looked for.
            there=None if bundle[0].crashes else self._there(bundle),
            chunks=[w.chunk for w in bundle],
            recipe=settings.recipe,
            execution=settings.execution,
            output=settings.output,
            cpus=request.cpus,
            board=board.run,
        )

    def _there(self, bundle: tuple[Waiting, ...]) -> dict[str, int]:
        """Which of their clips were there when the run began, with their sizes."""
        names = [f"{clip.id}.mp4" for w in bundle for clip in w.chunk.clips]
        return {name: self._sizes[name] for name in names if name in self._sizes}

    def _take(self, done: Done, board: Board) -> None:
        if isinstance(done.item, _Unopened):
            self._probes_flying -= 1
            self._take_probed(done.item, done)
            return
        bundle: tuple[Waiting, ...] = done.item
        name = bundle[0].chunk.name
        del self._flying[name]
        board.drop(name)
        if done.crash and self._is_tried_again(bundle[0].crashes, done.crash):
            for waiting in bundle:
                self._backlog.put(replace(waiting, crashes=waiting.crashes + 1))
            return
        records: list[ChunkRecord] = done.value or []
        made = {record.name: record for record in records}
        for waiting in bundle:
            chunk = waiting.chunk
            failure = done.failure
            if isinstance(failure, BundleError):
                failure = failure.failures.get(chunk.name)
            if done.crash:
                failure = _killed(waiting.crashes + 1, done.crash)
            self._take_chunk(chunk, made.get(chunk.name), failure)

    def _is_tried_again(self, crashes: int, words: str) -> bool:
        if crashes >= self.settings.crash_retries:
            return False
        get_run_logger().warning("A worker died (%s); its work is submitted again.", words)
        return True

    def _take_probed(self, unopened: _Unopened, done: Done) -> None:
        files, crashes = unopened.files, unopened.crashes + bool(done.crash)
        failure = done.failure
        if done.crash:
            if self._is_tried_again(unopened.crashes, done.crash):
                self._unprobed.extendleft(_Unopened([file], crashes) for file in files)
                return
            failure = _killed(crashes, done.crash)
        if failure is not None and len(files) > 1:
            # One file took the others down with it; alone, each answers for itself.
            self._unprobed.extendleft(_Unopened([file], crashes) for file in files)
            return
        self.snapshot.videos_probed += len(files)
        if failure is not None:
            self._fail_source(files[0], Failure(kind=failure.kind, message=failure.message))
            return
        probed: list[ProbedSource] = done.value or []
        for result in probed:
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
            self._backlog.put(Waiting(chunk, work_of(chunk)))

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

    def _show(self, board: Board, progress: "_ProgressArtifact") -> None:
        now = time.monotonic()
        if now - self._shown < _SHOWN_EVERY:
            return
        self._shown = now
        snapshot = self.snapshot
        unopened = snapshot.videos - snapshot.videos_probed
        opened = max(1, snapshot.videos_probed)
        total = snapshot.frames_total * (1 + unopened / opened)
        running = board.frames(self._flying)
        snapshot.frames = self._frames_done + min(running, max(0, total - self._frames_done))
        shown = Snapshot(**{**_values(snapshot), "frames_total": total})
        view().show(shown)
        progress.update(shown.share)


def _killed(times: int, words: str) -> ClippingError:
    return ClippingError(f"the worker died {times} times ({words})", FailureKind.KILLED)


def _json(record: SourceRecord) -> str:
    return record.model_dump_json(indent=1)


def _values(snapshot: Snapshot) -> dict[str, Any]:
    return {name: getattr(snapshot, name) for name in Snapshot.__slots__}


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
