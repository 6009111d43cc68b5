"""Settings from flags, flow parameters, the environment and `.env`; the earlier of these wins."""

from __future__ import annotations

import json
from typing import Annotated, Any, Self

from pydantic import (
    BeforeValidator,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict, SettingsError

from clipping.config.execution import RAY_RESOURCES, Execution, allowed_failures
from clipping.config.recipe import Recipe
from clipping.errors import UsageError
from clipping.ffmpeg.encoders import candidates
from clipping.plan.shards import in_shard

__all__ = ["Settings", "check_hwaccel", "complaint", "resolve"]


def _paths(value: Any) -> Any:
    """Inputs from the environment: a JSON list, or one path as it stands."""
    if isinstance(value, str):
        return json.loads(value) if value.lstrip().startswith('["') else [value]
    return value


class Settings(BaseSettings, Recipe, Execution):  # pyright: ignore[reportIncompatibleVariableOverride]
    """Recipe, execution, inputs and output in one flat namespace: what a command line gives."""

    model_config = SettingsConfigDict(
        env_prefix="CLIPPING_",
        env_file=".env",
        env_file_encoding="utf-8",
        extra="ignore",
        case_sensitive=False,
    )

    input: Annotated[list[str], NoDecode, BeforeValidator(_paths)] = Field(
        default_factory=list,
        description="A video, a folder (searched recursively), a glob, or a list of files "
        "(.txt, .csv, .jsonl, .parquet); also s3://, gs:// and az:// prefixes and objects, and "
        "https:// files. May be given more than once. Without it, a short sample is made and "
        "clipped.",
    )
    output: str = Field(
        "clips",
        min_length=1,
        description="The folder for clips and records, or an s3://, gs:// or az:// prefix.",
    )
    dry_run: bool = Field(False, description="Say what would be done, write nothing.")
    merge_manifests: bool = Field(
        False,
        description="Join the manifests that the runs of all shards left in the output into "
        "manifest.parquet, and do nothing else.",
    )

    @model_validator(mode="after")
    def _hwaccel_needs_gpu(self) -> Self:
        check_hwaccel(self.encoder, use_hwaccel=self.use_hwaccel)
        allowed_failures(self.allow_failures, 1)
        in_shard(self.shard)
        for name in ("nvenc_resource", "cpu_resource"):
            if getattr(self, name) in RAY_RESOURCES:
                raise ValueError(
                    f"{name} is a custom resource, not Ray's own {getattr(self, name)}"
                )
        return self

    @property
    def may_use_nvenc(self) -> bool:
        """Whether a chunk of this run may be encoded on a GPU."""
        return any(row.on_gpu for row in candidates(self.encoder))

    @property
    def cpu_encoder(self) -> str | None:
        """What may encode on the CPU in this run; None if only a GPU may."""
        on_cpu = [row.name for row in candidates(self.encoder) if not row.on_gpu]
        return on_cpu[0] if on_cpu else self.nvenc_fallback or None

    @property
    def talks(self) -> bool:
        """Whether what workers print is to reach the screen."""
        return self.verbose or self.ffmpeg_verbose

    @property
    def recipe(self) -> Recipe:
        """The recipe among these settings."""
        return Recipe(**{k: getattr(self, k) for k in Recipe.model_fields})

    @property
    def execution(self) -> Execution:
        """The execution settings among these settings."""
        return Execution(**{k: getattr(self, k) for k in Execution.model_fields})


def check_hwaccel(encoder: str, *, use_hwaccel: bool) -> None:
    """Raise ValueError if decoding on the GPU is asked for without an encoder on it."""
    if use_hwaccel and not any(row.on_gpu for row in candidates(encoder)):
        raise ValueError(
            f"use_hwaccel decodes on the GPU and needs an encoder there, not {encoder}; "
            "use --encoder h264_nvenc or auto, or leave it off"
        )


def resolve(
    recipe: Recipe | None = None, execution: Execution | None = None, **given: Any
) -> Settings:
    """Settings from flow parameters over the environment over `.env` over the defaults.

    Only what was set explicitly on a model counts as given. Raises UsageError.
    """
    explicit = dict(given)
    for model in (recipe, execution):
        if model is not None:
            explicit |= {k: getattr(model, k) for k in model.model_fields_set}
    try:
        return Settings(**explicit)
    except ValidationError as error:
        raise UsageError(complaint(error)) from None
    except SettingsError as error:
        raise UsageError(f"an environment variable cannot be read: {error}") from None


def complaint(error: ValidationError) -> str:
    """A validation error in one line, with the parameters' own names."""
    parts: list[str] = []
    for detail in error.errors(include_url=False):
        name = ".".join(str(p) for p in detail["loc"])
        message = detail["msg"].removeprefix("Value error, ")
        message = message[:1].lower() + message[1:]
        given = detail.get("input")
        shown = f" (given: {given!r})" if name and not isinstance(given, dict) else ""
        parts.append(f"{name}: {message}{shown}" if name else message)
    return "; ".join(parts)
