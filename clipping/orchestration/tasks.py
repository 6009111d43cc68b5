"""The Prefect tasks, as Ray's workers import them: without what only the flow needs."""

from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.logging import get_run_logger

from clipping.cluster.progress_store import ProgressStore, Reporter
from clipping.config.execution import Execution
from clipping.config.run_config import RunConfig
from clipping.errors import BundleError, ClippingError, FailureKind
from clipping.models import Chunk, ChunkRecord, ProbedSource, SourceFile
from clipping.orchestration.attempts import Attempted, attempt, telling_attempts
from clipping.orchestration.logging import task_log, whereabouts
from clipping.orchestration.task_page import tell_on_page
from clipping.run.chunk import make_chunk, make_each, probe_file
from clipping.run.shots import look_for_shots
from clipping.storage.outputs import open_output, require_mounted

__all__ = ["detect_shots", "is_retried", "probe_sources", "transcode_chunks"]


def is_retried(_task: Any, _run: TaskRun, state: State[Any]) -> bool:
    """Whether a failed task is worth a retry: a full disk may clear, a bad file does not."""
    error = state.result(raise_on_failure=False)
    if isinstance(error, BundleError):
        return any(_is_retried_here(e) for e in error.failures.values())
    return _is_retried_here(error)


def _is_retried_here(error: Any) -> bool:
    if not isinstance(error, ClippingError):
        return isinstance(error, OSError)
    # A retry would sleep with its share of the GPU held: the flow submits such a chunk again.
    return error.kind.is_transient and error.kind is not FailureKind.OUT_OF_SESSIONS


# Each takes its run's `name`: who submits it knows what it is and why it is done again.
_options: Any = {
    "task_run_name": "{name}",
    "cache_policy": NO_CACHE,
    "retry_condition_fn": is_retried,
}


@task(name="probe sources", **_options)
def probe_sources(files: list[SourceFile], execution: Execution, name: str) -> Attempted:
    """Open videos and read the time of every frame. Reads each file once; takes one CPU."""
    host, _ = whereabouts()
    with task_log(execution, name), telling_attempts():
        tell_on_page(name, attempt(), tags=[host])
        return Attempted([probe_file(file, execution) for file in files], attempt())


@task(name="detect shots", **_options)
def detect_shots(probed: ProbedSource, config: RunConfig, name: str) -> Attempted:
    """Find where the shots of a video begin, by decoding it once; takes one CPU.

    What an earlier run found with the same settings is taken from the output.
    """
    host, _ = whereabouts()
    with task_log(config.execution, name), telling_attempts():
        tell_on_page(name, attempt(), tags=[host])
        output = open_output(config.output, config.execution.shard)
        return Attempted([look_for_shots(probed, config, output)], attempt())


@task(name="transcode chunks", **_options)
def transcode_chunks(
    chunks: list[Chunk],
    config: RunConfig,
    encoder: str,
    cpus: int,
    progress: str,
    existing_sizes: dict[str, int] | None,
    name: str,
) -> Attempted:
    """Encode, cut, verify and publish the clips of a long chunk, or of several short ones.

    Takes `cpus` CPUs, and a share of a GPU if the encoder is there. A retry finds what was
    made before and keeps it.
    progress: the id under which the run's progress is stored. existing_sizes: name to size of
    their clips that an earlier run published; None to look for them.
    """
    reporter = Reporter(ProgressStore(progress), chunks[0].name)
    host, node = whereabouts()
    with task_log(config.execution, name) as log, telling_attempts():
        tell_on_page(name, attempt(), tags=[encoder, host])

        def make(chunk: Chunk) -> ChunkRecord:
            try:
                require_mounted(config.output)
                return make_chunk(
                    chunk,
                    config,
                    open_output(config.output, config.execution.shard),
                    encoder=encoder,
                    cpus=cpus,
                    node=f"{host} {node}" if node else host,
                    existing_sizes=existing_sizes if attempt() == 1 else None,
                    on_frames=reporter.chunk(),
                    note=get_run_logger().warning,
                    log=log,
                )
            except ClippingError as error:
                error.node = node
                raise

        return Attempted(make_each(chunks, make), attempt())
