"""One flow run: find the videos, skip what is done, have the rest made, count."""

import time
import uuid
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial

from prefect.logging import get_run_logger
from prefect.runtime import flow_run

from clipping.cluster.encoder_survey import require_here, try_kinds
from clipping.cluster.placement import resource_tags
from clipping.cluster.policy import Policy
from clipping.cluster.progress_store import ProgressStore
from clipping.cluster.ray_session import connected, watched
from clipping.cluster.routing import Routes
from clipping.config.run_config import RunConfig
from clipping.dataset.coverage import Coverage
from clipping.dataset.layout import run_name
from clipping.ffmpeg.binary import ffmpeg_path, ffmpeg_version
from clipping.models import SourceFile
from clipping.orchestration import WORKER_MODULES
from clipping.orchestration.announcements import FailuresTold
from clipping.orchestration.artifacts import ProgressArtifact
from clipping.orchestration.crashed_runs import (
    end_without_ray,
    known_to_the_next,
    tell_of_a_dead_run,
)
from clipping.orchestration.local_server import shared_with_workers
from clipping.orchestration.scheduler import Scheduler, Tasks
from clipping.orchestration.task_window import TaskWindow
from clipping.run.estimate import Estimate
from clipping.run.preparation import prepared
from clipping.run.progress import Snapshot, View
from clipping.run.report import LiveReport, report_run
from clipping.run.run_log import RunLog
from clipping.run.summary import verdict
from clipping.run.tally import Tally
from clipping.run.tracker import Tracker
from clipping.storage.outputs import open_output

__all__ = ["ClipRun"]


@dataclass
class ClipRun:
    """One run over a set of inputs; `run` does it all.

    view: where progress is shown; log: what is kept of it in the output. had_work: whether there
    were videos to open.
    """

    config: RunConfig
    tasks: Tasks
    view: View
    log: RunLog
    tally: Tally = field(default_factory=Tally)
    had_work: bool = False

    def run(self) -> None:
        """Do it. Raises UsageError for settings that cannot work, before anything is done.

        Any other ClippingError ends the run early: a disk that is full, say. The tally then holds
        what was done by then.
        """
        self.tally.on_failure = FailuresTold(self.config).tell
        try:
            self._run()
        except BaseException as error:  # Ctrl-C as well
            self.log.add(f"Ended early: {str(error) or type(error).__name__}")
            self.log.write(open_output(self.config.output))
            raise
        finally:
            self.tally.seconds = time.monotonic() - self.tally.began

    def _run(self) -> None:
        execution = self.config.execution
        with prepared(self.config) as work:
            assert work.earlier.tables is not None
            output, name = work.earlier.output, run_name(execution.shard)
            tell_of_a_dead_run(output, name)
            with (
                ExitStack() as stack,
                Coverage(work.earlier.tables, work.earlier.recipe_digest) as manifest,
            ):
                tracker = Tracker(self.config, work.earlier, self.tally, manifest, work.spans)
                waiting = tracker.sort_out(work.found)
                self.had_work = bool(waiting)
                if waiting:
                    stack.enter_context(known_to_the_next(output, name))
                    # Known before anything is spent: no ffmpeg, no encoder, no node that fits.
                    ffmpeg_version(ffmpeg_path(execution.ffmpeg_binary))
                    require_here(self.config)
                    with LiveReport(self.view, output, self.tally, self.config, self.log) as view:
                        self._work_off(waiting, tracker, view)
                self.tally.holding = manifest.publish(
                    [file.uri for file in work.found.sources],
                    self.config.input,
                    prune=execution.prune and verdict(self.tally, self.config) is None,
                )
                self.tally.seconds = time.monotonic() - self.tally.began
                report_run(manifest, self.tally, self.config)

    def _work_off(self, waiting: list[SourceFile], tracker: Tracker, view: View) -> None:
        config, log = self.config, get_run_logger()
        snapshot = Snapshot("joining Ray")
        view.show(snapshot)
        with (
            connected(
                config.execution.ray_address,
                tags=resource_tags(config),
                verbose=config.execution.shows_worker_output,
                preload=WORKER_MODULES,
            ) as cluster,
            watched(partial(end_without_ray, flow_run.get_id())),
            shared_with_workers(node.host for node in cluster.nodes),
        ):
            routes = Routes(config, cluster, log.warning, log.info)
            routes.check(try_kinds)
            self.tally.cluster_notes = routes.notes()
            window = TaskWindow()
            scheduler = Scheduler(
                config=config,
                tasks=self.tasks,
                tracker=tracker,
                policy=Policy(config, routes, log.warning),
                window=window,
                store=ProgressStore(uuid.uuid4().hex),
                snapshot=snapshot,
                view=view,
                progress=ProgressArtifact(),
                estimate=Estimate(len(waiting), sum(file.size for file in waiting)),
            )
            snapshot.phase, snapshot.videos = "opening videos", len(waiting)
            snapshot.began = time.monotonic()
            scheduler.work_off(waiting)
            self.tally.cluster_notes = routes.notes()
            self.tally.crashes = window.crashes
