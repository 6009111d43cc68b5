"""How a task's log lines get from a Ray worker to Prefect's server: all of them, at its end.

Prefect sends log lines from a thread that wakes every two seconds. A worker of a local Ray is gone
by then, killed with the run that it was for, and the last lines of the last tasks with it. Waiting
for that thread after every task would cost a new connection each time. So the task's own thread
sends them, over the connection that Prefect's engine has for it: one request for a task that has
nothing to tell but its end.
"""

import logging
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import ray
from prefect.client.orchestration import SyncPrefectClient
from prefect.context import SyncClientContext
from prefect.logging import handlers

from clipping.errors import ClippingError

__all__ = ["WorkerLog", "worker_log"]

_SENT_EVERY = 2.0
_MOST_LINES = 500


@dataclass(slots=True)
class WorkerLog:
    """The log of the task that this process runs."""

    _lines: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    _client: SyncPrefectClient | None = None
    _is_running: bool = False
    _failed: ClippingError | None = None
    _sent: float = float("-inf")
    _lock: Any = field(default_factory=threading.RLock)

    def begin(self) -> None:
        """A task's function begins."""
        context = SyncClientContext.get()
        self._client = context.client if context else None
        self._is_running, self._failed = True, None

    def end(self, failure: ClippingError | None) -> None:
        """It has ended. What Prefect's engine has still to say of the task is sent line by line."""
        self._is_running, self._failed = False, failure
        self.send()

    def take(self, line: dict[str, Any]) -> None:
        """Keep a line, or send it with those before it."""
        with self._lock:
            self._lines.append({k: v for k, v in line.items() if k != "__payload_size__"})
            late = time.monotonic() - self._sent > _SENT_EVERY
            if late or not self._is_running or len(self._lines) >= _MOST_LINES:
                self.send()

    def send(self) -> None:
        """Send what is kept."""
        with self._lock:
            lines, self._lines = self._lines, []
            if not lines:
                return
            self._sent = time.monotonic()
            try:
                if self._client is None:
                    raise RuntimeError("no task has begun")
                self._client.create_logs(lines)
            except Exception:  # the server may be back when Prefect's own thread tries
                for line in lines:
                    with suppress(Exception):
                        handlers.APILogWorker.instance().send(line)

    def is_news(self, record: logging.LogRecord) -> bool:
        """Whether a record is to be logged: not the traceback of an error that says all itself.

        Nor is an end that the flow may yet mend an error: it tells itself what failed for good.
        """
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, ClippingError):
            return False
        if self._failed is not None and record.levelno > logging.WARNING:
            record.levelno, record.levelname = logging.WARNING, "WARNING"
        return True


_log: WorkerLog | None = None


def worker_log() -> WorkerLog | None:
    """The log of this process, if it is a worker of Ray's; elsewhere Prefect's own way is kept."""
    global _log
    if _log is None and ray.is_initialized() and ray.get_runtime_context().get_task_id():
        _log = WorkerLog()
        handlers.set_api_log_sink(_log.take)
        logging.getLogger("prefect.task_runs").addFilter(_log.is_news)
    return _log
