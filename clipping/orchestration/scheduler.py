"""The loop of a run: asks the policy what to do, does it, and tells it what came of it."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from prefect import Task

from clipping.cluster.chunk_queue import Waiting
from clipping.cluster.decisions import (
    Action,
    Batch,
    Bundle,
    Count,
    Ended,
    FailSource,
    Make,
    Open,
    Plan,
    Planned,
    Surveyed,
    Tick,
    Withdraw,
)
from clipping.cluster.policy import Policy
from clipping.cluster.progress_store import ProgressStore
from clipping.cluster.ray_session import survey
from clipping.config.run_config import RunConfig
from clipping.media.methods.encode_once import work_of
from clipping.models import Chunk, SourceFile
from clipping.orchestration.artifacts import ProgressArtifact
from clipping.orchestration.task_window import Done, TaskWindow
from clipping.run.estimate import Estimate, effort
from clipping.run.names import name_of_chunks, name_of_detection, name_of_opening
from clipping.run.progress import Snapshot, View
from clipping.run.tracker import Tracker

__all__ = ["Scheduler", "Tasks"]

_POLL_SECONDS = 0.5
_SURVEY_EVERY = 3.0
_SHOWN_EVERY = 0.4


@dataclass(frozen=True, slots=True)
class Tasks:
    """The Prefect tasks of a run, with the retries that were asked for."""

    probe: Task[Any, Any]
    detect: Task[Any, Any]
    transcode: Task[Any, Any]


@dataclass
class Scheduler:
    """The work of one run on its cluster; `work_off` does all of it.

    tasks: what is submitted; policy: what to do next; window: what is in
    flight; store: how far that is; view and progress: where a person sees it, as `estimate` has it.
    """

    config: RunConfig
    tasks: Tasks
    tracker: Tracker
    policy: Policy
    window: TaskWindow
    store: ProgressStore
    snapshot: Snapshot
    view: View
    progress: ProgressArtifact
    estimate: Estimate
    _known: float = 0.0
    _done: float = 0.0
    _frames_done: int = 0
    # What is being made: by a bundle's name, its effort and its frames.
    _efforts: dict[str, tuple[float, int]] = field(default_factory=dict[str, tuple[float, int]])
    _shown: float = 0.0
    _surveyed: float = field(default_factory=time.monotonic)

    def work_off(self, files: Sequence[SourceFile]) -> None:
        """Open all of `files` and make their chunks."""
        self.policy.add(files)
        while not self.policy.is_done:
            self._carry_out(self.policy.decide(Tick(time.monotonic())))
            done = self.window.next(timeout=_POLL_SECONDS)
            if done is not None:
                self._take_back(done)
            self._survey(now=done is not None and bool(done.crash))
            self._show()
        self.progress.close()

    def _carry_out(self, actions: Sequence[Action]) -> None:
        for action in actions:
            match action:
                case Open():
                    self._open(action)
                case Make():
                    self._make(action)
                case Plan(probed):
                    waiting = self.tracker.plan(probed)
                    self._known += sum(_effort(w) for w in waiting)
                    self._carry_out(self.policy.decide(Planned(waiting)))
                case FailSource(file, failure, is_verdict):
                    self.tracker.fail_source(file, failure, is_verdict=is_verdict)
                case Count(chunk, record, failure):
                    self._done += effort(chunk, work_of(chunk))
                    self._frames_done += record.encoded_frames if record else 0
                    self.tracker.take_chunk(chunk, record, failure)
                case Withdraw(is_lost):
                    self.window.withdraw(is_lost)

    def _open(self, action: Open) -> None:
        if probed := action.batch.probed:
            self.window.submit(
                self.tasks.detect,
                action.batch,
                action.request,
                probed=probed,
                config=self.config.with_input(),
                name=name_of_detection(probed.file, crashes=action.batch.crashes),
            )
            return
        self.window.submit(
            self.tasks.probe,
            action.batch,
            action.request,
            files=list(action.batch.files),
            execution=self.config.execution,
            name=name_of_opening(action.batch.files, crashes=action.batch.crashes),
        )

    def _make(self, action: Make) -> None:
        bundle = action.bundle
        self._efforts[bundle.name] = (
            sum(_effort(waiting) for waiting in bundle.chunks),
            sum(_frames(waiting.chunk) for waiting in bundle.chunks),
        )
        chunks = [waiting.chunk for waiting in bundle.chunks]
        self.window.submit(
            self.tasks.transcode,
            bundle,
            action.request,
            chunks=chunks,
            config=self.config.with_input(),  # which may be long, and matters to no chunk
            encoder=bundle.encoder,
            cpus=action.request.cpus,
            progress=self.store.run,
            # An attempt that ended early may have published some: those have to be looked for.
            existing_sizes=None if action.was_tried else self.tracker.earlier.sizes_of(chunks),
            name=name_of_chunks(
                chunks,
                bundle.encoder,
                crashes=max(waiting.crashes for waiting in bundle.chunks),
                refusals=max(waiting.refusals for waiting in bundle.chunks),
                other_node=any(waiting.avoid for waiting in bundle.chunks),
            ),
        )

    def _take_back(self, done: Done) -> None:
        self.tracker.tally.retries += done.attempts - 1
        item: Batch | Bundle = done.item
        value: Any = done.value or ()
        if isinstance(item, Bundle):
            self.store.drop(item.name)
            self._efforts.pop(item.name, None)
        ended = Ended(
            item,
            now=time.monotonic(),
            opened=value if isinstance(item, Batch) else (),
            made=value if isinstance(item, Bundle) else (),
            failure=done.failure,
            crash=done.crash,
            withdrawn=done.withdrawn,
        )
        self._carry_out(self.policy.decide(ended))

    def _survey(self, *, now: bool) -> None:
        """Look at the cluster's nodes, if it is time."""
        if not now and time.monotonic() - self._surveyed < _SURVEY_EVERY:
            return
        self._surveyed = time.monotonic()
        self._carry_out(self.policy.decide(Surveyed(survey())))

    def _show(self) -> None:
        now = time.monotonic()
        if now - self._shown < _SHOWN_EVERY:
            return
        self._shown = now
        snapshot, tally, policy = self.snapshot, self.tracker.tally, self.policy
        done, frames = self._done, self._frames_done
        for name, encoded in self.store.frames(policy.in_progress).items():
            whole, of_frames = self._efforts.get(name, (0.0, 0))
            frames += encoded
            done += whole * min(1.0, encoded / of_frames) if of_frames else 0.0
        self.estimate.update(
            now,
            done=min(done, self._known),
            known=self._known,
            videos_opened=policy.videos_opened,
            bytes_opened=policy.bytes_opened,
        )
        snapshot.planned = tally.with_frames
        snapshot.done = tally.written
        snapshot.failed = tally.failed - tally.failed_before
        snapshot.videos_opened = policy.videos_opened
        snapshot.waiting_for = policy.waiting_for
        snapshot.frames = frames
        snapshot.share = self.estimate.share
        snapshot.seconds_left = self.estimate.seconds_left
        self.view.show(snapshot)
        self.progress.update(snapshot.share)


def _effort(waiting: Waiting) -> float:
    return effort(waiting.chunk, waiting.work)


def _frames(chunk: Chunk) -> int:
    return sum(clip.frame_count for clip in chunk.clips)
