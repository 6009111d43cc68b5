"""Where and how fast the work is done; never what a clip holds."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
)
from pydantic_settings import NoDecode

from clipping.plan.spans import exact

__all__ = ["Execution", "allowed_failures"]


def _listed(value: Any) -> Any:
    """A list from the environment: JSON, or words (a path may hold blanks: see `_paths`)."""
    if isinstance(value, str):
        return json.loads(value) if value.lstrip().startswith("[") else value.split()
    return value


_TAG = r"^[A-Za-z0-9_.:-]*$"


# Names of resources that Ray itself counts.
RAY_RESOURCES = ("CPU", "GPU", "memory", "object_store_memory")


class Execution(BaseModel):
    """What decides where and how the work is done; it never changes a clip's content."""

    model_config = ConfigDict(extra="forbid", title="Execution")

    num_clips_per_chunk: int = Field(
        32,
        ge=1,
        le=1000,
        description="At most so many consecutive clips in a chunk (one task).",
    )
    num_cpus_per_worker: float = Field(
        6.0,
        gt=0,
        description="The most CPUs a chunk may use; it asks for what it can use.",
    )
    encoder_threads: int = Field(
        1,
        ge=1,
        le=64,
        description="Threads of one encoder while there is work for every CPU.",
    )
    encode_batch_size: int = Field(
        16,
        ge=1,
        description="At most about so many clips for one ffmpeg process; more where keyframes are"
        " rare.",
    )
    nb_streams_per_gpu: int = Field(
        3,
        ge=1,
        le=64,
        description="NVENC chunks, and so encoder sessions, on a GPU at a time.",
    )
    nvenc_resource: str = Field(
        "",
        pattern=_TAG,
        description="A custom resource of the Ray nodes that have NVENC; each NVENC chunk asks "
        "for one unit of it besides its share of a GPU.",
    )
    cpu_resource: str = Field(
        "",
        pattern=_TAG,
        description="A custom resource of the Ray nodes that chunks for the CPU may use; with it "
        "they stay off all others. One unit on a node is enough.",
    )
    nvenc_fallback: Literal["", "libx264", "libopenh264"] = Field(
        "",
        description="What encodes instead of h264_nvenc where no node can; empty makes that an "
        "error.",
    )
    node_wait_s: float = Field(
        0.0,
        ge=0,
        description="How long chunks wait for a node that has what they ask for, one that an "
        "autoscaler starts or that was lost, before they fail.",
    )
    use_hwaccel: bool = Field(
        False,
        description="Decode on the GPU too, for chunks that are encoded there.",
    )
    verify: Literal["packets", "decode"] = Field(
        "packets",
        description="How a clip is proved: by its packets, or by decoding all of it as well.",
    )
    allow_failures: str = Field(
        "0",
        description="How many clips and sources may fail before the run counts as failed: a "
        "number (20) or a share (0.05 or 5%).",
    )
    retry_failed: bool = Field(
        False,
        description="Try clips again that failed for good (bad input) in an earlier run.",
    )
    retries: int = Field(
        2,
        ge=0,
        le=20,
        description="How often a task is tried again after what can pass.",
    )
    retry_delay_s: float = Field(
        2.0,
        ge=0,
        description="Seconds before the first retry; doubled for each further one.",
    )
    crash_retries: int = Field(
        3,
        ge=0,
        le=20,
        description="How often work is submitted again whose worker died.",
    )
    stall_timeout_s: float = Field(
        300.0,
        gt=0,
        description="An ffmpeg that makes no progress for so many seconds is ended.",
    )
    extensions: Annotated[list[str], NoDecode, BeforeValidator(_listed)] = Field(
        default_factory=lambda: list(_EXTENSIONS),
        description="File name endings taken for videos when an input is a folder or a glob.",
    )
    ffmpeg_binary: str = Field(
        "",
        description="The ffmpeg to use; empty means the one that comes with the package.",
    )
    ray_address: str = Field(
        "",
        description="A Ray cluster (HOST:PORT or ray://HOST:10001); empty starts a local one.",
    )
    shard: str = Field(
        "",
        description="Clip only this share of the videos, as NUMBER/COUNT (3/16): runs of all "
        "shards split the input without talking to each other.",
    )
    scratch_dir: str = Field(
        "",
        description="Node-local folder for temporary files; empty means memory (/dev/shm) while "
        "it has room, then the system's temporary folder.",
    )
    verbose: bool = Field(False, description="Say more: Prefect's and Ray's own messages as well.")
    ffmpeg_verbose: bool = Field(False, description="Pass on ffmpeg's own log.")


_EXTENSIONS = (
    *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mts", ".m2ts", ".ts", ".mpg", ".mpeg"),
    *(".flv", ".f4v", ".wmv", ".asf", ".3gp", ".3g2", ".ogv", ".mxf", ".vob", ".h264", ".264"),
    *(".hevc", ".265", ".ivf", ".dv"),
)


def allowed_failures(text: str, total: int) -> int:
    """How many of `total` may fail by a setting like "20", "0.05" or "5%".

    Raises ValueError for anything else.
    """
    try:
        value = exact(text.strip().removesuffix("%"))
    except ValueError:
        raise ValueError(f"allow_failures takes a number or a share, not {text!r}") from None
    is_share = text.strip().endswith("%") or "." in text
    if text.strip().endswith("%"):
        value /= 100
    if value < 0 or (is_share and value > 1):
        raise ValueError(f"allow_failures takes a number or a share, not {text!r}")
    return int(value * total) if is_share else int(value)
