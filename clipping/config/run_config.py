"""One run's configuration: what every part of a run is given, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, replace

from clipping.config.execution import Execution
from clipping.config.recipe import Recipe
from clipping.errors import UsageError
from clipping.ffmpeg.encoders import AUTO, candidates, gpu_encoder

__all__ = ["RunConfig"]


def _require_utf8(path: str) -> None:
    """Raise UsageError for a path that no record, and no message to Prefect, could hold."""
    try:
        path.encode()
    except UnicodeEncodeError:
        shown = path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        raise UsageError(f"the path {shown} is not valid UTF-8; rename it") from None


@dataclass(frozen=True, slots=True)
class RunConfig:
    """Inputs, output, recipe and execution. Raises UsageError where they exclude each other."""

    recipe: Recipe
    execution: Execution
    input: tuple[str, ...] = ()
    output: str = "clips"

    def __post_init__(self) -> None:
        for path in (*self.input, self.output):
            _require_utf8(path)
        gpu = gpu_encoder(AUTO)
        assert gpu is not None
        if self.execution.use_hwaccel and not self.may_use_gpu:
            raise UsageError(
                f"use_hwaccel decodes on the GPU and needs an encoder there, not"
                f" {self.recipe.encoder}; use --encoder {gpu.name} or {AUTO}, or leave it off"
            )

    @property
    def may_use_gpu(self) -> bool:
        """Whether a chunk of this run may be encoded on a GPU."""
        return gpu_encoder(self.recipe.encoder) is not None

    @property
    def cpu_encoder(self) -> str | None:
        """What may encode on the CPU in this run; None if only a GPU may."""
        on_cpu = [row.name for row in candidates(self.recipe.encoder) if not row.on_gpu]
        return on_cpu[0] if on_cpu else self.execution.nvenc_fallback or None

    def with_input(self, *given: str) -> RunConfig:
        """The same run over other inputs."""
        return replace(self, input=given)
