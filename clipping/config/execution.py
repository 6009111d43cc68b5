"""Where and how fast the work is done; never what a clip holds."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_settings import NoDecode

from clipping.config.form import EXECUTION_FORM, in_groups
from clipping.config.units import Seconds
from clipping.ffmpeg.encoders import cpu_encoders
from clipping.plan.shards import in_shard
from clipping.plan.spans import exact

__all__ = ["LONGEST_RETRY_DELAY", "Execution", "allowed_failures"]

# Seconds.
LONGEST_RETRY_DELAY = 3600
_DAY = 86_400
_WEEK = 7 * _DAY

_RESOURCE_NAME = r"^[A-Za-z0-9_.:-]*$"
# Names of resources that Ray itself counts.
_RAY_RESOURCES = ("CPU", "GPU", "memory", "object_store_memory")
_EXTENSIONS = (
    *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mts", ".m2ts", ".ts", ".mpg", ".mpeg"),
    *(".flv", ".f4v", ".wmv", ".asf", ".3gp", ".3g2", ".ogv", ".mxf", ".vob", ".h264", ".264"),
    *(".hevc", ".265", ".ivf", ".dv"),
)


def _listed(value: Any) -> Any:
    """A list from the environment: JSON, or words."""
    if isinstance(value, str):
        return json.loads(value) if value.lstrip().startswith("[") else value.split()
    return value


def _extensions(given: list[str]) -> list[str]:
    if not given:
        raise ValueError("give at least one, like .mp4, or leave it out for the usual ones")
    for extension in given:
        if not re.fullmatch(r"\.?\w+(\.\w+)*", extension):
            raise ValueError(f"give extensions like .mp4, not {extension!r}")
    return given


def _custom_resource(name: str) -> str:
    if name in _RAY_RESOURCES:
        raise ValueError(f"give the name of a custom resource; {name} is one of Ray's own")
    return name


def _cpu_encoder(name: str) -> str:
    if name and name not in cpu_encoders():
        raise ValueError(f"choose one of {', '.join(cpu_encoders())}, or leave it empty")
    return name


_CustomResource = Annotated[str, AfterValidator(_custom_resource)]


class Execution(BaseModel):
    """What decides where and how fast the work is done; it never changes a clip's content."""

    model_config = ConfigDict(
        extra="forbid",
        title="Execution",
        allow_inf_nan=False,
        json_schema_extra=in_groups(EXECUTION_FORM),
    )

    num_clips_per_chunk: int = Field(
        default=32,
        ge=1,
        le=1000,
        description="The most consecutive clips in a chunk, the unit of work that a task does.",
    )
    num_cpus_per_worker: float = Field(
        default=6.0,
        gt=0,
        description="The most CPUs that a chunk may use. It uses one while there are chunks for "
        "every CPU, and more when few chunks are left.",
    )
    encoder_threads: int = Field(
        default=1,
        ge=1,
        le=64,
        description="Threads per encoder, at least; the encoder of a chunk that cannot be split "
        "gets up to 4.",
    )
    encode_batch_size: int = Field(
        default=16,
        ge=1,
        description="About how many clips one ffmpeg process encodes; more where keyframes are "
        "rare.",
    )
    nb_streams_per_gpu: int = Field(
        default=3,
        ge=1,
        le=64,
        description="How many chunks, and so encoder sessions, share a GPU.",
    )
    nvenc_resource: _CustomResource = Field(
        default="",
        pattern=_RESOURCE_NAME,
        description="Custom resource of the Ray nodes that have NVENC. Each chunk for NVENC asks "
        "for one unit of it, besides its share of a GPU.",
    )
    cpu_resource: _CustomResource = Field(
        default="",
        pattern=_RESOURCE_NAME,
        description="Custom resource of the Ray nodes that may encode on the CPU; with it, chunks "
        "for the CPU stay off all other nodes. One unit per node is enough.",
    )
    nvenc_fallback: Annotated[str, AfterValidator(_cpu_encoder)] = Field(
        default="",
        description="Encoder to use where no node can encode on a GPU; empty makes that an error.",
        json_schema_extra={"enum": ["", *cpu_encoders()]},
    )
    node_wait_s: Seconds = Field(
        default=0.0,
        ge=0,
        le=_WEEK,
        description="How many seconds to wait for a node that can run a chunk (an autoscaler may "
        "start one, a lost one may come back) before the chunk fails.",
    )
    use_hwaccel: bool = Field(
        default=False,
        description="Also decode on the GPU, for chunks that are encoded there.",
    )
    verify: Literal["packets", "decode"] = Field(
        default="packets",
        description="How each clip is verified: by its packets, or by decoding all of it as well.",
    )
    previews: bool = Field(
        default=True,
        description="Make a small picture of each clip for report.html, from the clip's first "
        "frame; it costs as much as decoding that frame.",
    )
    allow_failures: str = Field(
        default="0",
        description="How many clips and videos may fail before the run counts as failed: a "
        "number (20) or a share (0.05 or 5%). What had failed before, and is not retried, does "
        "not count.",
    )
    retry_failed: bool = Field(
        default=False,
        description="Retry videos and clips that failed permanently (damaged input) in an "
        "earlier run. A new version of the package or of ffmpeg retries them in any case.",
    )
    prune: bool = Field(
        default=False,
        description="At the end of a run that has not failed, remove stale clips, their JSON and "
        "their records: clips of another recipe, of a changed video, or of one that is gone. With "
        "dry_run, list them.",
    )
    retries: int = Field(
        default=2,
        ge=0,
        le=20,
        description="How many times a task is retried after a transient failure.",
    )
    retry_delay_s: Seconds = Field(
        default=2.0,
        ge=0,
        le=LONGEST_RETRY_DELAY,
        description="Seconds before the first retry; doubled for each further one, up to an hour.",
    )
    crash_retries: int = Field(
        default=3,
        ge=0,
        le=20,
        description="How many times work is submitted again after its worker process died.",
    )
    stall_timeout_s: Seconds = Field(
        default=300.0,
        ge=1,
        le=_DAY,
        description="Kill an ffmpeg process that makes no progress for this many seconds.",
    )
    ffmpeg_memory_gb: float = Field(
        default=0.0,
        ge=0,
        le=10_000,
        description="The most memory in GB that one ffmpeg process may take before it is killed; 0 "
        "means 80% of what its node has. Pictures larger than 8K are encoded one at a time on "
        "each node.",
    )
    extensions: Annotated[
        list[str], NoDecode, BeforeValidator(_listed), AfterValidator(_extensions)
    ] = Field(
        default_factory=lambda: list(_EXTENSIONS),
        description="File name extensions that count as videos in a folder or a glob; without any, "
        "the usual ones.",
        # A form would show each of them in a row of its own, and send them back with every run.
        exclude_if=lambda extensions: extensions == list(_EXTENSIONS),
    )
    ffmpeg_binary: str = Field(
        default="",
        description="The ffmpeg to run; empty means the one that comes with the package.",
    )
    ray_address: str = Field(
        default="",
        description="Address of a Ray cluster (HOST:PORT or ray://HOST:10001); empty starts a "
        "local one.",
    )
    shard: str = Field(
        default="",
        description="Process only this share of the videos, as NUMBER/COUNT (3/16). Independent "
        "runs of all shards together process the whole input.",
    )
    scratch_dir: str = Field(
        default="",
        description="Node-local folder for temporary files; empty means memory (/dev/shm) while "
        "it has room, then the system's temporary folder.",
    )
    verbose: bool = Field(
        default=False,
        description="Also show Prefect's and Ray's log messages, and the command of an ffmpeg "
        "that failed.",
    )
    ffmpeg_verbose: bool = Field(default=False, description="Also show ffmpeg's log messages.")

    @model_validator(mode="after")
    def _readable(self) -> Self:
        allowed_failures(self.allow_failures, 1)
        in_shard(self.shard)
        return self

    @property
    def shows_worker_output(self) -> bool:
        """Whether what workers print is to reach the screen."""
        return self.verbose or self.ffmpeg_verbose


def allowed_failures(text: str, total: int) -> int:
    """How many of `total` may fail by a setting like "20", "0.05" or "5%".

    Raises ValueError for anything else.
    """
    # Not whatever `exact` takes: 1e999999999 keeps it busy for hours.
    if not re.fullmatch(r"\d{1,18}(\.\d{1,18})?%?", text.strip()):
        raise ValueError(f"allow_failures takes a number or a share, not {text!r}")
    value = exact(text.strip().removesuffix("%"))
    is_share = text.strip().endswith("%") or "." in text
    if text.strip().endswith("%"):
        value /= 100
    if is_share and value > 1:
        raise ValueError(f"allow_failures takes a number or a share, not {text!r}")
    return int(value * total) if is_share else int(value)
