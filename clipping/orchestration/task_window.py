"""A window of task runs in flight on Ray: submit, wait for any, submit again what was lost.

What Ray would run again by itself without Prefect noticing (`max_retries`) is switched off:
a lost worker's task run is marked Crashed in Prefect, and the work is submitted as a new,
visible run.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import ray
from prefect import Task
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import Constant, RunInput
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.states import Crashed
from prefect_ray.context import remote_options
from prefect_ray.task_runners import PrefectRayFuture, RayTaskRunner
from ray.exceptions import TaskCancelledError

from clipping.cluster.crash_reason import CrashReasons
from clipping.cluster.resources import Request
from clipping.errors import ClippingError
from clipping.orchestration.attempts import Attempted
from clipping.orchestration.error_messages import is_api_gone, readable
from clipping.run.names import in_words

__all__ = ["ConnectedRayTaskRunner", "Done", "TaskWindow"]

_ray: Any = ray  # its methods are typed in part
_REPORT_SECONDS = 3.0


class ConnectedRayTaskRunner(RayTaskRunner[Any]):
    """A RayTaskRunner that leaves starting Ray to the flow's body.

    The cluster's address is one of the flow's parameters, and a run that finds everything
    done needs no Ray at all; the base class would start one before the body is entered.
    """

    def __enter__(self) -> "ConnectedRayTaskRunner":
        super(RayTaskRunner, self).__enter__()
        return self

    def submit(
        self,
        task: Any,
        parameters: dict[str, Any],
        wait_for: Any = None,
        dependencies: dict[str, set[RunInput]] | None = None,
    ) -> PrefectRayFuture[Any]:
        """Submit it with its parameters in words, as the page of the task run shows them.

        Of parameters that no other task has made, Prefect itself shows empty lists.
        """
        shown: dict[str, set[RunInput]] = {}
        for name, value in parameters.items():
            words: Any = Constant(type=in_words(value))  # frozen, which pyright does not see
            shown[name] = {words}
        return super().submit(task, parameters, wait_for, {**shown, **(dependencies or {})})


@dataclass(frozen=True, slots=True)
class Done:
    """A finished task run: the item it was submitted with, and its value or its failure.

    attempts: how often it tried.
    crash: what is known of the worker's death, if it died; the work may be submitted again.
    withdrawn: it was called back before it ended.
    """

    item: Any
    value: Any = None
    failure: ClippingError | None = None
    attempts: int = 1
    crash: str | None = None
    withdrawn: bool = False


@dataclass(slots=True)
class TaskWindow:
    """Task runs in flight. crashes: how many workers died."""

    crashes: int = 0
    _flying: dict[Any, tuple[Any, Request, PrefectRayFuture[Any], str]] = field(
        default_factory=dict[Any, tuple[Any, Request, PrefectRayFuture[Any], str]]
    )
    _withdrawn: set[Any] = field(default_factory=set[Any])
    _reasons: CrashReasons = field(default_factory=CrashReasons)

    def __len__(self) -> int:
        return len(self._flying)

    def submit(
        self, task: Task[Any, Any], item: Any, request: Request, *, name: str, **parameters: Any
    ) -> None:
        """Submit `task` with `parameters`, asking Ray for `request`; `item` comes back with it.

        name: what its task run is called.
        """
        with remote_options(**request.options()):
            future: Any = task.submit(name=name, **parameters)
        self._flying[future.wrapped_future] = (item, request, future, name)

    def withdraw(self, which: Callable[[Request], bool]) -> None:
        """Call back task runs by what they ask for, which no node has.

        They come back from `next` like any other, unless they have ended after all.
        """
        for reference, (_, request, *_) in self._flying.items():
            if reference not in self._withdrawn and which(request):
                self._withdrawn.add(reference)
                ray.cancel(reference)

    def next(self, timeout: float) -> Done | None:
        """The next task run to end within `timeout` seconds, or None."""
        if not self._flying:
            time.sleep(timeout)
            return None
        ready: list[Any] = _ray.wait(list(self._flying), num_returns=1, timeout=timeout)[0]
        if not ready:
            return None
        item, _, future, name = self._flying.pop(ready[0])
        withdrawn = ready[0] in self._withdrawn
        self._withdrawn.discard(ready[0])
        if withdrawn and _never_began(ready[0]):
            return Done(item, withdrawn=True)
        future.wait()
        state = future.state
        if state.is_crashed():
            self.crashes += 1
            words = self._reasons.reason(state.message or "")
            _mark_crashed(future, name, words)
            return Done(item, crash=words)
        value = future.result(raise_on_failure=False)
        if isinstance(value, ClippingError):
            return Done(item, failure=value, attempts=value.attempts)
        if isinstance(value, BaseException):
            if is_api_gone(value):  # back soon, if it is ours: as if the worker had died
                return Done(item, crash="it could not reach Prefect's server")
            return Done(item, failure=readable(value))
        if isinstance(value, Attempted):
            return Done(item, value.value, attempts=value.attempts)
        return Done(item, value)


def _never_began(reference: Any) -> bool:
    """Whether a task run was cancelled before a node took it: Prefect knows nothing of it."""
    try:
        ray.get(reference)
    except TaskCancelledError:
        return True
    except Exception:  # the future tells what it was
        return False
    return False


def _mark_crashed(future: PrefectRayFuture[Any], name: str, message: str) -> None:
    """Tell Prefect, whose record would say Running for ever.

    The lost worker's own report that it had begun may still be under way; if it never comes,
    Prefect knows nothing of the task run and there is nothing to set right.
    """
    deadline = time.monotonic() + _REPORT_SECONDS
    with get_client(sync_client=True) as client:
        while True:
            try:
                client.set_task_run_state(future.task_run_id, Crashed(message=message), force=True)
                client.set_task_run_name(future.task_run_id, f"{name}, worker died")
            except (ObjectNotFound, PrefectHTTPStatusError) as error:
                unknown = isinstance(error, ObjectNotFound) or error.response.status_code == 404
                if not unknown:
                    raise
                if time.monotonic() > deadline:
                    return
                time.sleep(0.3)
            else:
                return
