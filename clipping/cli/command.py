"""The command line: `clip-videos`, `python -m clipping`, `python flows/clip_flow.py`."""

import json
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

from rich.console import Console

from clipping.cli.flags import parse
from clipping.cluster.local_checks import require_encoder, require_writable
from clipping.config.load import Settings
from clipping.config.run_config import RunConfig
from clipping.errors import ClippingError, FailureKind, UsageError
from clipping.run.preparation import Prepared, from_anywhere, handed_over, prepared
from clipping.run.progress import Snapshot, shown_on
from clipping.run.result import RunFailedError, RunResult
from clipping.run.stopping import (
    GO_ON,
    end_children,
    end_now,
    interrupt_on_signals,
    keep_interrupting,
    received,
)
from clipping.storage.outputs import open_output

__all__ = ["main"]

_USAGE, _FAILED, _INTERRUPTED = 2, 1, 130


def main(argv: Sequence[str] | None = None, *, program: str = "clip-videos") -> int:
    """Run the command line; the exit status: 0 done, 1 something failed, 2 wrong usage.

    program: what it was called as, for its messages. A signal that stops it ends the process:
    130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP.
    """
    given = list(sys.argv[1:] if argv is None else argv)
    interrupt_on_signals()
    try:
        return _run(parse(given, program))
    except KeyboardInterrupt:
        _stopped(received())
    except SystemExit as error:
        if error.code != signal.SIGTERM:  # which Ray makes of it while it starts
            raise
        _stopped(signal.SIGTERM)
    except Exception as error:
        if received() is not None:  # the interrupt came out of some library as another error
            _stopped(received())
        if "--verbose" in given and not isinstance(error, UsageError):
            traceback.print_exc()
        if isinstance(error, UsageError):
            print(f"{program}: {error.message}", file=sys.stderr)
            return _USAGE
        told = error if isinstance(error, ClippingError) else _told(error)
        print(f"{program}: {told.kind.value}: {told.message}", file=sys.stderr)
        return _FAILED


def _told(error: Exception) -> ClippingError:
    """Any other exception, in a line."""
    if isinstance(error, OSError):
        return ClippingError(str(error), FailureKind.IO)
    words = next(iter(str(error).strip().splitlines()), "")
    return ClippingError(f"{type(error).__name__}: {words} (--verbose shows where)")


def _stopped(number: int | None) -> NoReturn:
    """End at once after Ctrl-C or a signal: imports cut in half would hang on the way out."""
    with suppress(OSError):  # a terminal that is gone
        print(f"\nStopped. {GO_ON}", file=sys.stderr)
    end_now(_INTERRUPTED if number is None else 128 + number)


def _lost_server(reason: str) -> None:
    """End from a thread: what waits for Prefect's server would go on waiting for minutes."""
    print(f"{reason}. {GO_ON}", file=sys.stderr)
    end_now(_FAILED)


def _run(settings: Settings) -> int:
    config = settings.run_config()
    if settings.merge_manifests:
        from clipping.dataset.merge import merge_manifests

        merged = merge_manifests(open_output(from_anywhere(config).output))
        _say("merged", [merged], as_json=settings.as_json)
        return 0
    open_output(config.output)  # raises what is wrong with its address
    if not config.input:
        from clipping.run.sample import make_sample

        sample = make_sample(Path("sample"), config.execution.ffmpeg_binary)
        print(f"No --input: clipping a sample made for this, {sample}", file=sys.stderr)
        config = config.with_input(str(sample))
    config = from_anywhere(config)
    if settings.dry_run:
        from clipping.run.dry_run import describe

        _say("dry run", describe(config), as_json=settings.as_json)
        return 0
    _quiet(config.execution.verbose)
    return _run_flow(config, as_json=settings.as_json)


def _say(event: str, lines: list[str], *, as_json: bool) -> None:
    """Print lines, or the event that they are."""
    for line in [json.dumps({"event": event, "lines": lines})] if as_json else lines:
        print(line)


def _quiet(verbose: bool) -> None:
    """Keep Prefect's and Ray's own chatter off the screen; the API records it all the same."""
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    os.environ.setdefault("DO_NOT_TRACK", "1")  # or its notice about that would be shown
    os.environ.setdefault("PREFECT_CLI_COLORS", "false")
    if not verbose:
        os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
        os.environ.setdefault("PREFECT_SERVER_LOGGING_LEVEL", "CRITICAL")


def _run_flow(config: RunConfig, *, as_json: bool) -> int:
    with ExitStack() as stack:
        view = stack.enter_context(shown_on(Console(stderr=True), as_json=as_json))
        view.show(Snapshot())
        # A wrong path should not have to wait for a server and a cluster.
        work = stack.enter_context(prepared(config))
        if work.may_have_work:
            require_encoder(config)
            require_writable(config)
        view.show(Snapshot(phase="starting Prefect's server and Ray"))
        from clipping.orchestration.local_server import api, writable_home

        moved = writable_home()
        if moved:
            print(moved, file=sys.stderr)
        stack.enter_context(api(lambda: _start_ray(work, stack), _lost_server))
        from prefect.exceptions import FailedRun

        from clipping.orchestration.error_messages import readable
        from clipping.orchestration.flow import clip_flow

        try:
            with handed_over(work):
                state: Any = clip_flow(
                    input=list(config.input),
                    output=config.output,
                    recipe=config.recipe,
                    execution=config.execution,
                    return_state=True,
                )
        except Exception as error:  # Prefect's engine, which could not tell its server
            raise readable(error) from error
    error = state.result(raise_on_failure=False)
    if as_json:
        _tell_result(error)
    if state.is_completed():
        return 0
    if isinstance(error, RunFailedError) and not error.ended_early:
        return _FAILED  # its last lines have said why
    if isinstance(error, ClippingError):
        raise error
    if isinstance(error, BaseException) and not isinstance(error, FailedRun):
        raise readable(error) from error
    return _FAILED


def _tell_result(ended: object) -> None:
    """A run's result as the last line."""
    result = ended.result if isinstance(ended, RunFailedError) else ended
    if isinstance(result, RunResult):
        print(json.dumps({"event": "result", **asdict(result), "made": result.made}), flush=True)


def _start_ray(work: Prepared, stack: ExitStack) -> None:
    """Start Ray, if there is work for it; the flow joins it."""
    if not work.may_have_work:
        return
    from clipping.cluster import ray_session
    from clipping.cluster.placement import resource_tags
    from clipping.ffmpeg.binary import ffmpeg_path, ffmpeg_version
    from clipping.orchestration import WORKER_MODULES

    execution = work.config.execution
    # What runs a program comes first: the threads of a Ray client (gRPC) do not bear a fork.
    ffmpeg_version(ffmpeg_path(execution.ffmpeg_binary))
    try:
        if ray_session.start(
            execution.ray_address,
            tags=resource_tags(work.config),
            verbose=execution.shows_worker_output,
            preload=WORKER_MODULES,
        ):
            stack.callback(ray_session.stop)
        keep_interrupting()
    except KeyboardInterrupt:
        end_children()
        raise
