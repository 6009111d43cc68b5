"""Joining a Ray cluster, or starting a local one, and what its nodes have."""

from __future__ import annotations

import contextlib
import contextvars
import importlib
import os
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import Any, cast

import psutil
import ray

from clipping.cluster._ray_private import (
    addable_nodes,
    give_token,
    quiet_lost_nodes,
    starting_ray,
)
from clipping.cluster.resources import Cluster, Node
from clipping.errors import ClippingError, FailureKind, UsageError

__all__ = ["connected", "start", "stop", "survey", "watched"]

# Chunks pass small values only; the default of a third of the memory is for others.
_OBJECT_STORE_BYTES = 128 * 1024 * 1024
_CONNECT_SECONDS = 5.0
# Addresses that Ray looks up itself.
_BY_RAYS_OWN_FILE = ("auto", "local")
_PLENTY = 1000
# What the nodes of a cluster import: their own version of this package may be another one.
_PACKAGE = Path(__file__).resolve().parent.parent
# Without either of these two, a Ray is dead.
_VITAL = ("gcs_server", "raylet")
_LOOK_EVERY = 0.5
# A head that is started again within Ray's own minute is joined again; just before that minute is
# over, after which Ray ends this process without a word of what is to be done, we do.
_CALL_EVERY = 5.0
_SILENT_SECONDS = 50.0
_TIMED_OUT = (TimeoutError, ConnectionError)
_LITTLE_ROOM = 200 * 1024 * 1024
_LITTLE_MEMORY = 1024 * 1024 * 1024
# Of the local Ray that we started, if it is one.
_vital: dict[str, psutil.Process] = {}
# Where the cluster that we joined answers, if it is one.
_joined: list[tuple[str, int]] = []


def start(
    address: str,
    *,
    tags: Iterable[str] = (),
    verbose: bool = False,
    preload: Iterable[str] = (),
) -> bool:
    """Connect this process to the Ray at `address`, or to a new local one; False if it was.

    tags: custom resources that the one node of a local Ray is to have.
    preload: modules that the workers of a local Ray import while nothing else is to be done.

    To be called on the main thread: Ray's own processes end with the thread that started them.
    Raises UsageError if nothing answers at `address`, or it does not let us in; ClippingError if a
    local one does not start at the second try either.
    """
    if ray.is_initialized():
        return False
    options: dict[str, Any] = {
        "namespace": "prefect",
        "log_to_driver": verbose,
        "logging_level": "INFO" if verbose else "ERROR",
    }
    if address:
        _answers(address)
        try:
            with starting_ray():
                ray.init(address, runtime_env={"py_modules": [str(_PACKAGE)]}, **options)
        except Exception as error:  # of many kinds: refused, another version, timed out
            reason = _first_line(error)
            raise UsageError(
                f"the Ray cluster at {address} cannot be joined: {reason}. If it asks for a"
                " token, set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH"
            ) from None
        if address not in _BY_RAYS_OWN_FILE:
            _joined[:] = [_host_and_port(address)]
        if not verbose:
            quiet_lost_nodes()
        return True
    if not verbose:
        quiet_lost_nodes()
    _start_local(
        include_dashboard=False,
        object_store_memory=_OBJECT_STORE_BYTES,
        resources={tag: _PLENTY for tag in tags if tag},
        **options,
    )
    modules = list(preload)
    importing: Any = ray.remote(num_cpus=1)(_import_all)
    for _ in range(survey().cpus if modules else 0):
        importing.remote(modules)
    return True


def _start_local(**options: Any) -> None:
    """Start a Ray of our own. One that does not come up in time is tried once more."""
    give_token()
    for last_try in (False, True):
        before = set(_processes())
        try:
            with starting_ray():
                ray.init("local", **options)
        except Exception as error:  # Ray's own time-outs are of no class of theirs
            with contextlib.suppress(Exception):
                ray.shutdown()
            _end(set(_processes()) - before)
            if isinstance(error, OSError) and not isinstance(error, _TIMED_OUT):
                # Its folder for sockets: too long a path, read-only, full.
                raise UsageError(
                    f"Ray does not start: {error}. RAY_TMPDIR names another folder for its files"
                ) from None
            if last_try:
                why = f"{_first_line(error)}{hardship()}"
                raise ClippingError(
                    f"Ray does not start, tried twice: {why}", FailureKind.TIMED_OUT
                ) from None
        else:
            ours = {_name(p): p for p in set(_processes()) - before}
            _vital.update((name, ours[name]) for name in _VITAL if name in ours)
            return


