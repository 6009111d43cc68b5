"""One flow run: find the videos, skip what is done, have the rest made, count."""

import time
import uuid
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from prefect import Task

from clipping.cluster.encoder_survey import require_here
from clipping.cluster.placement import tags
from clipping.cluster.progress_store import ProgressStore
from clipping.cluster.ray_session import connected
from clipping.cluster.routing import Routes
from clipping.config.load import Settings
from clipping.dataset.manifest import Manifest
from clipping.ffmpeg.binary import ffmpeg_path, ffmpeg_version
from clipping.models import SourceFile
from clipping.orchestration import WORKER_MODULES
from clipping.orchestration.artifacts import ProgressArtifact
from clipping.orchestration.scheduler import Scheduler
from clipping.orchestration.task_window import Window
from clipping.plan.shards import manifest_name
from clipping.run.progress import Snapshot, view
from clipping.run.tally import Tally
from clipping.run.tracker import Tracker
from clipping.storage.discover import find_sources
from clipping.storage.outputs import Output, open_output

__all__ = ["ClipRun"]


@dataclass
class ClipRun:
    """One run over a set of inputs; `run` does it all."""

    settings: Settings
    probe_task: Task[Any, Any]
    chunk_task: Task[Any, Any]
    tally: Tally = field(default_factory=Tally)

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
            sizes = self.output.sizes("clips")
            with Manifest(self.output, manifest_name(settings.shard)) as manifest:
                ledger = Tracker(settings, self.output, self.tally, manifest, sizes)
                waiting = ledger.sort_out(found)
                if waiting:
                    # Known before anything is spent: no ffmpeg, no encoder, no node that fits.
                    ffmpeg_version(ffmpeg_path(settings.execution))
                    require_here(settings)
                    self._work_off(waiting, ledger)
                manifest.publish()
        self.tally.seconds = time.monotonic() - self.tally.began
        return self.tally

    def _work_off(self, waiting: list[SourceFile], ledger: Tracker) -> None:
        settings = self.settings
        snapshot = Snapshot(videos=len(waiting), bytes=sum(file.size for file in waiting))
        view().show(snapshot)
        with connected(
            settings.ray_address,
            tags=tags(settings),
            verbose=settings.talks,
            preload=WORKER_MODULES,
        ) as cluster:
            routes = Routes(settings, cluster)
            routes.check()
            self.tally.cluster_notes = routes.notes()
            window, board = Window(), ProgressStore(uuid.uuid4().hex)
            dispatch = Scheduler(
                *(settings, self.probe_task, self.chunk_task, ledger),
                *(routes, window, board, snapshot, ProgressArtifact()),
            )
            snapshot.began = time.monotonic()
            dispatch.work_off(waiting)
            self.tally.cluster_notes = routes.notes()
            self.tally.crashes = window.crashes
