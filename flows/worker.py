"""What a task does around its work: say how far it is, and pass on ffmpeg's log."""

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import ray
from prefect.logging import get_run_logger

from clipping.models import Chunk
from clipping.settings import Execution

__all__ = ["frame_reporter", "task_log", "whereabouts"]

_REPORT_EVERY = 1.0


def frame_reporter(board: str, chunk: Chunk) -> Callable[[int], None] | None:
    """Writes a chunk's encoded frames on the run's board, about once a second.

    Progress is a courtesy: a board that cannot be reached stops nothing.
    """
    if not board or not ray.is_initialized():
        return None
    try:
        actor: Any = ray.get_actor(board)
    except ValueError:
        return None
    name = chunk.name
    last = 0.0

    def report(frames: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _REPORT_EVERY:
            last = now
            actor.put.remote(name, frames)

    return report


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
