"""What is told of a run that did not come to its end: by itself, or by the next one."""

import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from contextvars import copy_context
from functools import partial
from typing import Any
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.runtime import flow_run
from prefect.states import Crashed, Failed

from clipping.errors import ClippingError
from clipping.run.stopping import GO_ON, end_now
from clipping.storage.outputs import Output

__all__ = ["end_without_ray", "known_to_the_next", "tell_of_a_dead_run"]

_TELL_SECONDS = 10.0


def end_without_ray(flow_run_id: Any, reason: str) -> None:
    """End this process, whose calls into Ray would not come back, and say why.

    Called in another thread than the flow's, which cannot return its state any more.
    """
    message = f"{reason}. {GO_ON}"
    print(message, file=sys.stderr, flush=True)
    tell = partial(copy_context().run, _tell, flow_run_id, message)
    telling = threading.Thread(target=tell, daemon=True)
    telling.start()
    telling.join(_TELL_SECONDS)
    end_now(1)


def _tell(flow_run_id: Any, message: str) -> None:
    with suppress(Exception), get_client(sync_client=True) as client:
        state: Any = Failed(message=message)
        client.set_flow_run_state(UUID(str(flow_run_id)), state, force=True)


def tell_of_a_dead_run(output: Output, name: str) -> None:
    """Mark the flow run that died over `output` as Crashed. Raises StorageError.

    To be called while the output is held for this run alone: whoever left an id then, in the file
    `name`, is dead, or has not reached the store for so long that its lease is ours. Prefect's
    record would say Running for ever.
    """
    before = (output.read_text(name) or "").strip()
    if before and before != _mine():
        _mark_crashed(before)
        output.remove(name)


@contextmanager
def known_to_the_next(output: Output, name: str) -> Generator[None]:
    """Leave our flow run's id in the file `name` meanwhile. Raises StorageError."""
    output.write_text(name, _mine())
    try:
        yield
    finally:
        with suppress(ClippingError):
            output.remove(name)


def _mine() -> str:
    return str(flow_run.get_id() or "")


def _mark_crashed(flow_run_id: str) -> None:
    """As far as this API knows that run; it may have been recorded elsewhere."""
    with suppress(Exception), get_client(sync_client=True) as client:
        found = client.read_flow_run(UUID(flow_run_id))
        if found.state_type in (StateType.RUNNING, StateType.PENDING):
            message = "Its process died, as the next run into the same output found"
            state: Any = Crashed(message=message)
            client.set_flow_run_state(found.id, state, force=True)
