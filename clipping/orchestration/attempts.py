"""How often a task has tried, told by the task itself: with its value, or on its error.

Prefect's API knows it too, but has to be asked for every task run, and learns of an end late.
"""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from prefect.runtime import task_run

from clipping.errors import ClippingError, FailureKind

__all__ = ["Attempted", "attempt", "telling_attempts"]


@dataclass(frozen=True, slots=True)
class Attempted:
    """What a task gives back, and at which attempt."""

    value: Any
    attempts: int


def attempt() -> int:
    """The number of this attempt, from 1."""
    return task_run.run_count or 1


@contextmanager
def telling_attempts() -> Generator[None]:
    """Have an error that leaves the block say which attempt it was."""
    try:
        yield
    except OSError as error:
        failed = ClippingError(str(error), FailureKind.IO)
        failed.attempts = attempt()
        raise failed from error
    except ClippingError as error:
        error.attempts = attempt()
        raise
