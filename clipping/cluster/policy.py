"""What a run has its cluster do next: events in, actions out. Pure.

Sources are opened as fast as chunks are used up, so that nothing here grows with their number.
What comes back is counted, made again (its worker died) or sent elsewhere (the encoder on a GPU
did not take it). The scheduler carries the actions out; nothing here knows Ray, Prefect or a
clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from clipping.cluster.chunk_queue import ChunkQueue, Waiting
from clipping.cluster.decisions import (
    Action,
    Batch,
    Bundle,
    Count,
    Ended,
    Event,
    FailSource,
    Make,
    Open,
    Plan,
    Planned,
    Surveyed,
    Tick,
    Withdraw,
)
from clipping.cluster.placement import Placement
from clipping.cluster.resources import Cluster
from clipping.cluster.routing import Routes, Say
from clipping.config.run_config import RunConfig
from clipping.errors import BundleError, ClippingError, FailureKind
from clipping.models import Failure, SourceFile
from clipping.wording import count

__all__ = ["Policy"]

_PROBE_BATCH = 8
# Task runs that wait in Ray, so that no worker waits for the driver.
_SUBMITTED_AHEAD = 2
# An encoder session that was refused is asked for again so often, after growing waits.
_REFUSALS = 8
_LONGEST_WAIT = 60.0


@dataclass
class Policy:
    """The work of one run, and what is known of it.

    warn: takes lines for the run's log.
    """

    config: RunConfig
    routes: Routes
    warn: Say
    waiting_for: str = ""  # what keeps chunks waiting that should not have to, in words
    bytes_opened: int = 0
    videos_opened: int = 0
    _unopened: deque[Batch] = field(default_factory=deque[Batch])
    _queue: ChunkQueue = field(default_factory=ChunkQueue)
    _cpu_only: ChunkQueue = field(default_factory=ChunkQueue)  # what the GPUs cannot make
    _aside: list[tuple[float, Waiting]] = field(default_factory=list[tuple[float, Waiting]])
    _gpu_rests_until: float = float("-inf")
    _opening: int = 0
    _making: dict[str, Bundle] = field(default_factory=dict[str, Bundle])

    def add(self, files: Sequence[SourceFile]) -> None:
        """Take in sources to open."""
        for i in range(0, len(files), _PROBE_BATCH):
            self._unopened.append(Batch(tuple(files[i : i + _PROBE_BATCH])))

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do, and nothing is in flight."""
        left = self._unopened or self._queue or self._cpu_only or self._aside
        return not left and not self._opening and not self._making

    @property
    def in_progress(self) -> list[str]:
        """The names of the bundles that are being made."""
        return list(self._making)

    def decide(self, event: Event) -> list[Action]:
        """What is to be done now."""
        match event:
            case Tick():
                return [*self._look_after(event.now), *self._submissions(event.now)]
            case Planned():
                self._give_back(event.chunks)
                return []
            case Surveyed():
                return self._surveyed(event.cluster)
            case Ended():
                if isinstance(event.item, Batch):
                    return self._opened(event.item, event)
                return self._made(event.item, event)

    # What to submit

    def _submissions(self, now: float) -> list[Action]:
        """Submit until enough is in flight: open sources while few chunks wait, else chunks."""
        for at, waiting in [x for x in self._aside if x[0] <= now]:
            self._aside.remove((at, waiting))
            self._queue.put(waiting)
        rests = now < self._gpu_rests_until
        gpu, cpu = self.routes.gpu(), self.routes.cpu(beside_gpu=not rests)
        shares = self.routes.shares_work
        slots = max(1, (gpu.slots if gpu else 0) + (cpu.slots if cpu and shares else 0))
        actions: list[Action] = [*self._openings(slots)]
        # Of two placements neither has chunks wait for it: the other might be idle for want of
        # them, and a CPU chunk too many would take a GPU chunk's CPU.
        ahead = 0 if gpu is not None and gpu.slots and shares else _SUBMITTED_AHEAD
        if gpu is not None and gpu.slots and not rests:
            actions += self._fill(gpu, gpu.slots + ahead, slots)
        if cpu is not None:
            actions += self._fill(cpu, cpu.slots + ahead, slots)
        if gpu is not None and not gpu.slots:
            actions += self._fill(gpu, self.routes.coming(), slots)
        return actions

    def _openings(self, slots: int) -> list[Action]:
        actions: list[Action] = []
        while (
            self._unopened
            and self._queue.is_short(slots)
            and self._opening < slots
            and self._opening + len(self._making) < slots + _SUBMITTED_AHEAD
            and self.routes.is_served(self.routes.probe())
        ):
            self._opening += 1
            actions.append(Open(self._unopened.popleft(), self.routes.probe()))
        return actions

    def _fill(self, placement: Placement, most: int, slots: int) -> list[Action]:
        """Submit to a placement until `most` of its tasks are in flight."""
        on_gpu = placement.request.gpus > 0
        actions: list[Action] = []
        while True:
            queue, room = self._queue, most
            if not on_gpu and self._cpu_only:
                queue, room = self._cpu_only, max(most, 1)
            elif not on_gpu and not self.routes.shares_work:
                return actions
            taken = self._count_making(on_gpu=on_gpu) + (0 if on_gpu else self._opening)
            if not queue or taken >= room:
                return actions
            more = bool(self._unopened or self._opening)
            chunks = queue.take(slots, more_to_come=more)
            avoid = chunks[0].avoid
            if on_gpu and avoid and not self._takes(avoid):
                actions += self._leave_gpu(chunks[0], _refused_everywhere())
                continue
            bundle = Bundle(chunks, placement.encoder, on_gpu)
            actions.append(self._make(bundle, more_to_come=more))

    def _count_making(self, *, on_gpu: bool) -> int:
        return sum(bundle.on_gpu is on_gpu for bundle in self._making.values())

    def _takes(self, avoid: frozenset[str]) -> bool:
        """Whether a live node's GPU may take a chunk that must avoid these nodes."""
        placement = self.routes.gpu(avoid)
        return placement is not None and placement.slots > 0

    def _make(self, bundle: Bundle, *, more_to_come: bool) -> Make:
        in_flight = sum(each.work for each in self._making.values())
        left = bundle.work + self._queue.work + self._cpu_only.work + in_flight
        alone = len(bundle.chunks) == 1 and not more_to_come
        share = bundle.work / left if alone and left else 0.0
        placement = (
            self.routes.gpu(bundle.chunks[0].avoid)
            if bundle.on_gpu
            else self.routes.cpu(share, bundle.chunks[0].cpus, beside_gpu=True)
        )
        assert placement is not None
        self._making[bundle.name] = bundle
        return Make(bundle, placement.request, any(w.was_tried for w in bundle.chunks))

    # What came back

    def _made(self, bundle: Bundle, ended: Ended) -> list[Action]:
        del self._making[bundle.name]
        if ended.withdrawn:
            self._give_back(bundle.chunks)
            return []
        if ended.crash and self._is_retried(bundle.chunks[0].crashes, ended.crash):
            self._give_back(replace(w, crashes=w.crashes + 1) for w in bundle.chunks)
            return []
        made = {record.name: record for record in ended.made}
        actions: list[Action] = []
        for waiting in bundle.chunks:
            chunk = waiting.chunk
            failure = ended.failure
            if isinstance(failure, BundleError):
                failure = failure.failures.get(chunk.name)
            if ended.crash:
                failure = _killed("made", waiting.crashes + 1, ended.crash)
            if failure is not None and bundle.on_gpu:
                actions += self._rerouted(waiting, failure, ended.now)
            else:
                actions.append(Count(chunk, made.get(chunk.name), failure))
        return actions

    def _give_back(self, chunks: Iterable[Waiting]) -> None:
        for waiting in chunks:
            self._queue.put(waiting)

    def _rerouted(self, waiting: Waiting, failure: ClippingError, now: float) -> list[Action]:
        """Give a chunk that a GPU did not make to whoever may; count it if nobody may."""
        kind, node = failure.kind, failure.node
        if kind is FailureKind.OUT_OF_SESSIONS:
            pause = self.config.execution.retry_delay_s
            self._gpu_rests_until = now + pause  # others would be refused now as well
            again = replace(waiting, refusals=waiting.refusals + 1)
            if waiting.refusals >= _REFUSALS:
                return self._leave_gpu(waiting, failure)
            if self.routes.shares_work:
                self._queue.put(again)
            else:
                delay = min(_LONGEST_WAIT, pause * 2**waiting.refusals)
                self._aside.append((now + delay, again))
            return []
        if kind.is_nodes_own and node is not None:
            self.routes.exclude(node, failure.message)
            self._queue.put(waiting)  # for another node, or for the CPUs
            return []
        if kind is FailureKind.UNSUPPORTED and node is not None:
            avoid = waiting.avoid | {node}
            if not self._takes(avoid):
                return self._leave_gpu(waiting, failure)
            self._queue.put(replace(waiting, avoid=avoid))
            return []
        return [Count(waiting.chunk, None, failure)]

    def _leave_gpu(self, waiting: Waiting, failure: ClippingError) -> list[Action]:
        """Leave a chunk to the CPUs; count it as failed, with its node, if they may not encode."""
        if self.routes.cpu() is None:
            tries = f", asked {waiting.refusals + 1} times" if waiting.refusals else ""
            where = f"{failure.message} (on {self.routes.host(failure.node)}{tries})"
            return [Count(waiting.chunk, None, ClippingError(where, failure.kind))]
        self.warn(
            f"{waiting.chunk.name}: the CPU makes it, since the GPU does not: {failure.message}"
        )
        self._cpu_only.put(waiting)
        return []

    def _is_retried(self, crashes: int, words: str) -> bool:
        if crashes >= self.config.execution.crash_retries:
            return False
        self.warn(f"A worker died ({words}); its work is submitted again.")
        return True

    def _opened(self, batch: Batch, ended: Ended) -> list[Action]:
        self._opening -= 1
        if ended.withdrawn:
            self._unopened.appendleft(batch)
            return []
        files, crashes = batch.files, batch.crashes + bool(ended.crash)
        failure = ended.failure
        if ended.crash:
            if self._is_retried(batch.crashes, ended.crash):
                self._unopened.extendleft(Batch((file,), crashes, batch.probed) for file in files)
                return []
            failure = _killed("opened", crashes, ended.crash)
        if failure is not None and len(files) > 1:
            # One file took the others down with it; alone, each answers for itself.
            self._unopened.extendleft(Batch((file,), crashes) for file in files)
            return []
        if batch.probed is None:
            self._note_opened(files)
        if failure is not None:
            return [FailSource(file, Failure.of(failure)) for file in files]
        actions: list[Action] = []
        for probed in ended.opened:
            if probed.failure is not None:
                actions.append(FailSource(probed.file, probed.failure, is_verdict=True))
            elif self.config.recipe.scene_rule and batch.probed is None:
                self._unopened.appendleft(Batch((probed.file,), probed=probed))
            else:
                actions.append(Plan(probed))
        return actions

    def _note_opened(self, files: Sequence[SourceFile]) -> None:
        self.videos_opened += len(files)
        self.bytes_opened += sum(file.size for file in files)

    # Nodes that come and go

    def _surveyed(self, cluster: Cluster) -> list[Action]:
        self.routes.update(cluster)
        room = self.routes.cpu()
        busy = self._count_making(on_gpu=False) + self._opening
        idle = room is not None and busy < room.slots
        return [Withdraw(lambda r: not self.routes.is_served(r, others_are_idle=idle))]

    def _look_after(self, now: float) -> list[Action]:
        """Notice chunks that nobody will take any more."""
        routes = self.routes
        no_gpu, no_cpu, no_probe = not routes.has_gpu, not routes.has_cpu, not routes.has_probe
        held = bool(self._queue) or self._count_making(on_gpu=True) > 0
        stuck = held and no_gpu and (no_cpu or not routes.shares_work)
        stuck |= bool(self._cpu_only) and no_cpu
        stuck |= bool(self._unopened or self._opening) and no_probe
        self.waiting_for = routes.wanted() if stuck else ""
        reason = routes.stranded(now, stuck=stuck)
        if reason is None:
            return []
        return [
            Withdraw(lambda r: not routes.is_served(r)),
            *self._given_up(reason, probes_too=no_probe),
        ]

    def _given_up(self, reason: str, *, probes_too: bool) -> list[Action]:
        """Fail what waits for a node that does not come."""
        error = ClippingError(reason, FailureKind.NO_DEVICE)
        actions: list[Action] = []
        for queue in (self._queue, self._cpu_only):
            while queue:
                taken = queue.take(1, more_to_come=False)
                actions += [Count(waiting.chunk, None, error) for waiting in taken]
        actions += [Count(waiting.chunk, None, error) for _, waiting in self._aside]
        self._aside.clear()
        while probes_too and self._unopened:
            batch = self._unopened.popleft()
            files = batch.files
            if batch.probed is None:
                self._note_opened(files)
            actions += [FailSource(file, Failure.of(error)) for file in files]
        return actions


def _killed(verb: str, times: int, words: str) -> ClippingError:
    message = f"the worker that {verb} it died {count(times, 'time')}: {words}"
    return ClippingError(message, FailureKind.KILLED)


def _refused_everywhere() -> ClippingError:
    text = "the encoder of every GPU that is left refuses its picture"
    return ClippingError(text, FailureKind.UNSUPPORTED)
