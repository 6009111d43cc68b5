"""Whether NVENC works somewhere: a test encode of three frames, and what it says.

What a node offers to Ray is what somebody wrote down; a GPU may have no encoder (A100, H100),
its driver may be too old for this ffmpeg, and ffmpeg may have been built without it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import imageio_ffmpeg
import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from clipping import ffmpeg, process
from clipping.cluster import Cluster, Node, Request
from clipping.encoders import Rate, candidates, encoder
from clipping.errors import ClippingError, FailureKind, FfmpegError, UsageError
from clipping.settings import Settings

__all__ = ["Trial", "require_here", "try_kinds"]

_TRIAL_SECONDS = 8.0
_ANSWER_SECONDS = 12.0
_ADVICE = {
    FailureKind.OLD_DRIVER: "driver too old for this ffmpeg: update it, or set ffmpeg_binary to"
    " an ffmpeg built for it",
    FailureKind.NO_ENCODER: "encoder not compiled into this ffmpeg",
    FailureKind.NO_DEVICE: "no device that encodes",
}


@dataclass(frozen=True, slots=True)
class Trial:
    """How a test encode ended. works: None if it did not tell (busy, no answer in time)."""

    works: bool | None
    text: str
    kind: FailureKind | None = None


def _rate(settings: Settings) -> Rate:
    row = next(r for r in candidates(settings.encoder) if r.on_gpu)
    if settings.use_input_bit_rate:
        return Rate(bit_rate=1_000_000)
    return Rate(quality=row.default_quality if settings.quality is None else settings.quality)


def _try(binary: str, name: str, rate: Rate) -> Trial:
    """Encode three frames here."""
    began = time.monotonic()
    command = ffmpeg.encoder_trial_command(
        binary or imageio_ffmpeg.get_ffmpeg_exe(), encoder(name), rate
    )
    try:
        process.run(command, what="a test encode", stall_limit=_TRIAL_SECONDS)
    except FfmpegError as error:
        words = error.message.removeprefix("a test encode: ")
        if error.kind.passes or error.kind is FailureKind.TIMED_OUT:
            return Trial(None, f"busy: {words}", error.kind)
        said = _ADVICE.get(error.kind, error.kind.value)
        return Trial(False, f"{said} ({words})", error.kind)
    return Trial(True, f"works ({time.monotonic() - began:.1f} s)")


def require_here(settings: Settings) -> None:
    """Raise UsageError if only NVENC may encode, only on this machine, and it cannot.

    To be called before Ray is started, which takes seconds and would change nothing.
    """
    if settings.cpu_encoder or not settings.may_use_nvenc or settings.ray_address:
        return
    if ray.is_initialized():
        return
    trial = _try(settings.ffmpeg_binary, settings.encoder, _rate(settings))
    if trial.works is False:
        raise UsageError(
            f"{settings.encoder} does not work on this machine: {trial.text}. Choose --encoder"
            " auto or libx264, or the --ray-address of a cluster that has NVENC",
            trial.kind,
        )


def try_kinds(cluster: Cluster, request: Request, settings: Settings) -> dict[str, Trial]:
    """A test encode on one node of each kind that offers what a chunk asks for, all at once.

    By kind. Asks Ray for what a chunk asks for, less the CPU: without its share of a GPU, Ray
    would hide the GPU from it.
    """
    first: dict[str, Node] = {}
    for node in cluster.serving(request).nodes:
        first.setdefault(node.kind, node)
    name = next(r.name for r in candidates(settings.encoder) if r.on_gpu)
    api = cast(Any, ray)
    asked: dict[Any, str] = {}
    for kind, node in first.items():
        here = NodeAffinitySchedulingStrategy(node.id, soft=False)
        options: dict[str, Any] = {
            **Request(0, request.gpus, request.tags).options(),
            "scheduling_strategy": here,
        }
        trial = api.remote(**options)(_try)
        asked[trial.remote(settings.ffmpeg_binary, name, _rate(settings))] = kind
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
