"""What a task asks Ray for, what nodes offer, and which of them meet. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import floor
from typing import Any

from clipping.errors import FailureKind, UsageError

__all__ = ["Cluster", "Node", "Request"]

# The label by which Ray lets a task choose, or avoid, a node.
_NODE_ID = "ray.io/node-id"
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
