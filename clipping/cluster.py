"""Ray: joining or starting a cluster, what a chunk asks of it, and whether it has that."""

from __future__ import annotations

import contextlib
import importlib
import socket
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from math import ceil, floor
from pathlib import Path
from typing import Any, cast

import ray
from ray.exceptions import AuthenticationError

from clipping.encoders import ENCODERS
from clipping.errors import FailureKind, UsageError
from clipping.settings import Settings

__all__ = [
    "Cluster",
    "Request",
    "connected",
    "request_for",
    "start",
    "stop",
    "survey",
]

# Chunks pass small values only; the default of a third of the memory is for others.
_OBJECT_STORE_BYTES = 128 * 1024 * 1024
_CONNECT_SECONDS = 5.0
# A chunk that would take longer than a fourth of the time that is left gets more CPUs.
_ROUNDS_LEFT = 4


@dataclass(frozen=True, slots=True)
class Request:
    """What a task asks Ray for: CPUs and a share of a GPU."""

    cpus: int
    gpus: float = 0.0

    def options(self) -> dict[str, Any]:
        """As Ray's remote options. Ray must not run a task again by itself: we count that."""
        wanted: dict[str, Any] = {"num_cpus": self.cpus, "max_retries": 0}
        if self.gpus:
            wanted["num_gpus"] = self.gpus
        return wanted

    def __str__(self) -> str:
        gpu = f" and {self.gpus:g} GPU" if self.gpus else ""
        return f"{self.cpus} CPU{gpu}"


@dataclass(frozen=True, slots=True)
class Cluster:
    """The live nodes' resources, each as Ray names them."""

    nodes: tuple[Mapping[str, float], ...]

    @property
    def cpus(self) -> int:
        """CPUs of all nodes together."""
        return int(sum(node.get("CPU", 0) for node in self.nodes))

    @property
    def largest(self) -> int:
        """CPUs of the largest node."""
        return int(max((node.get("CPU", 0) for node in self.nodes), default=0))

    def slots(self, request: Request) -> int:
        """How many tasks with that request run at once."""
        return sum(
            int(
                min(
                    node.get("CPU", 0) // request.cpus,
                    node.get("GPU", 0) / request.gpus if request.gpus else float("inf"),
                )
            )
            for node in self.nodes
        )

    def require(self, request: Request) -> None:
        """Raise UsageError, rather than wait for ever, if no node can serve the request."""
        if self.slots(request):
            return
        offers = "; ".join(
            f"{int(n.get('CPU', 0))} CPU, {n.get('GPU', 0):g} GPU" for n in self.nodes
        )
        raise UsageError(
            f"no node can run a chunk: it asks for {request}, the {len(self.nodes)} nodes have"
            f" {offers or 'nothing'}. Start a node with 'ray start --address=HEAD:6379"
            f" --num-cpus={request.cpus}{' --num-gpus=1' if request.gpus else ''}'"
            + (", or choose --encoder libx264" if request.gpus else ""),
            FailureKind.NO_DEVICE if request.gpus else FailureKind.USAGE,
        )


def request_for(settings: Settings, cluster: Cluster, share: float = 0.0) -> Request:
    """What a chunk asks for that is `share` of all the work that is left.

    One CPU while it is a small share, since one thread an encoder is the most efficient; more
    when it would keep one worker busy while others have run out of work, up to
    `num_cpus_per_worker` and what the largest node has. A chunk for NVENC asks for a share of
    a GPU: floored to four digits, Ray's resolution, so that the shares fit.
    """
    most = max(1, min(int(settings.num_cpus_per_worker), cluster.largest or 1))
    least = min(settings.encoder_threads, most)
    if ENCODERS[settings.encoder].on_gpu:
        return Request(least, floor(10_000 / settings.nb_streams_per_gpu) / 10_000)
    return Request(max(least, min(most, ceil(share * cluster.cpus * _ROUNDS_LEFT))))


def start(address: str, *, verbose: bool = False) -> bool:
    """Connect this process to the Ray at `address`, or to a new local one; False if it was.

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
        # Its nodes may have another version of this package; the work is done by ours.
        try:
            ray.init(address, runtime_env={"py_modules": _packages()}, **options)
        except (ConnectionError, AuthenticationError) as error:
            reason = str(error).partition("\n")[0]
            raise UsageError(
                f"the Ray cluster at {address} cannot be joined: {reason}. If it asks for a"
                " token, set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH"
            ) from None
        return True
    ray.init(
        "local",
        include_dashboard=False,
        object_store_memory=_OBJECT_STORE_BYTES,
        **options,
    )
    # The workers import Prefect, which takes seconds, while we have other things to do.
    importing: Any = ray.remote(num_cpus=1)(_import_tasks)
    for _ in range(survey().cpus):
        importing.remote()
    return True


def _packages() -> list[str]:
    """The folders of this project's packages, as they are imported here."""
    root = Path(__file__).resolve().parent.parent
    return [str(root / name) for name in ("clipping", "flows")]


def _import_tasks() -> None:
    for module in ("prefect_ray.task_runners", "flows.tasks"):
        importlib.import_module(module)


@contextlib.contextmanager
def connected(address: str, *, verbose: bool = False) -> Generator[Cluster]:
    """A Ray to submit to: the one this process has, the one at `address`, or a local one.

    Raises UsageError if nothing answers at `address`.
    """
    ours = start(address, verbose=verbose)
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
    """The live nodes of the connected cluster."""
    nodes: list[dict[str, Any]] = cast(Any, ray).nodes()
    return Cluster(tuple(n["Resources"] for n in nodes if n.get("Alive")))
