"""What one run has its cluster do: videos to open and chunks to make, until none is left.

A window of task runs is in flight; sources are opened as fast as chunks are used up, so that
nothing here grows with their number. What comes back is counted, made again (its worker died)
or sent elsewhere (NVENC did not take it).
"""

import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from prefect import Task
from prefect.logging import get_run_logger

from clipping.cluster.chunk_queue import Backlog, Waiting
from clipping.cluster.placement import Placement
from clipping.cluster.progress_store import ProgressStore
from clipping.cluster.routing import Routes
from clipping.config.load import Settings
from clipping.errors import BundleError, ClippingError, FailureKind
from clipping.models import Chunk, ChunkRecord, Failure, ProbedSource, SourceFile
from clipping.orchestration.artifacts import ProgressArtifact
from clipping.orchestration.task_window import Done, Window
from clipping.run.progress import Snapshot, view
from clipping.run.tracker import Tracker

__all__ = ["Scheduler"]

_PROBE_BATCH = 8
# Task runs that wait in Ray, so that no worker waits for the driver.
_SUBMITTED_AHEAD = 2
# An encoder session that was refused is asked for again so often, after growing waits.
_REFUSALS = 8
_LONGEST_WAIT = 60.0
_SHOWN_EVERY = 0.4


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
class Scheduler:
    """The work of one run on its cluster; `work_off` does all of it.

    probe_task and chunk_task: what is submitted; routes: who may take it; window: what is
    in flight; board: how far that is; progress: what Prefect shows of it.
    """

    settings: Settings
    probe_task: Task[Any, Any]
    chunk_task: Task[Any, Any]
    ledger: Tracker
    routes: Routes
    window: Window
    board: ProgressStore
    snapshot: Snapshot
    progress: ProgressArtifact
    _unprobed: deque[_Unopened] = field(default_factory=deque[_Unopened])
    _backlog: Backlog = field(default_factory=Backlog)
    _cpu_only: Backlog = field(default_factory=Backlog)  # what NVENC cannot make
    _aside: list[tuple[float, Waiting]] = field(default_factory=list[tuple[float, Waiting]])
    _gpu_rests_until: float = 0.0
    _in_lane: dict[bool, int] = field(default_factory=lambda: {True: 0, False: 0})
    _frames_done: float = 0.0
    _shown: float = 0.0
    _probes_flying: int = 0
    _flying: dict[str, float] = field(default_factory=dict[str, float])  # bundle to its work

    def work_off(self, files: Sequence[SourceFile]) -> None:
        """Open all of `files` and make their chunks."""
        self._unprobed.extend(
            _Unopened(list(files[i : i + _PROBE_BATCH])) for i in range(0, len(files), _PROBE_BATCH)
        )
        while self._has_work or len(self.window):
            self._fill()
            done = self.window.next(timeout=0.5)
            if done is not None:
                self._take(done)
            self._look_after(crashed=done is not None and bool(done.crash))
            self._show()
        self.progress.close()

    @property
    def _has_work(self) -> bool:
        return bool(self._unprobed or self._backlog or self._cpu_only or self._aside)

    # Submitting

    def _fill(self) -> None:
        """Submit until enough is in flight: open videos while few chunks wait, else chunks."""
        now = time.monotonic()
        for at, waiting in [x for x in self._aside if x[0] <= now]:
            self._aside.remove((at, waiting))
            self._backlog.put(waiting)
        rests = now < self._gpu_rests_until
        gpu, cpu = self.routes.gpu(), self.routes.cpu(beside_gpu=not rests)
        shares = self.routes.shares_work
        slots = max(1, (gpu.slots if gpu else 0) + (cpu.slots if cpu and shares else 0))
        self._fill_probes(slots)
        # Of two lanes neither has chunks wait in it: the other might be idle for want of them,
        # and a CPU chunk too many would take an NVENC chunk's CPU.
        ahead = 0 if gpu is not None and gpu.slots and shares else _SUBMITTED_AHEAD
        if gpu is not None and gpu.slots and not rests:
            self._fill_lane(gpu, gpu.slots + ahead, slots)
        if cpu is not None:
            self._fill_lane(cpu, cpu.slots + ahead, slots)
        if gpu is not None and not gpu.slots:
            self._fill_lane(gpu, self.routes.coming(), slots)

    def _fill_probes(self, slots: int) -> None:
        while (
            self._unprobed
            and self._backlog.is_short(slots)
            and self._probes_flying < slots
            and len(self.window) < slots + _SUBMITTED_AHEAD
            and self.routes.is_served(self.routes.probe())
        ):
            self._submit_probe(self._unprobed.popleft())

    def _fill_lane(self, lane: Placement, most: int, slots: int) -> None:
        """Submit to a lane until `most` of its task runs are in flight."""
        on_gpu = lane.request.gpus > 0
        while True:
            backlog, room = self._backlog, most
            if not on_gpu and self._cpu_only:
                backlog, room = self._cpu_only, max(most, 1)
            elif not on_gpu and not self.routes.shares_work:
                return
            taken = self._in_lane[on_gpu] + (0 if on_gpu else self._probes_flying)
            if not backlog or taken >= room:
                return
            more = bool(self._unprobed or self._probes_flying)
            chunks = backlog.take(slots, more_to_come=more)
            avoid = chunks[0].avoid
            if on_gpu and avoid and not self._takes(avoid):
                failure = self._leave_gpu(chunks[0], _refused_everywhere())
                if failure is not None:
                    self._count(chunks[0].chunk, None, failure)
                continue
            bundle = _Bundle(chunks, lane.encoder, on_gpu)
            self._submit_chunks(bundle, more_to_come=more)

    def _takes(self, avoid: frozenset[str]) -> bool:
        """Whether a live node's GPU may take a chunk that must avoid these nodes."""
        lane = self.routes.gpu(avoid)
        return lane is not None and lane.slots > 0

    def _submit_probe(self, unopened: _Unopened) -> None:
        self._probes_flying += 1
        self.window.submit(
            self.probe_task,
            unopened,
            self.routes.probe(),
            files=unopened.files,
            execution=self.settings.execution,
        )

    def _submit_chunks(self, bundle: _Bundle, *, more_to_come: bool) -> None:
        settings, chunks = self.settings, [w.chunk for w in bundle.chunks]
        work = sum(w.work for w in bundle.chunks)
        left = work + self._backlog.work + self._cpu_only.work + sum(self._flying.values())
        alone = len(bundle.chunks) == 1 and not more_to_come
        share = work / left if alone and left else 0.0
        lane = (
            self.routes.gpu(bundle.chunks[0].avoid)
            if bundle.on_gpu
            else self.routes.cpu(share, beside_gpu=True)
        )
        assert lane is not None
        self._flying[bundle.name] = work
        self._in_lane[bundle.on_gpu] += 1
        self.window.submit(
            self.chunk_task,
            bundle,
            lane.request,
            # An attempt that ended early may have published some: those have to be looked for.
            there=None if any(w.was_tried for w in bundle.chunks) else self.ledger.there(chunks),
            chunks=chunks,
            recipe=settings.recipe,
            execution=settings.execution,
            output=settings.output,
            encoder=bundle.encoder,
            cpus=lane.request.cpus,
            board=self.board.run,
        )

    # Taking back

    def _take(self, done: Done) -> None:
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
        self.board.drop(bundle.name)
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
                failure = self._rerouted(waiting, failure)
                if failure is None:
                    continue
            self._count(chunk, made.get(chunk.name), failure)

    def _give_back(self, chunks: Iterable[Waiting]) -> None:
        for waiting in chunks:
            self._backlog.put(waiting)

    def _rerouted(self, waiting: Waiting, failure: ClippingError) -> ClippingError | None:
        """Give a chunk that NVENC did not make to whoever may; its failure if nobody may."""
        kind, node = failure.kind, failure.node
        if kind is FailureKind.OUT_OF_SESSIONS:
            now, pause = time.monotonic(), self.settings.retry_delay_s
            self._gpu_rests_until = now + pause  # others would be refused now as well
            again = replace(waiting, refusals=waiting.refusals + 1)
            if waiting.refusals >= _REFUSALS:
                return self._leave_gpu(waiting, failure)
            if self.routes.shares_work:
                self._backlog.put(again)
            else:
                delay = min(_LONGEST_WAIT, pause * 2**waiting.refusals)
                self._aside.append((now + delay, again))
            return None
        if kind.is_nodes_own and node is not None:
            self.routes.exclude(node, failure.message)
            self._backlog.put(waiting)  # for another node, or for the CPUs
            return None
        if kind is FailureKind.UNSUPPORTED and node is not None:
            avoid = waiting.avoid | {node}
            if not self._takes(avoid):
                return self._leave_gpu(waiting, failure)
            self._backlog.put(replace(waiting, avoid=avoid))
            return None
        return failure

    def _leave_gpu(self, waiting: Waiting, failure: ClippingError) -> ClippingError | None:
        """Leave a chunk to the CPUs; the failure, with its node, if they may not encode."""
        if self.routes.cpu() is None:
            tries = f", asked {waiting.refusals + 1} times" if waiting.refusals else ""
            where = f"{failure.message} (on {self.routes.host(failure.node)}{tries})"
            return ClippingError(where, failure.kind)
        get_run_logger().warning(
            "%s: the CPU makes it, since NVENC does not: %s", waiting.chunk.name, failure.message
        )
        self._cpu_only.put(waiting)
        return None

    def _look_after(self, *, crashed: bool) -> None:
        """Notice nodes that came and went, and chunks that nobody will take any more."""
        if self.routes.look_again(now=crashed):
            room = self.routes.cpu()
            idle = room is not None and self._in_lane[False] + self._probes_flying < room.slots
            self.window.withdraw(lambda r: not self.routes.is_served(r, others_are_idle=idle))
        routes = self.routes
        no_gpu, no_cpu, no_probe = not routes.has_gpu, not routes.has_cpu, not routes.has_probe
        held = bool(self._backlog or self._in_lane[True])
        stuck = held and no_gpu and (no_cpu or not self.routes.shares_work)
        stuck |= bool(self._cpu_only) and no_cpu
        stuck |= bool(self._unprobed or self._probes_flying) and no_probe
        self.snapshot.waiting_for = self.routes.wanted() if stuck else ""
        reason = self.routes.stranded(stuck=stuck)
        if reason is not None:
            self.window.withdraw(lambda r: not self.routes.is_served(r))
            self._give_up(reason, probes_too=no_probe)

    def _give_up(self, reason: str, *, probes_too: bool) -> None:
        """Fail what waits for a node that does not come."""
        failure = ClippingError(reason, FailureKind.NO_DEVICE)
        for backlog in (self._backlog, self._cpu_only):
            while backlog:
                for waiting in backlog.take(1, more_to_come=False):
                    self._count(waiting.chunk, None, failure)
        for _, waiting in self._aside:
            self._count(waiting.chunk, None, failure)
        self._aside.clear()
        while probes_too and self._unprobed:
            for file in self._unprobed.popleft().files:
                self._note_opened([file])
                self.ledger.fail_source(file, Failure(kind=failure.kind, message=reason))

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
        self._note_opened(files)
        if failure is not None:
            self.ledger.fail_source(files[0], Failure(kind=failure.kind, message=failure.message))
            return
        probed: list[ProbedSource] = done.value or []
        for result in probed:
            if result.failure is not None:
                self.ledger.fail_source(result.file, result.failure)
            else:
                self._plan(result)

    def _plan(self, probed: ProbedSource) -> None:
        for waiting in self.ledger.plan(probed):
            self.snapshot.frames_known += _frames(waiting.chunk)
            self._backlog.put(waiting)

    def _count(
        self, chunk: Chunk, record: ChunkRecord | None, failure: ClippingError | None
    ) -> None:
        self._frames_done += _frames(chunk)
        self.ledger.take_chunk(chunk, record, failure)

    # Showing

    def _note_opened(self, files: Sequence[SourceFile]) -> None:
        self.snapshot.videos_opened += len(files)
        self.snapshot.bytes_opened += sum(file.size for file in files)

    def _show(self) -> None:
        now = time.monotonic()
        if now - self._shown < _SHOWN_EVERY:
            return
        self._shown = now
        snapshot, tally = self.snapshot, self.ledger.tally
        snapshot.planned, snapshot.done, snapshot.failed = (
            tally.planned,
            tally.written,
            tally.failed,
        )
        snapshot.clip_seconds = tally.made_seconds
        left = max(0, snapshot.frames_known - self._frames_done)
        snapshot.frames = self._frames_done + min(self.board.frames(self._flying), left)
        view().show(snapshot)
        self.progress.update(snapshot.share)


def _killed(times: int, words: str) -> ClippingError:
    return ClippingError(f"the worker died {times} times ({words})", FailureKind.KILLED)


def _refused_everywhere() -> ClippingError:
    text = "the encoder of every GPU that is left refuses its picture"
    return ClippingError(text, FailureKind.UNSUPPORTED)


def _frames(chunk: Chunk) -> int:
    return sum(clip.frame_count for clip in chunk.clips)
