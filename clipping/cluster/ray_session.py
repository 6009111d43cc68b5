"""Joining a Ray cluster, or starting a local one, and what its nodes have."""

from __future__ import annotations

import contextlib
import importlib
import socket
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Any, cast

import ray
from ray.exceptions import AuthenticationError

from clipping.cluster._ray_private import addable_nodes, quiet_lost_nodes, starting_ray
from clipping.cluster.resources import Cluster, Node
from clipping.errors import UsageError

__all__ = ["connected", "start", "stop", "survey"]

# Chunks pass small values only; the default of a third of the memory is for others.
_OBJECT_STORE_BYTES = 128 * 1024 * 1024
_CONNECT_SECONDS = 5.0
_PLENTY = 1000
# What the nodes of a cluster import: their own version of this package may be another one.
_PACKAGE = Path(__file__).resolve().parent.parent


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
    Raises UsageError if nothing answers at `address`, or it does not let us in.
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
        except (ConnectionError, AuthenticationError) as error:
            reason = str(error).partition("\n")[0]
            raise UsageError(
                f"the Ray cluster at {address} cannot be joined: {reason}. If it asks for a"
                " token, set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH"
            ) from None
        if not verbose:
            quiet_lost_nodes()
        return True
    try:
        with starting_ray():
            ray.init(
                "local",
                include_dashboard=False,
                object_store_memory=_OBJECT_STORE_BYTES,
                resources={tag: _PLENTY for tag in tags if tag},
                **options,
            )
    except OSError as error:  # its folder for sockets: too long a path, read-only, full
        raise UsageError(
            f"Ray does not start: {error}. RAY_TMPDIR names another folder for its files"
        ) from None
    modules = list(preload)
    importing: Any = ray.remote(num_cpus=1)(_import_all)
    for _ in range(survey().cpus if modules else 0):
        importing.remote(modules)
    return True


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
    ray.shutdown()


def _answers(address: str) -> None:
    """Ray waits for minutes for an address that is not there; a TCP connect tells at once."""
    if address in ("auto", "local"):
        return
    host, _, port = address.removeprefix("ray://").partition(":")
    number = port or ("10001" if address.startswith("ray://") else "6379")
    try:
        with socket.create_connection((host, int(number)), timeout=_CONNECT_SECONDS):
            return
    except (OSError, ValueError) as error:
        raise UsageError(f"no Ray cluster answers at {address}: {error}") from None


def survey() -> Cluster:
    """The live nodes of the connected cluster, and what its autoscaler says it can add."""
    nodes: list[dict[str, Any]] = cast(Any, ray).nodes()
    live = tuple(
        Node(n["NodeID"], n.get("NodeManagerHostname") or n["NodeID"][:8], n["Resources"])
        for n in nodes
        if n.get("Alive")
    )
    return Cluster(live, addable_nodes())
