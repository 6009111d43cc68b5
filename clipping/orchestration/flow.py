"""The Prefect flow: configuration, run, artifacts, verdict."""

from contextlib import suppress
from typing import Annotated, Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.logging import get_run_logger
from prefect.runtime import deployment, flow_run
from prefect.states import Completed, Failed
from pydantic import BeforeValidator

from clipping.config.execution import LONGEST_RETRY_DELAY, Execution
from clipping.config.load import resolve
from clipping.config.recipe import Recipe
from clipping.config.run_config import RunConfig
from clipping.errors import ClippingError
from clipping.ffmpeg.binary import ffmpeg_path, ffmpeg_version
from clipping.orchestration.announcements import announce_end
from clipping.orchestration.artifacts import publish_artifacts
from clipping.orchestration.error_messages import readable
from clipping.orchestration.logging import flow_run_view, noted_in, without_known_failures
from clipping.orchestration.run import ClipRun
from clipping.orchestration.scheduler import Tasks
from clipping.orchestration.task_window import ConnectedRayTaskRunner
from clipping.orchestration.tasks import (
    detect_shots,
    is_retried,
    probe_sources,
    transcode_chunks,
)
from clipping.run.names import name_of_run
from clipping.run.preparation import from_anywhere, require_absolute
from clipping.run.progress import View, current_view
from clipping.run.result import RunFailedError, result_of
from clipping.run.run_log import LoggedView, RunLog
from clipping.run.stopping import keep_interrupting
from clipping.run.summary import about, closing_lines, last_line, outcome, state_message, verdict
from clipping.run.tally import Tally
from clipping.storage.outputs import open_output

__all__ = ["clip_flow"]

_runner: Any = ConnectedRayTaskRunner()


def _name() -> str:
    """What a flow run is called, from its parameters over the environment."""
    given: dict[str, Any] = dict(flow_run.get_parameters())
    with suppress(Exception):  # the run itself will say what is wrong with them
        recipe, execution = given.pop("recipe", {}), given.pop("execution", {})
        return name_of_run(
            resolve(Recipe.model_validate(recipe), Execution.model_validate(execution), **given)
        )
    return f"clip into {given.get('output')}"


def _one_or_more(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


@flow(
    name="clip-videos",
    flow_run_name=_name,
    description="Cut videos into fixed-stride clips and transcode each to a standard MP4.",
    task_runner=_runner,
    validate_parameters=True,
)
def clip_flow(
    input: Annotated[list[str], BeforeValidator(_one_or_more)],
    output: str = "clips",
    recipe: Recipe = Recipe(),  # noqa: B008  Prefect shows the default in its form
    execution: Execution = Execution(),  # noqa: B008
    profile: str = "",
) -> Any:
    """Clip every video that `input` names into the folder `output`.

    Gives back a RunResult. Raises RunFailedError, which has one, if more failed than
    `allow_failures` allows or the run ended early; UsageError and other ClippingErrors if it could
    not even begin.

    Args:
        input: Videos, folders (searched recursively), globs, or lists of files (.txt, .csv,
            .jsonl, .parquet); s3://, gs:// and az:// prefixes and objects, https:// files; one or
            several.
        output: The folder for clips and records, or an s3://, gs:// or az:// prefix. A deployed run
            takes absolute paths only, here and in `input`.
        recipe: What decides the content of the clips.
        execution: What decides where and how the work is done.
        profile: A whole recipe by its name (docs/profiles.md); what the recipe says that differs
            from its defaults wins.

    """
    without_known_failures()
    keep_interrupting()
    view = current_view() or flow_run_view()
    try:
        more = {"profile": profile} if profile else {}
        config = resolve(recipe, execution, input=input, output=output, **more)
        if deployment.id is not None:
            require_absolute(config)
        config = from_anywhere(config)
        log = RunLog(str(flow_run.get_id()))
        view = LoggedView(view, log)
        run = ClipRun(config, _tuned(config), view, log)
    except ClippingError as error:
        return _refused(error)
    ended_early: ClippingError | None = None
    try:
        with noted_in(log, config):
            run.run()
    except ClippingError as error:
        if not run.tally.has_results:
            return _refused(error)
        ended_early = error
    state = _ended(run.tally, config, view, ended_early)
    log.add(f"Ended as {state.type.value.lower()}: {state.message}")
    if run.had_work or not state.is_completed():
        log.write(open_output(config.output))  # a run that changes nothing leaves no trace
    return state


def _refused(error: ClippingError) -> State[Any]:
    """A run of which there is nothing to show but why.

    Its message says all there is to say; raised, it would be logged with a traceback.
    """
    return Failed(message=error.message, data=error)


def _ended(
    tally: Tally, config: RunConfig, view: View, ended_early: ClippingError | None
) -> State[Any]:
    """What a run has to show and to say; its state."""
    early = ended_early.message if ended_early else ""
    try:
        version = ffmpeg_version(ffmpeg_path(config.execution.ffmpeg_binary))
        publish_artifacts(tally, config, about(config, version), ended_early=early)
    except Exception as error:  # the clips are there; their description is a courtesy
        get_run_logger().warning(f"Not recorded in Prefect: {readable(error).message}")
    lines = closing_lines(tally, config)
    if ended_early:
        get_run_logger().error("%s", early)
        announce_end(tally, config, early)
        view.say(lines)
        result = result_of(tally, config, early)
        return Failed(message=early, data=RunFailedError(early, result, ended_early.kind))
    failed = verdict(tally, config)
    announce_end(tally, config, failed)
    view.say([*lines, last_line(tally, config, failed)] if failed else lines)
    message = state_message(tally, failed) if failed else outcome(tally, config)
    result = result_of(tally, config, message)
    if failed:
        return Failed(message=message, data=RunFailedError(message, result))
    return Completed(message=message, data=result)


def _tuned(config: RunConfig) -> Tasks:
    """The tasks with the retries that were asked for, backing off exponentially."""
    execution = config.execution
    doubled = (execution.retry_delay_s * 2**i for i in range(execution.retries))
    delays = [min(delay, LONGEST_RETRY_DELAY) for delay in doubled]
    options: dict[str, Any] = {"retries": execution.retries, "retry_condition_fn": is_retried}
    if delays:
        options |= {"retry_delay_seconds": delays, "retry_jitter_factor": 0.2}
    return Tasks(
        probe=probe_sources.with_options(**options),
        detect=detect_shots.with_options(**options),
        transcode=transcode_chunks.with_options(**options),
    )
