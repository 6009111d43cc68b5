"""The Prefect flow: settings, run, artifacts, verdict."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from clipping.config.execution import Execution
from clipping.config.load import Settings, resolve
from clipping.config.recipe import Recipe
from clipping.errors import ClippingError
from clipping.ffmpeg.binary import ffmpeg_path, ffmpeg_version
from clipping.orchestration.artifacts import publish_artifacts
from clipping.orchestration.run import ClipRun
from clipping.orchestration.task_window import ConnectedRayTaskRunner
from clipping.orchestration.tasks import can_pass, probe_sources, transcode_chunks
from clipping.run.progress import view
from clipping.run.summary import about, closing_lines, verdict

__all__ = ["clip_flow", "probe_sources", "transcode_chunks"]


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
        campaign = ClipRun(settings, *_tuned(settings))
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
