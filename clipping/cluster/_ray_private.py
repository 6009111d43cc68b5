"""The calls into Ray's private modules: each has a reason, and a fallback if Ray changes.

Everything else in this package uses Ray's public API.
"""

from __future__ import annotations

import importlib
import os
import secrets
import signal
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

__all__ = ["addable_nodes", "give_token", "quiet_lost_nodes", "session_logs", "starting_ray"]

# For the processes that Ray starts; a value that the user has set stays.
_ENVIRONMENT = {
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


@contextmanager
def starting_ray() -> Generator[None]:
    """The environment in which Ray is to be started; what it was before comes back.

    Under `uv run`, Ray would start every worker by another `uv run`, in a copy of the working
    folder; the workers are to use the environment that is there. Ray reads that switch when it
    is imported, so that a program which has imported Ray needs its module's constant changed.
    Ray also takes SIGTERM, to exit without a word, or to abort with a stack trace; it is given back
    to whoever had it.
    """
    added = {name: value for name, value in _ENVIRONMENT.items() if name not in os.environ}
    os.environ.update(added)
    constants: Any = None
    name = "RAY_ENABLE_UV_RUN_RUNTIME_ENV"
    with suppress(ImportError):  # then the environment alone has to do
        constants = importlib.import_module("ray._private.ray_constants")
    before = getattr(constants, name, None)
    if name in added and before is not None:
        setattr(constants, name, False)
    try:
        with _keeping_sigterm():
            yield
    finally:
        for each in added:
            os.environ.pop(each, None)
        if name in added and before is not None:
            setattr(constants, name, before)


@contextmanager
def _keeping_sigterm() -> Generator[None]:
    """Give SIGTERM back after the start, and at once after the part of it that takes it.

    That is the core worker, whose handler aborts the process. No process is started by it, so that
    none is left with the signal blocked.
    """
    handler = signal.getsignal(signal.SIGTERM)
    if threading.current_thread() is not threading.main_thread() or handler is None:
        yield
        return
    raylet: Any = None
    with suppress(ImportError):
        raylet = importlib.import_module("ray._raylet")
    original = getattr(raylet, "CoreWorker", None)

    def core_worker(*args: Any, **options: Any) -> Any:
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        try:
            return original(*args, **options)  # pyright: ignore[reportOptionalCall]
        finally:
            signal.signal(signal.SIGTERM, handler)
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)

    if original is not None:
        raylet.CoreWorker = core_worker
    try:
        yield
    finally:
        if original is not None:
            raylet.CoreWorker = original
        signal.signal(signal.SIGTERM, handler)


def give_token() -> None:
    """Give a local Ray its token where it could not write one into HOME, and would not start.

    It stays in this process's environment, from which all of Ray's own processes have it.
    """
    if any(os.environ.get(f"RAY_AUTH_{name}") for name in ("MODE", "TOKEN", "TOKEN_PATH")):
        return
    folder = Path(os.path.expanduser("~")) / ".ray"
    with suppress(OSError):
        folder.mkdir(exist_ok=True)
        if os.access(folder, os.W_OK) or os.access(folder / "auth_token", os.R_OK):
            return
    os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


def quiet_lost_nodes() -> None:
    """Keep the last words of lost nodes' daemons, pages of them, off this process's screen.

    Ray has no setting for it; the flow itself says that a node is gone. Without the module, the
    words are printed.
    """
    with suppress(ImportError):
        worker: Any = importlib.import_module("ray._private.worker")
        worker.print_to_stdstream = _say_nothing


def _say_nothing(*_arguments: Any, **_options: Any) -> None:
    pass


def session_logs() -> Path | None:
    """The folder of the logs of the Ray that this machine has a node of; None without one.

    Ray has no public call for it.
    """
    with suppress(Exception):  # a private call: whatever it does, then nothing is known
        worker: Any = importlib.import_module("ray._private.worker")
        folder = Path(worker.global_worker.node.get_logs_dir_path())
        return folder if folder.is_dir() else None
    return None


def addable_nodes() -> tuple[Mapping[str, float], ...]:
    """The kinds of node, by their resources, that the cluster's autoscaler may add.

    Ray has no public call for it; nothing is known through a Ray client (`ray://`), nor of
    autoscalers that keep their configuration to themselves.
    """
    try:
        state: Any = importlib.import_module("ray._private.state").state
        config = state.get_cluster_config()
        groups: list[Any] = list(config.node_group_configs) if config else []
        return tuple(dict(group.resources) for group in groups if group.max_count != 0)
    except Exception:  # a private call: whatever it does, then nothing is known
        return ()
