"""The flow run's log, as a deployment's worker shows it and Prefect keeps it."""

import logging

from prefect.exceptions import FailedRun
from prefect.logging import get_logger

from clipping.errors import ClippingError

__all__ = ["without_known_failures"]


def without_known_failures() -> None:
    """Keep tracebacks of failures that the run's state has told out of the flow run's log.

    Where a flow returns a Failed state, Prefect's engine logs that as an unexpected exception
    of its own. Tracebacks of anything else stay.
    """
    get_logger("prefect.flow_runs").addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, (FailedRun, ClippingError))
