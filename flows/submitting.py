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
from prefect.logging import get_run_logger
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


@dataclass(slots=True)
class _InFlight:
    item: Any
    task: Task[Any, Any]
    request: Request
    parameters: dict[str, Any]
    future: PrefectRayFuture[Any]
    crashes: int = 0


@dataclass(frozen=True, slots=True)
class Done:
    """A finished task run: the item it was submitted with, and its value or its failure."""

    item: Any
    value: Any = None
    failure: ClippingError | None = None


@dataclass(slots=True)
class Window:
    """Task runs in flight.

    crash_retries: how often work is submitted again whose worker died; crashes: how often one
    did; submitted: all task runs so far.
    """

    crash_retries: int
    crashes: int = 0
    submitted: int = 0
    _flying: dict[Any, _InFlight] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._flying)

    def submit(
        self,
        task: Task[Any, Any],
        item: Any,
        request: Request,
        again: dict[str, Any] | None = None,
        **parameters: Any,
    ) -> None:
        """Submit `task` with `parameters`, asking Ray for `request`; `item` comes back with it.

        again: parameters that are others when it is submitted again after a crash.
        """
        future = _submit(task, request, parameters)
        self.submitted += 1
        flown = _InFlight(item, task, request, {**parameters, **(again or {})}, future)
        self._flying[future.wrapped_future] = flown

    def next(self, timeout: float) -> Done | None:
        """The next task run to end within `timeout` seconds, or None."""
        ready, _ = ray.wait(list(self._flying), num_returns=1, timeout=timeout)
        if not ready:
            return None
        flown = self._flying.pop(ready[0])
        flown.future.wait()
        state = flown.future.state
        if state.is_crashed():
            return self._crashed(flown, state.message or "the worker died")
        value = flown.future.result(raise_on_failure=False)
        if isinstance(value, ClippingError):
            return Done(flown.item, failure=value)
        if isinstance(value, BaseException):
            message = f"{type(value).__name__}: {value}"
            return Done(flown.item, failure=ClippingError(message, FailureKind.UNKNOWN))
        return Done(flown.item, value)

    def _crashed(self, flown: _InFlight, message: str) -> Done | None:
        self.crashes += 1
        flown.crashes += 1
        words = message.strip().splitlines()[0][:300]
        _mark_crashed(flown.future, words)
        if flown.crashes > self.crash_retries:
            text = f"the worker died {flown.crashes} times ({words})"
            return Done(flown.item, failure=ClippingError(text, FailureKind.KILLED))
        get_run_logger().warning("A worker died (%s); its work is submitted again.", words)
        flown.future = _submit(flown.task, flown.request, flown.parameters)
        self.submitted += 1
        self._flying[flown.future.wrapped_future] = flown
        return None


def _submit(
    task: Task[Any, Any], request: Request, parameters: dict[str, Any]
) -> PrefectRayFuture[Any]:
    with remote_options(**request.options()):
        return task.submit(**parameters)  # type: ignore[return-value]


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
