"""Whether NVENC works somewhere: a test encode of three frames, and what it says.

What a node offers to Ray is what somebody wrote down; a GPU may have no encoder (A100, H100),
its driver may be too old for this ffmpeg, and ffmpeg may have been built without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from clipping.cluster.local_checks import require_gpu_here
from clipping.cluster.resources import Cluster, Node, Request
from clipping.config.run_config import RunConfig
from clipping.errors import ClippingError
from clipping.ffmpeg.encoder_check import Trial, try_encoder
from clipping.ffmpeg.encoders import gpu_encoder

__all__ = ["require_here", "try_kinds"]

_ANSWER_SECONDS = 12.0


def require_here(config: RunConfig) -> None:
    """Raise UsageError if only a GPU may encode, only on this machine, and it cannot.

    To be called before Ray is started, which takes seconds and would change nothing.
    """
    if not ray.is_initialized():
        require_gpu_here(config)


def try_kinds(cluster: Cluster, request: Request, config: RunConfig) -> dict[str, Trial]:
    """A test encode on one node of each kind that offers what a chunk asks for, all at once.

    By kind. Asks Ray for what a chunk asks for, less the CPU: without its share of a GPU, Ray
    would hide the GPU from it.
    """
    first: dict[str, Node] = {}
    for node in cluster.serving(request).nodes:
        first.setdefault(node.kind, node)
    row = gpu_encoder(config.recipe.encoder)
    assert row is not None
    api = cast(Any, ray)
    asked: dict[Any, str] = {}
    for kind, node in first.items():
        here = NodeAffinitySchedulingStrategy(node.id, soft=False)
        options: dict[str, Any] = {
            **Request(0, request.gpus, request.tags).options(),
            "scheduling_strategy": here,
        }
        trial = api.remote(**options)(try_encoder)
        asked[
            trial.remote(config.execution.ffmpeg_binary, row.name, config.recipe.trial_rate(row))
        ] = kind
    if not asked:
        return {}
    ready, late = api.wait(list(asked), num_returns=len(asked), timeout=_ANSWER_SECONDS)
    for reference in late:
        api.cancel(reference)
    silent = Trial(None, f"did not answer in {_ANSWER_SECONDS:g} s")
    found: Mapping[str, Trial] = {asked[r]: _answer(r) for r in ready}
    return {kind: found.get(kind, silent) for kind in first}


def _answer(reference: Any) -> Trial:
    try:
        return cast(Trial, ray.get(reference))
    except RayError as error:
        words = str(error).strip().splitlines()[0][:200]
        return Trial(None, f"the test encode was lost: {words}")
    except ClippingError as error:
        return Trial(False, error.message, error.kind)
