"""Cut videos into fixed-stride clips and transcode each to a standard MP4.

python flows/clip_flow.py --input VIDEOS --output clips/
"""

if __name__ != "flows.clip_flow":
    # As a script, and for Prefect, which loads `flows/clip_flow.py:clip_flow` under a name of
    # its own, this file is only a door. The tasks live in one module, the importable
    # `flows.clip_flow` beside this file, and Ray's workers find them by that name and path.
    import os
    import sys
    from pathlib import Path

    root = str(Path(__file__).resolve().parent.parent)
    sys.path.insert(0, root)
    inherited = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([root, inherited] if inherited else [root])

    if __name__ == "__main__":
        # First of all, so that a mistyped flag is answered before Prefect is imported.
        from flows.cli import main

        raise SystemExit(main())

from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.logging import get_run_logger
from prefect.runtime import task_run
from prefect.states import Completed, Failed

from clipping.chunk_work import ffmpeg_path, ffmpeg_version, make_chunk, make_each, probe_file
from clipping.closing import about, closing_lines, verdict
from clipping.errors import BundleError, ClippingError, FailureKind
from clipping.models import Chunk, ChunkRecord, ProbedSource, SourceFile
from clipping.outputs import open_output, require_seen
from clipping.settings import Execution, Recipe, Settings, resolve
from flows.artifacts import publish_artifacts
from flows.campaign import Campaign
from flows.progress import view
from flows.run_log import without_known_failures
from flows.submitting import ConnectedRayTaskRunner
from flows.worker import frame_reporter, task_log, whereabouts

__all__ = ["clip_flow", "probe_sources", "transcode_chunks"]

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
    return error.kind.passes and error.kind is not FailureKind.OUT_OF_SESSIONS


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
    host, node = whereabouts()
    with task_log(execution) as log:

        def make(chunk: Chunk) -> ChunkRecord:
            try:
                require_seen(output)
                return make_chunk(
                    chunk,
                    recipe,
                    execution,
                    open_output(output, execution.shard),
                    encoder=encoder,
                    cpus=cpus,
                    node=f"{host} {node}" if node else host,
                    there=there if is_first else None,
                    on_frames=frame_reporter(board, chunk),
                    note=get_run_logger().warning,
                    log=log,
                )
            except ClippingError as error:
                error.node = node
                raise

        return make_each(chunks, make)


@flow(
    name="clip-videos",
    description="Cut videos into fixed-stride clips and transcode each to a standard MP4.",
    task_runner=ConnectedRayTaskRunner(),
    validate_parameters=True,
)
def clip_flow(
    input: list[str],
    output: str = "clips",
    recipe: Recipe = Recipe(),  # noqa: B008  Prefect shows the default in its form
    execution: Execution = Execution(),  # noqa: B008
) -> State[Any]:
    """Clip every video that `input` names into the folder `output`.

    Args:
        input: Videos, folders (searched recursively), globs, or lists of files (.txt, .csv,
            .jsonl, .parquet); s3://, gs:// and az:// prefixes and objects, https:// files.
        output: The folder for clips and records, or an s3://, gs:// or az:// prefix.
        recipe: What decides the content of the clips.
        execution: What decides where and how the work is done.

    """
    try:
        settings = resolve(recipe, execution, input=input, output=output)
        campaign = Campaign(settings, *_tuned(settings))
        tally = campaign.run()
    except ClippingError as error:
        # Its message says all there is to say; raised, it would be logged with a traceback.
        return Failed(message=error.message, data=error)
    version = ffmpeg_version(ffmpeg_path(settings.execution))
    publish_artifacts(tally, settings, about(settings, version))
    failed, lines = verdict(tally, settings), closing_lines(tally, settings)
    view().say([*lines, f"Failed: {failed}"] if failed else lines)
    return Failed(message=failed) if failed else Completed(message=lines[0])


def _tuned(settings: Settings) -> tuple[Any, Any]:
    """The two tasks with the retries that the settings ask for, backing off exponentially."""
    delays = [settings.retry_delay_s * 2**i for i in range(settings.retries)]
    options: dict[str, Any] = {
        "retries": settings.retries,
        "retry_condition_fn": can_pass,
    }
    if delays:
        options |= {"retry_delay_seconds": delays, "retry_jitter_factor": 0.2}
    return probe_sources.with_options(**options), transcode_chunks.with_options(**options)


if __name__ != "flows.clip_flow":
    # What Prefect is to take from the door.
    from flows.clip_flow import clip_flow
