"""Cut videos into fixed-stride clips and transcode each to a standard MP4.

python flows/clip_flow.py --input VIDEOS --output clips/
"""

if __name__ != "flows.clip_flow":
    # As a script, and for Prefect, which loads `flows/clip_flow.py:clip_flow` under a name of
    # its own, this file is only a door. The flow lives in the importable `flows.clip_flow`, the
    # tasks in `flows.tasks` beside it, and Ray's workers find them by that name and path.
    import os
    import sys
    from pathlib import Path

    root = str(Path(__file__).resolve().parent.parent)
    sys.path.insert(0, root)
    inherited = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([root, inherited] if inherited else [root])

    if __name__ == "__main__":
        # First of all, so that a mistyped flag is answered before Prefect is imported.
        try:
            from flows.cli import main
        except KeyboardInterrupt:
            raise SystemExit(130) from None
        raise SystemExit(main())

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from clipping.chunk_work import ffmpeg_path, ffmpeg_version
from clipping.closing import about, closing_lines, verdict
from clipping.errors import ClippingError
from clipping.settings import Execution, Recipe, Settings, resolve
from flows.artifacts import publish_artifacts
from flows.campaign import Campaign
from flows.progress import view
from flows.submitting import ConnectedRayTaskRunner
from flows.tasks import can_pass, probe_sources, transcode_chunks

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
