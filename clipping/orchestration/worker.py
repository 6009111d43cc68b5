"""What a task does around its work: say where it is, and pass on ffmpeg's log."""

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import ray
from prefect.logging import get_run_logger

from clipping.config.execution import Execution

__all__ = ["task_log", "whereabouts"]


def whereabouts() -> tuple[str, str | None]:
    """The machine's name, and Ray's id of the node if Ray runs here."""
    node = ray.get_runtime_context().get_node_id() if ray.is_initialized() else None
    return os.uname().nodename, node


@contextmanager
def task_log(execution: Execution) -> Iterator[Callable[[str], None] | None]:
    """Where ffmpeg's lines go if they are wanted: Prefect's log, and the screen through Ray.

    Flushes Prefect's log at the end: lines sent in a worker's last two seconds would be lost.
    """
    logger: Any = get_run_logger()

    def log(line: str) -> None:
        logger.info(line)
        print(f"ffmpeg: {line}", file=sys.stderr, flush=True)

    try:
        yield log if execution.ffmpeg_verbose else None
    finally:
        if execution.ffmpeg_verbose or execution.verbose:
            for handler in logging.getLogger("prefect.task_runs").handlers:
                handler.flush()
