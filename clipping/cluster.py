"""Ray: joining or starting a cluster, what a chunk asks of it, and whether it has that."""

from __future__ import annotations

import contextlib
import importlib
import json
import socket
from collections import Counter
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass, replace
from math import floor
from pathlib import Path
from typing import Any, cast

import ray
from ray.exceptions import AuthenticationError

from clipping.errors import FailureKind, UsageError

__all__ = [
    "Cluster",
    "Node",
    "Request",
    "connected",
    "start",
    "stop",
    "survey",
]

# Chunks pass small values only; the default of a third of the memory is for others.
_OBJECT_STORE_BYTES = 128 * 1024 * 1024
_CONNECT_SECONDS = 5.0
# The label by which Ray lets a task choose, or avoid, a node.
_NODE_ID = "ray.io/node-id"
_PLENTY = 1000
_MEMORY = ("memory", "object_store_memory")


@dataclass(frozen=True, slots=True)
class Request:
    """What a task asks Ray for.

    gpus: share of a GPU; tags: custom resources, name to amount; avoid: ids of nodes that it
    must not run on.
    """

    cpus: int
    gpus: float = 0.0
    tags: tuple[tuple[str, float], ...] = ()
    avoid: frozenset[str] = frozenset()

    def options(self) -> dict[str, Any]:
        """As Ray's remote options. Ray must not run a task again by itself: we count that."""
        wanted: dict[str, Any] = {"num_cpus": self.cpus, "max_retries": 0}
        if self.gpus:
            # Ray would start a new worker process after every task that had a GPU.
            wanted |= {"num_gpus": self.gpus, "max_calls": 0}
        if self.tags:
            wanted["resources"] = dict(self.tags)
        if self.avoid:
            wanted["label_selector"] = {_NODE_ID: f"!in({','.join(sorted(self.avoid))})"}
        return wanted

    def avoiding(self, nodes: Iterable[str]) -> Request:
        """The same, but not on these nodes either."""
        return replace(self, avoid=self.avoid | frozenset(nodes))

    def start_line(self) -> str:
        """The command that starts a node which can serve it."""
        words = [f"ray start --address=HEAD:6379 --num-cpus={self.cpus}"]
        if self.gpus:
            words.append("--num-gpus=1")
        if self.tags:
            # A node has as many units as tasks fit on its GPU.
            units = {name: floor(1 / self.gpus) if self.gpus else 1 for name, _ in self.tags}
            words.append(f"--resources='{json.dumps(units)}'")
        return " ".join(words)

    def __str__(self) -> str:
        parts = [f"{self.cpus} CPU"]
        if self.gpus:
            parts.append(f"{self.gpus:g} GPU")
        parts += [f"{amount:g} {name}" for name, amount in self.tags]
        return _listed(parts)


@dataclass(frozen=True, slots=True)
class Node:
    """A live node: Ray's id, the machine's name, and its resources as Ray names them."""

    id: str
    host: str
    resources: Mapping[str, float]

    @property
    def kind(self) -> str:
        """What it offers, in words; nodes of one kind offer the same."""
        return _offer(self.resources)

    def fits(self, request: Request) -> int:
        """How many tasks with that request run at once."""
        return 0 if self.id in request.avoid else _fits(self.resources, request)


