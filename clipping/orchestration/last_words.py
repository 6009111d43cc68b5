"""What is told of a run that did not come to its end: by itself, or by the next one."""

import sys
import threading
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from typing import Any
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.states import Failed

from clipping.run.stopping import GO_ON, end_now

__all__ = ["end_without_ray"]

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
