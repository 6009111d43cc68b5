"""What a run and its tasks log: where ffmpeg's lines go, and which tracebacks are no news."""

import logging
import os
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import cache
from typing import Any

import ray
from prefect.exceptions import FailedRun
from prefect.logging import get_logger, get_run_logger
from prefect.runtime import flow_run

from clipping.config.execution import Execution
from clipping.errors import BundleError, ClippingError
from clipping.orchestration.worker_log import worker_log
from clipping.run.progress import Lines, View

__all__ = ["flow_run_view", "task_log", "whereabouts", "without_known_failures"]

_LINE_EVERY = 30.0


def without_known_failures() -> None:
    """Keep tracebacks of failures that the run's state has told out of the flow run's log.

    Where a flow returns a Failed state, Prefect's engine logs that as an unexpected exception
    of its own. Tracebacks of anything else stay. Called by the flow when it runs, never at import.
    """
    get_logger("prefect.flow_runs").addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, (FailedRun, ClippingError))


def flow_run_view() -> View:
    """Progress as lines of the flow run's log, as a deployment's worker shows it."""
    return _view_of(flow_run.get_id())


@cache
def _view_of(_flow_run_id: str | None) -> View:
    """One for a flow run, since it remembers when it last wrote."""
    return Lines(get_run_logger().info, every=_LINE_EVERY)


def whereabouts() -> tuple[str, str | None]:
    """The machine's name, and Ray's id of the node if Ray runs here."""
    node = ray.get_runtime_context().get_node_id() if ray.is_initialized() else None
    return os.uname().nodename, node


@contextmanager
def task_log(execution: Execution, name: str) -> Generator[Callable[[str], None] | None]:
    """Where ffmpeg's lines go if they are wanted: Prefect's log, and the screen through Ray.

    Logs what leaves the block as an error, once, in the words that the run's end has for it.
    """
    logger: Any = get_run_logger()
    worker = worker_log()

    def log(line: str) -> None:
        logger.info(line)
        print(f"ffmpeg: {line}", file=sys.stderr, flush=True)

    failure: ClippingError | None = None
    if worker:
        worker.begin()
    try:
        yield log if execution.ffmpeg_verbose else None
    except BundleError as error:
        failure = error
        for of, each in error.failures.items():
            logger.warning("%s: %s", of, each.message)
        raise
    except ClippingError as error:
        failure = error
        logger.warning("%s: %s", name, error.message)
        raise
    finally:
        if worker:
            worker.end(failure)
