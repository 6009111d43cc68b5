"""The work of one flow run: find, skip what is done, probe, transcode, count.

Nothing here grows with the number of chunks: sources are opened as fast as chunks are used
up, a window of task runs is in flight, and rows go to the manifest as they come.
"""

import time
import uuid
from collections import deque
from collections.abc import Iterable, Iterator
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
from clipping.cluster import connected
from clipping.errors import BundleError, ClippingError, FailureKind, SourceError
from clipping.inputs import Found, find_sources
from clipping.lanes import Lane, tags
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
from clipping.nvenc import require_here
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
from flows.routing import Routes
from flows.submitting import Done, Window

__all__ = ["Campaign"]

_PROBE_BATCH = 8
# Task runs that wait in Ray, so that no worker waits for the driver.
_SUBMITTED_AHEAD = 2
_READS_AT_ONCE = 16
_READS_AHEAD = 256
_PROGRESS_ARTIFACT_EVERY = 3.0
# An encoder session that was refused is asked for again so often, after growing waits.
_REFUSALS = 8
_LONGEST_WAIT = 60.0
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


@dataclass(frozen=True, slots=True)
class _Bundle:
    """Chunks in one task, and the encoder that makes them."""

    chunks: tuple[Waiting, ...]
    encoder: str
    on_gpu: bool

    @property
    def name(self) -> str:
        """What its progress is written down under."""
        return self.chunks[0].chunk.name


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
    _cpu_only: Backlog = field(default_factory=Backlog)  # what NVENC cannot make
    _aside: list[tuple[float, Waiting]] = field(default_factory=list)  # until when
    _gpu_rests_until: float = 0.0
    _in_lane: dict[bool, int] = field(default_factory=lambda: {True: 0, False: 0})
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
                # Known before anything is spent: no ffmpeg, no encoder, no node that fits.
                ffmpeg_version(ffmpeg_path(self.settings.execution))
                require_here(self.settings)
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
                connected(
                    self.settings.ray_address,
                    tags=tags(self.settings),
                    verbose=self.settings.talks,
                )
            )
            routes = Routes(self.settings, cluster)
            routes.check()
            self.tally.cluster_notes = routes.notes()
            board = Board(uuid.uuid4().hex)
            progress = _ProgressArtifact()
            window = Window()
            self.snapshot.began = time.monotonic()
            while self._has_work or len(window):
                self._fill(window, routes, board)
                done = window.next(timeout=0.5)
                if done is not None:
                    self._take(done, routes, board)
                self._look_after(window, routes, crashed=done is not None and bool(done.crash))
                self._show(board, progress)
            self.tally.cluster_notes = routes.notes()
            self.tally.crashes = window.crashes
            progress.close()

    @property
    def _has_work(self) -> bool:
        return bool(self._unprobed or self._backlog or self._cpu_only or self._aside)

    def _fill(self, window: Window, routes: Routes, board: Board) -> None:
        """Submit until enough is in flight: open videos while few chunks wait, else chunks."""
        now = time.monotonic()
        for at, waiting in [x for x in self._aside if x[0] <= now]:
            self._aside.remove((at, waiting))
            self._backlog.put(waiting)
        rests = now < self._gpu_rests_until
        gpu, cpu = routes.gpu(), routes.cpu(beside_gpu=not rests)
        shares = routes.shares_work
        slots = max(1, (gpu.slots if gpu else 0) + (cpu.slots if cpu and shares else 0))
        self._fill_probes(window, routes, slots)
        # Of two lanes neither has chunks wait in it: the other might be idle for want of them,
        # and a CPU chunk too many would take an NVENC chunk's CPU.
        ahead = 0 if gpu is not None and gpu.slots and shares else _SUBMITTED_AHEAD
        if gpu is not None and gpu.slots and not rests:
            self._fill_lane(window, routes, board, gpu, gpu.slots + ahead, slots)
        if cpu is not None:
            self._fill_lane(window, routes, board, cpu, cpu.slots + ahead, slots)
        if gpu is not None and not gpu.slots:
            self._fill_lane(window, routes, board, gpu, routes.coming(), slots)

    def _fill_probes(self, window: Window, routes: Routes, slots: int) -> None:
        while (
            self._unprobed
            and self._backlog.is_short(slots)
            and self._probes_flying < slots
            and len(window) < slots + _SUBMITTED_AHEAD
            and routes.is_served(routes.probe())
        ):
            self._submit_probe(window, routes, self._unprobed.popleft())

    def _fill_lane(
        self, window: Window, routes: Routes, board: Board, lane: Lane, most: int, slots: int
    ) -> None:
        """Submit to a lane until `most` of its task runs are in flight."""
        on_gpu = lane.request.gpus > 0
        while True:
            backlog, room = self._backlog, most
            if not on_gpu and self._cpu_only:
                backlog, room = self._cpu_only, max(most, 1)
            elif not on_gpu and not routes.shares_work:
                return
            taken = self._in_lane[on_gpu] + (0 if on_gpu else self._probes_flying)
            if not backlog or taken >= room:
                return
            more = bool(self._unprobed or self._probes_flying)
            chunks = backlog.take(slots, more_to_come=more)
            avoid = chunks[0].avoid
            if on_gpu and avoid and not self._takes(routes, avoid):
                failure = self._leave_gpu(chunks[0], _refused_everywhere(), routes)
                if failure is not None:
                    self._take_chunk(chunks[0].chunk, None, failure)
                continue
            bundle = _Bundle(chunks, lane.encoder, on_gpu)
            self._submit_chunks(window, routes, board, bundle, more_to_come=more)

    def _takes(self, routes: Routes, avoid: frozenset[str]) -> bool:
        """Whether a live node's GPU may take a chunk that must avoid these nodes."""
        lane = routes.gpu(avoid)
        return lane is not None and lane.slots > 0

    def _submit_probe(self, window: Window, routes: Routes, unopened: _Unopened) -> None:
        self._probes_flying += 1
        window.submit(
            self.probe_task,
            unopened,
            routes.probe(),
            files=unopened.files,
            execution=self.settings.execution,
        )

    def _submit_chunks(
        self,
        window: Window,
        routes: Routes,
        board: Board,
        bundle: _Bundle,
        *,
        more_to_come: bool,
    ) -> None:
        settings = self.settings
        work = sum(w.work for w in bundle.chunks)
        left = work + self._backlog.work + self._cpu_only.work + sum(self._flying.values())
        alone = len(bundle.chunks) == 1 and not more_to_come
        share = work / left if alone and left else 0.0
        lane = (
            routes.gpu(bundle.chunks[0].avoid)
            if bundle.on_gpu
            else routes.cpu(share, beside_gpu=True)
        )
        assert lane is not None
        self._flying[bundle.name] = work
        self._in_lane[bundle.on_gpu] += 1
        window.submit(
            self.chunk_task,
            bundle,
            lane.request,
            # An attempt that ended early may have published some: those have to be looked for.
            there=None if any(w.was_tried for w in bundle.chunks) else self._there(bundle.chunks),
            chunks=[w.chunk for w in bundle.chunks],
            recipe=settings.recipe,
            execution=settings.execution,
            output=settings.output,
            encoder=bundle.encoder,
            cpus=lane.request.cpus,
            board=board.run,
        )

    def _there(self, bundle: tuple[Waiting, ...]) -> dict[str, int]:
        """Which of their clips were there when the run began, with their sizes."""
        names = [f"{clip.id}.mp4" for w in bundle for clip in w.chunk.clips]
        return {name: self._sizes[name] for name in names if name in self._sizes}

    def _take(self, done: Done, routes: Routes, board: Board) -> None:
        if isinstance(done.item, _Unopened):
            self._probes_flying -= 1
            if done.withdrawn:
                self._unprobed.appendleft(done.item)
            else:
                self._take_probed(done.item, done)
            return
        bundle: _Bundle = done.item
        self._in_lane[bundle.on_gpu] -= 1
        del self._flying[bundle.name]
        board.drop(bundle.name)
        if done.withdrawn:
            self._give_back(bundle.chunks)
            return
        if done.crash and self._is_tried_again(bundle.chunks[0].crashes, done.crash):
            self._give_back(replace(w, crashes=w.crashes + 1) for w in bundle.chunks)
            return
        records: list[ChunkRecord] = done.value or []
        made = {record.name: record for record in records}
        for waiting in bundle.chunks:
            chunk = waiting.chunk
            failure = done.failure
            if isinstance(failure, BundleError):
                failure = failure.failures.get(chunk.name)
            if done.crash:
                failure = _killed(waiting.crashes + 1, done.crash)
            if failure is not None and bundle.on_gpu:
                failure = self._rerouted(waiting, failure, routes)
                if failure is None:
                    continue
            self._take_chunk(chunk, made.get(chunk.name), failure)

    def _give_back(self, chunks: Iterable[Waiting]) -> None:
        for waiting in chunks:
            self._backlog.put(waiting)

    def _rerouted(
        self, waiting: Waiting, failure: ClippingError, routes: Routes
    ) -> ClippingError | None:
        """Give a chunk that NVENC did not make to whoever may; its failure if nobody may."""
        kind, node = failure.kind, failure.node
        if kind is FailureKind.OUT_OF_SESSIONS:
            now, pause = time.monotonic(), self.settings.retry_delay_s
            self._gpu_rests_until = now + pause  # others would be refused now as well
            again = replace(waiting, refusals=waiting.refusals + 1)
            if waiting.refusals >= _REFUSALS:
                return self._leave_gpu(waiting, failure, routes)
            if routes.shares_work:
                self._backlog.put(again)
            else:
                delay = min(_LONGEST_WAIT, pause * 2**waiting.refusals)
                self._aside.append((now + delay, again))
            return None
        if kind.is_nodes_own and node is not None:
            routes.exclude(node, failure.message)
            self._backlog.put(waiting)  # for another node, or for the CPUs
            return None
        if kind is FailureKind.UNSUPPORTED and node is not None:
            avoid = waiting.avoid | {node}
            if not self._takes(routes, avoid):
                return self._leave_gpu(waiting, failure, routes)
            self._backlog.put(replace(waiting, avoid=avoid))
            return None
        return failure

    def _leave_gpu(
        self, waiting: Waiting, failure: ClippingError, routes: Routes
    ) -> ClippingError | None:
        """Leave a chunk to the CPUs; the failure, with its node, if they may not encode."""
        if routes.cpu() is None:
            tries = f", asked {waiting.refusals + 1} times" if waiting.refusals else ""
            where = f"{failure.message} (on {routes.host(failure.node)}{tries})"
            return ClippingError(where, failure.kind)
        get_run_logger().warning(
            "%s: the CPU makes it, since NVENC does not: %s", waiting.chunk.name, failure.message
        )
        self._cpu_only.put(waiting)
        return None

    def _look_after(self, window: Window, routes: Routes, *, crashed: bool) -> None:
        """Notice nodes that came and went, and chunks that nobody will take any more."""
        if routes.look_again(now=crashed):
            room = routes.cpu()
            idle = room is not None and self._in_lane[False] + self._probes_flying < room.slots
            window.withdraw(lambda r: not routes.is_served(r, others_are_idle=idle))
        no_gpu, no_cpu, no_probe = not routes.has_gpu, not routes.has_cpu, not routes.has_probe
        held = bool(self._backlog or self._in_lane[True])
        stuck = held and no_gpu and (no_cpu or not routes.shares_work)
        stuck |= bool(self._cpu_only) and no_cpu
        stuck |= bool(self._unprobed or self._probes_flying) and no_probe
        self.snapshot.waiting_for = routes.wanted() if stuck else ""
        reason = routes.stranded(stuck=stuck)
        if reason is not None:
            window.withdraw(lambda r: not routes.is_served(r))
            self._give_up(reason, probes_too=no_probe)

    def _give_up(self, reason: str, *, probes_too: bool) -> None:
        """Fail what waits for a node that does not come."""
        failure = ClippingError(reason, FailureKind.NO_DEVICE)
        for backlog in (self._backlog, self._cpu_only):
            while backlog:
                for waiting in backlog.take(1, more_to_come=False):
                    self._take_chunk(waiting.chunk, None, failure)
        for _, waiting in self._aside:
            self._take_chunk(waiting.chunk, None, failure)
        self._aside.clear()
        while probes_too and self._unprobed:
            for file in self._unprobed.popleft().files:
                self.snapshot.videos_probed += 1
                self._fail_source(file, Failure(kind=failure.kind, message=reason))

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


def _refused_everywhere() -> ClippingError:
    text = "the encoder of every GPU that is left refuses its picture"
    return ClippingError(text, FailureKind.UNSUPPORTED)


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
