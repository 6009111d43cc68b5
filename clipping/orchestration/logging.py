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

from clipping import __version__
from clipping.config.execution import Execution
from clipping.config.run_config import RunConfig
from clipping.errors import BundleError, ClippingError
from clipping.orchestration.worker_log import worker_log
from clipping.run.names import differing
from clipping.run.progress import Lines, View
from clipping.run.report import recipe_sentence
from clipping.run.run_log import RunLog

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


class _IntoRunLog(logging.Handler):
    """Puts warnings and errors of the flow run into the run's own log."""

    def __init__(self, log: RunLog) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Note it, without a traceback."""
        self._log.add(f"{record.levelname}  {record.getMessage()}")


@contextmanager
def noted_in(log: RunLog, config: RunConfig) -> Generator[None]:
    """Note in `log` what is to be done, and what the flow run warns of while the block lasts."""
    log.add(f"prefect-video-clipping {__version__}, flow run {flow_run.get_name()} ({log.run_id})")
    log.add(f"Input: {' '.join(config.input)}")
    log.add(f"Output: {config.output}")
    log.add(recipe_sentence(config.recipe))
    log.add(f"Execution: {differing(config.execution)}")
    logger, handler = get_logger("prefect.flow_runs"), _IntoRunLog(log)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


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
