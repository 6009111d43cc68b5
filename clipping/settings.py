"""All parameters: the recipe decides the bytes of a clip, the execution decides where and how.

Each is settable by a `.env` file, the environment (`CLIPPING_CLIP_LEN_S`), a flag
(`--clip-len-s`) and as a flow parameter; the later of these wins. The names that NeMo
Curator's FixedStrideExtractorStage and ClipTranscodingStage have are kept.
"""

from __future__ import annotations

import hashlib
import json
from fractions import Fraction
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict, SettingsError

from clipping.encoders import AUTO, Encoder, Rate, bit_rate_for, candidates
from clipping.errors import UsageError
from clipping.models import VideoFacts
from clipping.planning import exact
from clipping.shards import in_shard

__all__ = [
    "Execution",
    "Recipe",
    "Settings",
    "allowed_failures",
    "complaint",
    "resolve",
]

# Raised when the same recipe would give other bytes than before; every clip is then remade.
_RECIPE_VERSION = 2


def _listed(value: Any) -> Any:
    """A list from the environment: JSON, or words (a path may hold blanks: see `_paths`)."""
    if isinstance(value, str):
        return json.loads(value) if value.lstrip().startswith("[") else value.split()
    return value


def _paths(value: Any) -> Any:
    """Inputs from the environment: a JSON list, or one path as it stands."""
    if isinstance(value, str):
        return json.loads(value) if value.lstrip().startswith('["') else [value]
    return value


_TAG = r"^[A-Za-z0-9_.:-]*$"
# Names of resources that Ray itself counts.
_RAYS_OWN = ("CPU", "GPU", "memory", "object_store_memory")

EncoderName = Literal["libx264", "libopenh264", "h264_nvenc", "auto"]


class Recipe(BaseModel):
    """What decides the content of the clips. Changing it remakes them."""

    model_config = ConfigDict(extra="forbid", title="Recipe")

    clip_len_s: float = Field(
        10.0,
        gt=0,
        le=86_400,
        title="Clip length",
        description="Length of a clip in seconds.",
    )
    clip_stride_s: float = Field(
        10.0,
        gt=0,
        le=86_400,
        title="Clip stride",
        description="Seconds from one clip's start to the next one's; less than the length "
        "makes clips overlap, more leaves gaps.",
    )
    min_clip_length_s: float = Field(
        2.0,
        ge=0,
        title="Shortest clip",
        description="A last clip that the video's end cuts below this many seconds is dropped; "
        "unless set, never more than the clip length.",
    )
    limit_clips: int = Field(
        0,
        ge=0,
        title="Clips per video",
        description="At most so many clips a video; 0 = all.",
    )
    encoder: EncoderName = Field(
        "libx264",
        title="Encoder",
        description="Video encoder; h264_nvenc needs a GPU that has NVENC. auto uses h264_nvenc "
        "on the nodes that have it and libx264 on the others, at the same time.",
    )
    preset: str | None = Field(
        None,
        title="Preset",
        description="The encoder's preset (libx264: ultrafast … placebo, default veryfast; "
        "h264_nvenc: p1 … p7, default p4; libopenh264 has none, auto takes the defaults).",
    )
    quality: float | None = Field(
        None,
        ge=0,
        le=51,
        title="Quality",
        description="Constant quality, lower is better (libx264: CRF, default 21; h264_nvenc: CQ, "
        "default 23). libopenh264 has none: it gets a bit rate chosen from size and frame rate.",
    )
    use_input_bit_rate: bool = Field(
        False,
        title="Use the source's bit rate",
        description="Aim at the source's video bit rate instead of a constant quality.",
    )
    audio: bool = Field(
        True,
        title="Audio",
        description="Keep the first audio track: copied where MP4 may hold its codec, else AAC.",
    )
    tone_map: bool = Field(
        True,
        title="Tone-map HDR",
        description="Turn PQ and HLG video into BT.709 (SDR).",
    )
    deinterlace: bool = Field(
        True,
        title="Deinterlace",
        description="Deinterlace frames that are marked interlaced.",
    )
    max_damage: float = Field(
        0.2,
        ge=0,
        le=1,
        title="Largest damage",
        description="The largest share of a clip's frames that may be lost or damaged in the "
        "source. Such a clip is written and its record says so; beyond this it fails.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        # A form sends its defaults as well. Not an assignment: what was not set stays so, and
        # the environment may replace it.
        if self.min_clip_length_s == Recipe.model_fields["min_clip_length_s"].default:
            least = min(self.min_clip_length_s, self.clip_len_s)
            object.__setattr__(self, "min_clip_length_s", least)
        if self.min_clip_length_s > self.clip_len_s:
            raise ValueError(
                f"min_clip_length_s ({self.min_clip_length_s:g}) is more than clip_len_s "
                f"({self.clip_len_s:g}), so that no clip could ever be made"
            )
        if self.preset is not None and self.encoder == AUTO:
            raise ValueError(
                "encoder auto takes no preset, since its encoders' presets differ: each uses its"
                " own default; leave preset out, or name one encoder"
            )
        row = candidates(self.encoder)[0]
        if self.preset is not None and self.preset not in row.presets:
            choices = ", ".join(row.presets) or "it has none"
            raise ValueError(f"{self.encoder} has no preset {self.preset!r} (choices: {choices})")
        if self.quality is not None and self.use_input_bit_rate:
            raise ValueError("quality and use_input_bit_rate exclude each other: give one")
        return self

    @property
    def exact_stride(self) -> tuple[Fraction, Fraction, Fraction]:
        """Length, stride and minimum in exact seconds, as they were typed."""
        return (
            exact(self.clip_len_s),
            exact(self.clip_stride_s),
            exact(self.min_clip_length_s),
        )

    def preset_for(self, row: Encoder) -> str | None:
        """The preset that was given, if `row` is what it was given for; else its default."""
        return self.preset if row.name == self.encoder else None

    def rate(self, video: VideoFacts, width: int, height: int, row: Encoder | None = None) -> Rate:
        """What `row` is to spend on a source's picture of `width` x `height` pixels.

        row: what encodes, where that is not the only encoder that the recipe names.
        """
        row = row or candidates(self.encoder)[0]
        if self.use_input_bit_rate:
            return Rate(bit_rate=max(16_000, video.bit_rate))
        quality = row.default_quality if self.quality is None else self.quality
        if row.constant_quality:
            return Rate(quality=quality)
        frames_per_second = float(video.frame_count / video.duration)
        return Rate(bit_rate=bit_rate_for(width, height, frames_per_second, quality))

    def digest(self) -> str:
        """A short digest of everything that decides the bytes of a clip."""
        values = {k: getattr(self, k) for k in Recipe.model_fields}
        text = json.dumps([_RECIPE_VERSION, values], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


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
            if getattr(self, name) in _RAYS_OWN:
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
