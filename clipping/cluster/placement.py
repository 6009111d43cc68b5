"""Which encoder makes a chunk, on which nodes, and how many chunks at once. Pure.

A placement is an encoder with what its chunks ask Ray for. A run has one for the GPU, one for
the CPU, or both; they are filled from one queue.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil, floor

from clipping.cluster.resources import Cluster, Request
from clipping.config.run_config import RunConfig
from clipping.ffmpeg.encoders import gpu_encoder

__all__ = ["Placement", "cpu_placement", "gpu_placement", "probe_request", "resource_tags"]

# A chunk that would take longer than a fourth of the time that is left gets more CPUs.
_ROUNDS_LEFT = 4
# So that one unit of the tag, on a node, is a label and no limit.
_CPU_TAG_AMOUNT = 0.001


@dataclass(frozen=True, slots=True)
class Placement:
    """An encoder, and what its chunks ask for.

    slots: how many of its chunks run at once on the live nodes.
    """

    encoder: str
    request: Request
    slots: int


def resource_tags(config: RunConfig) -> tuple[str, ...]:
    """The custom resources that chunks may ask for."""
    return tuple(t for t in (config.execution.nvenc_resource, config.execution.cpu_resource) if t)


def _cpu_tag(config: RunConfig) -> tuple[tuple[str, float], ...]:
    name = config.execution.cpu_resource
    return ((name, _CPU_TAG_AMOUNT),) if name else ()


def probe_request(config: RunConfig, cluster: Cluster) -> Request:
    """What opening videos asks for: a CPU, on a node for CPU work if there is one."""
    tagged = Request(1, tags=_cpu_tag(config))
    return tagged if cluster.slots(tagged) else Request(1)


def gpu_placement(
    config: RunConfig, cluster: Cluster, unfit: Iterable[str] = ()
) -> Placement | None:
    """The encoder on a GPU, or None if the configuration leaves it out.

    unfit: ids of nodes whose GPU cannot do it. A chunk asks for a share of a GPU, floored to
    four digits, Ray's resolution, so that the shares fit.
    """
    row = gpu_encoder(config.recipe.encoder)
    if row is None:
        return None
    share = floor(10_000 / config.execution.nb_streams_per_gpu) / 10_000
    tag = ((config.execution.nvenc_resource, 1.0),) if config.execution.nvenc_resource else ()
    threads = min(config.execution.encoder_threads, _most_cpus(config, cluster))
    request = Request(threads, share, tag, frozenset(unfit))
    return Placement(row.name, request, cluster.slots(request))


def cpu_placement(
    config: RunConfig,
    cluster: Cluster,
    beside: Placement | None = None,
    share: float = 0.0,
    useful: int = 1,
) -> Placement | None:
    """The CPU's encoder, or None if the configuration leaves it out.

    beside: the placement whose slots are kept free for it.
    share: how much of all the work that is left the next chunk is. One CPU while that is
    little, since one thread an encoder is the most efficient; more when it would keep one
    worker busy while others have run out of work, up to `num_cpus_per_worker` and what the
    largest node has.
    useful: how many CPUs it could keep busy.
    """
    name = config.cpu_encoder
    if name is None:
        return None
    tag = _cpu_tag(config)
    nodes = cluster.serving(Request(1, tags=tag))
    if beside is not None:
        nodes = nodes.beside(beside.request)
    most = _most_cpus(config, nodes)
    least = min(config.execution.encoder_threads, most)
    cpus = max(least, min(most, useful, ceil(share * nodes.cpus * _ROUNDS_LEFT)))
    request = Request(cpus, tags=tag)
    return Placement(name, request, nodes.slots(request))


def _most_cpus(config: RunConfig, cluster: Cluster) -> int:
    """The most that a chunk may ask for: what is set, and what the largest node has."""
    return max(1, min(int(config.execution.num_cpus_per_worker), cluster.largest or 1))