def _processes() -> list[psutil.Process]:
    """What descends from this process and is Ray's own."""
    programs = os.path.dirname(ray.__file__)
    return [p for p in psutil.Process().children(recursive=True) if programs in _line(p)]


def _line(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""


def _name(process: psutil.Process) -> str:
    return os.path.basename(_line(process).partition(" ")[0])


def _end(processes: Iterable[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.kill()


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), "") or type(error).__name__


def hardship() -> str:
    """What of this machine may keep Ray from starting, as the end of a sentence; or nothing."""
    folder = os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()
    free, memory = shutil.disk_usage(folder).free, psutil.virtual_memory().available
    if free < _LITTLE_ROOM:
        return (
            f". {folder} has only {free / 1e6:.0f} MB free; RAY_TMPDIR names another folder for"
            " Ray's files"
        )
    if memory < _LITTLE_MEMORY:
        return f". Only {memory / 1e6:.0f} MB of memory are free"
    busy = os.getloadavg()[0]
    return f". The machine is busy (a load of {busy:.0f} on {os.cpu_count()} CPUs): try again later"


@contextlib.contextmanager
def watched(on_death: Callable[[str], None]) -> Generator[None]:
    """Have `on_death` called, in a thread of ours, when the Ray that we started or joined dies.

    Whoever calls into Ray then waits for a minute, after which Ray ends this process. Of a local
    Ray its processes are looked at; a cluster's head has not answered for 50 s.
    """
    done = threading.Event()

    def watch() -> None:
        heard = called = time.monotonic()
        while not done.wait(_LOOK_EVERY):
            for name, process in list(_vital.items()):
                if not _is_alive(process) and not done.is_set():
                    on_death(f"Ray died: its process {name} is gone, killed or out of memory")
                    return
            if not _joined or time.monotonic() - called < _CALL_EVERY:
                continue
            called = time.monotonic()
            if _connects(*_joined[0]) is None:
                heard = called
            elif called - heard >= _SILENT_SECONDS and not done.is_set():
                host, port = _joined[0]
                on_death(
                    f"the head of the Ray cluster at {host}:{port} does not answer any more; see"
                    " that it runs"
                )
                return

    context = contextvars.copy_context()  # Prefect keeps its settings there
    threading.Thread(target=context.run, args=(watch,), daemon=True, name="ray").start()
    try:
        yield
    finally:
        done.set()


def _is_alive(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _import_all(modules: Iterable[str]) -> None:
    for module in modules:
        importlib.import_module(module)


@contextlib.contextmanager
def connected(
    address: str,
    *,
    tags: Iterable[str] = (),
    verbose: bool = False,
    preload: Iterable[str] = (),
) -> Generator[Cluster]:
    """A Ray to submit to: the one this process has, the one at `address`, or a local one.

    Raises UsageError if nothing answers at `address`.
    """
    ours = start(address, tags=tags, verbose=verbose, preload=preload)
    try:
        yield survey()
    finally:
        if ours:
            stop()


def stop() -> None:
    """Leave Ray, and end it if it is a local one."""
    _vital.clear()
    _joined.clear()
    ray.shutdown()


def _answers(address: str) -> None:
    """Ray waits for minutes for an address that is not there; a TCP connect tells at once."""
    if address in _BY_RAYS_OWN_FILE:
        return
    try:
        error = _connects(*_host_and_port(address))
    except ValueError as not_a_number:
        error = not_a_number
    if error is not None:
        raise UsageError(f"no Ray cluster answers at {address}: {error}") from None


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.removeprefix("ray://").partition(":")
    return host, int(port or ("10001" if address.startswith("ray://") else "6379"))


def _connects(host: str, port: int) -> Exception | None:
    """Why nothing answers there; None if something does."""
    try:
        with socket.create_connection((host, port), timeout=_CONNECT_SECONDS):
            return None
    except (OSError, OverflowError) as error:
        return error


def survey() -> Cluster:
    """The live nodes of the connected cluster, and what its autoscaler says it can add."""
    nodes: list[dict[str, Any]] = cast(Any, ray).nodes()
    live = tuple(
        Node(n["NodeID"], n.get("NodeManagerHostname") or n["NodeID"][:8], n["Resources"])
        for n in nodes
        if n.get("Alive")
    )
    return Cluster(live, addable_nodes())