@dataclass(frozen=True, slots=True)
class Cluster:
    """The live nodes, and the kinds of node that an autoscaler says it can add."""

    nodes: tuple[Node, ...]
    addable: tuple[Mapping[str, float], ...] = ()

    @property
    def cpus(self) -> int:
        """CPUs of all nodes together."""
        return int(sum(node.resources.get("CPU", 0) for node in self.nodes))

    @property
    def largest(self) -> int:
        """CPUs of the largest node."""
        return int(max((node.resources.get("CPU", 0) for node in self.nodes), default=0))

    def slots(self, request: Request) -> int:
        """How many tasks with that request run at once."""
        return sum(node.fits(request) for node in self.nodes)

    def can_grow_to(self, request: Request) -> bool:
        """Whether the autoscaler knows a kind of node that can serve the request."""
        return any(_fits(resources, request) for resources in self.addable)

    def serving(self, request: Request) -> Cluster:
        """The nodes that can serve the request, alone."""
        return replace(self, nodes=tuple(n for n in self.nodes if n.fits(request)))

    def beside(self, request: Request) -> Cluster:
        """What is left of it while every slot for `request` is taken."""

        def rest(node: Node) -> Node:
            cpus = node.resources.get("CPU", 0) - request.cpus * node.fits(request)
            return replace(node, resources={**node.resources, "CPU": cpus})

        return replace(self, nodes=tuple(rest(node) for node in self.nodes))

    def offers(self) -> str:
        """What the nodes have, in words, nodes of a kind together."""
        kinds = Counter(node.kind for node in self.nodes)
        text = "; ".join(f"{n} x {k}" if n > 1 else k for k, n in sorted(kinds.items()))
        if self.addable:
            text += f"; an autoscaler can add {'; '.join(_offer(a) for a in self.addable)}"
        return text or "nothing"

    def require(self, request: Request, why: str = "", instead: str = "") -> None:
        """Raise UsageError, rather than wait for ever, if no node can serve the request.

        why: what else is known of the nodes; instead: what else could be asked for.
        """
        if self.slots(request) or self.can_grow_to(request):
            return
        raise UsageError(
            f"no node can run a chunk: it asks for {request}, the live nodes have"
            f" {self.offers()}{why}. Start a node with: {request.start_line()}{instead}",
            FailureKind.NO_DEVICE if request.gpus else FailureKind.USAGE,
        )


def _fits(resources: Mapping[str, float], request: Request) -> int:
    wanted = {"CPU": float(request.cpus), "GPU": request.gpus, **dict(request.tags)}
    # A hair more, since shares are floored and resources are floats.
    times = [resources.get(name, 0.0) / amount + 1e-6 for name, amount in wanted.items() if amount]
    return floor(min(times, default=0))


def _offer(resources: Mapping[str, float]) -> str:
    """A node's resources in words, less those that every node has one of."""
    own = {k: v for k, v in resources.items() if not k.startswith("node:") and k not in _MEMORY}
    for name in ("CPU", "GPU"):
        own.setdefault(name, 0.0)
    order = sorted(own, key=lambda name: (name not in ("CPU", "GPU"), name))
    return _listed([f"{own[name]:g} {name}" for name in order])


def _listed(parts: list[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else parts[0]


def start(address: str, *, tags: Iterable[str] = (), verbose: bool = False) -> bool:
    """Connect this process to the Ray at `address`, or to a new local one; False if it was.

    tags: custom resources that the one node of a local Ray is to have.

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
        if not verbose:
            _hush()
        return True
    try:
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
    # The workers import Prefect, which takes seconds, while we have other things to do.
    importing: Any = ray.remote(num_cpus=1)(_import_tasks)
    for _ in range(survey().cpus):
        importing.remote()
    return True


def _hush() -> None:
    """Keep the last words of lost nodes' daemons, pages of them, off the screen of this process.

    Ray has no setting for it; the flow says itself that a node is gone.
    """
    worker: Any = importlib.import_module("ray._private.worker")
    worker.print_to_stdstream = _say_nothing


def _say_nothing(*_arguments: Any, **_options: Any) -> None:
    pass


def _packages() -> list[str]:
    """The folders of this project's packages, as they are imported here."""
    root = Path(__file__).resolve().parent.parent
    return [str(root / name) for name in ("clipping", "flows")]


def _import_tasks() -> None:
    for module in ("prefect_ray.task_runners", "flows.tasks"):
        importlib.import_module(module)


@contextlib.contextmanager
def connected(
    address: str, *, tags: Iterable[str] = (), verbose: bool = False
) -> Generator[Cluster]:
    """A Ray to submit to: the one this process has, the one at `address`, or a local one.

    Raises UsageError if nothing answers at `address`.
    """
    ours = start(address, tags=tags, verbose=verbose)
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
    return Cluster(live, _addable())


def _addable() -> tuple[Mapping[str, float], ...]:
    """The kinds of node that the cluster's configuration, where Ray knows one, lets grow.

    Ray has no public call for it; nothing is said through a Ray client (`ray://`), nor by
    autoscalers that keep their configuration to themselves.
    """
    try:
        state: Any = importlib.import_module("ray._private.state").state
        config = state.get_cluster_config()
        groups: list[Any] = list(config.node_group_configs) if config else []
        return tuple(dict(group.resources) for group in groups if group.max_count != 0)
    except Exception:  # a private call: whatever it does, then nothing is known
        return ()
