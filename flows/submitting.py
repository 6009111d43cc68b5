"""A window of task runs in flight on Ray: submit, wait for any, submit again what was lost.

What Ray would run again by itself without Prefect noticing (`max_retries`) is switched off:
a lost worker's task run is marked Crashed in Prefect, and the work is submitted as a new,
visible run.
"""

import time
from dataclasses import dataclass, field
from typing import Any

import ray
from prefect import Task
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.states import Crashed
from prefect_ray.context import remote_options
from prefect_ray.task_runners import PrefectRayFuture, RayTaskRunner

from clipping.cluster import Request
from clipping.errors import ClippingError, FailureKind

__all__ = ["ConnectedRayTaskRunner", "Done", "Window"]

_REPORT_SECONDS = 3.0


class ConnectedRayTaskRunner(RayTaskRunner):
    """A RayTaskRunner that leaves starting Ray to the flow's body.

    The cluster's address is one of the flow's parameters, and a run that finds everything
    done needs no Ray at all; the base class would start one before the body is entered.
    """

    def __enter__(self) -> "ConnectedRayTaskRunner":
        super(RayTaskRunner, self).__enter__()
        return self


@dataclass(frozen=True, slots=True)
class Done:
    """A finished task run: the item it was submitted with, and its value or its failure.

    crash: what is known of the worker's death, if it died; the work may be submitted again.
    """

    item: Any
    value: Any = None
    failure: ClippingError | None = None
    crash: str | None = None


@dataclass(slots=True)
class Window:
    """Task runs in flight. crashes: how many workers died."""

    crashes: int = 0
    _flying: dict[Any, tuple[Any, PrefectRayFuture[Any]]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._flying)

    def submit(self, task: Task[Any, Any], item: Any, request: Request, **parameters: Any) -> None:
        """Submit `task` with `parameters`, asking Ray for `request`; `item` comes back with it."""
        with remote_options(**request.options()):
            future: Any = task.submit(**parameters)
        self._flying[future.wrapped_future] = (item, future)

    def next(self, timeout: float) -> Done | None:
        """The next task run to end within `timeout` seconds, or None."""
        ready, _ = ray.wait(list(self._flying), num_returns=1, timeout=timeout)
        if not ready:
            return None
        item, future = self._flying.pop(ready[0])
        future.wait()
        state = future.state
        if state.is_crashed():
            self.crashes += 1
            words = (state.message or "the worker died").strip().splitlines()[0][:300]
            _mark_crashed(future, words)
            return Done(item, crash=words)
        value = future.result(raise_on_failure=False)
        if isinstance(value, ClippingError):
            return Done(item, failure=value)
        if isinstance(value, BaseException):
            message = f"{type(value).__name__}: {value}"
            return Done(item, failure=ClippingError(message, FailureKind.UNKNOWN))
        return Done(item, value)


def _mark_crashed(future: PrefectRayFuture[Any], message: str) -> None:
    """Tell Prefect, whose record would say Running for ever.

    The lost worker's own report that it had begun may still be under way; if it never comes,
    Prefect knows nothing of the task run and there is nothing to set right.
    """
    deadline = time.monotonic() + _REPORT_SECONDS
    with get_client(sync_client=True) as client:
        while True:
            try:
                client.set_task_run_state(future.task_run_id, Crashed(message=message), force=True)
            except (ObjectNotFound, PrefectHTTPStatusError) as error:
                unknown = isinstance(error, ObjectNotFound) or error.response.status_code == 404
                if not unknown:
                    raise
                if time.monotonic() > deadline:
                    return
                time.sleep(0.3)
            else:
                return
