"""The Prefect tasks, as Ray's workers import them: without what only the flow needs."""

from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.logging import get_run_logger
from prefect.runtime import task_run

from clipping.cluster.progress_store import ProgressStore, Reporter
from clipping.config.execution import Execution
from clipping.config.recipe import Recipe
from clipping.errors import BundleError, ClippingError, FailureKind
from clipping.models import Chunk, ChunkRecord, ProbedSource, SourceFile
from clipping.orchestration.logging import without_known_failures
from clipping.orchestration.worker import task_log, whereabouts
from clipping.run.chunk import make_chunk, make_each, probe_file
from clipping.storage.outputs import open_output, require_mounted

__all__ = ["can_pass", "probe_sources", "transcode_chunks"]

without_known_failures()


def can_pass(_task: Any, _run: TaskRun, state: State[Any]) -> bool:
    """Whether a failed task is worth another try: a full disk may clear, a bad file does not."""
    error = state.result(raise_on_failure=False)
    if isinstance(error, BundleError):
        return any(_is_tried_here(e) for e in error.failures.values())
    return _is_tried_here(error)


def _is_tried_here(error: Any) -> bool:
    if not isinstance(error, ClippingError):
        return isinstance(error, OSError)
    # A retry would sleep with its share of the GPU held: the flow submits such a chunk again.
    return error.kind.is_transient and error.kind is not FailureKind.OUT_OF_SESSIONS


@task(name="probe sources", cache_policy=NO_CACHE, retry_condition_fn=can_pass)
def probe_sources(files: list[SourceFile], execution: Execution) -> list[ProbedSource]:
    """Open videos and read the time of every frame. Reads each file once; takes one CPU."""
    return [probe_file(file, execution) for file in files]


@task(name="transcode chunks", cache_policy=NO_CACHE, retry_condition_fn=can_pass)
def transcode_chunks(
    chunks: list[Chunk],
    recipe: Recipe,
    execution: Execution,
    output: str,
    encoder: str,
    cpus: int,
    board: str,
    there: dict[str, int] | None,
) -> list[ChunkRecord]:
    """Encode, cut, verify and publish the clips of a long chunk, or of several short ones.

    Takes `cpus` CPUs, and a share of a GPU if the encoder is there. A retry finds what was
    made before and keeps it.
    there: name to size of their clips that an earlier run published; None to look for them.
    """
    is_first = task_run.run_count in (None, 1)
    reporter = Reporter(ProgressStore(board), chunks[0].name)
    host, node = whereabouts()
    with task_log(execution) as log:

        def make(chunk: Chunk) -> ChunkRecord:
            try:
                require_mounted(output)
                return make_chunk(
                    chunk,
                    recipe,
                    execution,
                    open_output(output, execution.shard),
                    encoder=encoder,
                    cpus=cpus,
                    node=f"{host} {node}" if node else host,
                    there=there if is_first else None,
                    on_frames=reporter.chunk(),
                    note=get_run_logger().warning,
                    log=log,
                )
            except ClippingError as error:
                error.node = node
                raise

        return make_each(chunks, make)
