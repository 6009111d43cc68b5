"""What folders and files of an output are called, below its root. Pure.

No other module spells these names. The layout is the one that NeMo Curator's downstream stages
read.
"""

from __future__ import annotations

import hashlib
import re
from datetime import datetime

from clipping.plan.shards import shard_label

__all__ = [
    "CHUNK_RECORDS",
    "CLIPS",
    "FAILURES",
    "MANIFEST",
    "MANIFESTS",
    "PREVIEWS",
    "REPORT",
    "SOURCES",
    "SUMMARY",
    "UNDERWAY",
    "VIDEO_RECORDS",
    "chunk_record_name",
    "clip_file",
    "clip_id_of",
    "clip_name",
    "failures_name",
    "log_name",
    "manifest_name",
    "meta_name",
    "own_folders",
    "preview_file",
    "preview_name",
    "record_name",
    "report_folder",
    "report_name",
    "run_name",
    "shard_manifest",
    "shard_of_manifest",
    "shots_name",
    "source_record_name",
    "sources_name",
    "underway_file",
]


CLIPS = "clips"
PREVIEWS = "previews"
MANIFESTS = "manifests"
MANIFEST = "manifest.parquet"
SOURCES = "sources.parquet"
FAILURES = "failures.csv"
SUMMARY = "summary.json"
REPORT = "report.html"
UNDERWAY = ".underway"
VIDEO_RECORDS = "processed_videos"
SHOTS = "shots"
CHUNK_RECORDS = "processed_clip_chunks"


def clip_file(clip_id: str) -> str:
    """What a clip is called in the folder of clips."""
    return f"{clip_id}.mp4"


_CLIP_FILE = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.mp4")


def clip_id_of(file: str) -> str | None:
    """The id of the clip that a file in the folder of clips is; None if it is none."""
    found = _CLIP_FILE.fullmatch(file)
    return found[1] if found else None


def clip_name(clip_id: str) -> str:
    """Where a clip lies below the output."""
    return f"{CLIPS}/{clip_file(clip_id)}"


def preview_file(clip_id: str) -> str:
    """What a clip's small picture is called in the folder of previews."""
    return f"{clip_id}.jpg"


def preview_name(clip_id: str) -> str:
    """Where a clip's small picture lies below the output."""
    return f"{PREVIEWS}/{preview_file(clip_id)}"


def shard_manifest(shard: str) -> str:
    """What the manifest of a shard's run is called in the folder of manifests."""
    return f"{shard_label(shard)}.parquet"


def shard_of_manifest(file: str) -> str | None:
    """The shard ("3/16") that a file in the folder of manifests is of; None if it is none."""
    found = re.fullmatch(r"(\d+)-of-(\d+)\.parquet", file)
    return f"{found[1]}/{found[2]}" if found else None


def manifest_name(shard: str) -> str:
    """Where a run's manifest lies below the output."""
    return f"{MANIFESTS}/{shard_manifest(shard)}" if shard else MANIFEST


def log_name(began: datetime, run_id: str) -> str:
    """Where the log of a run that began then lies below the output; logs sort by their time."""
    return f"logs/{began:%Y-%m-%dT%H-%M-%SZ}-{run_id[:8]}.log"


def run_name(shard: str) -> str:
    """Where the id of the flow run that works on the output lies meanwhile."""
    return f".flow-run-{shard_label(shard)}"


def sources_name(shard: str) -> str:
    """Where a run's table of videos lies below the output."""
    return f"{MANIFESTS}/{shard_label(shard)}.{SOURCES}" if shard else SOURCES


def failures_name(shard: str) -> str:
    """Where a run's list of what did not become a clip lies below the output."""
    return f"{MANIFESTS}/{shard_label(shard)}.{FAILURES}" if shard else FAILURES


def report_name(shard: str) -> str:
    """Where a run's report lies below the output."""
    return f"{MANIFESTS}/{shard_label(shard)}.{REPORT}" if shard else REPORT


def report_folder(shard: str) -> str:
    """Where what a run's report shows lies below the output."""
    return report_name(shard).removesuffix(".html")


def underway_file(shard: str) -> str:
    """What a run's note of the videos whose records it changes is called."""
    return f"{shard_label(shard)}.json"


def own_folders(output: str) -> list[str]:
    """The folders of an output that hold no sources, for when it lies within the input."""
    root = output.removeprefix("file://").rstrip("/")
    return [root, f"{root}/{CLIPS}"]


def meta_name(clip_id: str) -> str:
    """Where a clip's record lies below the output."""
    return f"metas/v0/{clip_id}.json"


_PART_LIMIT = 255  # bytes in a file name, on every common file system
_NAME_LIMIT = 900  # bytes in all: S3 takes 1024 in a key, the output's prefix among them


def record_name(key: str, suffix: str) -> str:
    """The relative path of a source's record: its key and `suffix`, within what stores take.

    A part of the key that is too long, empty, not printable, or would lead elsewhere is replaced
    by its start and a digest, so that two keys never share a record.
    """
    parts = key.split("/")
    name = "/".join([*(_fitting(p, "") for p in parts[:-1]), _fitting(parts[-1], suffix)])
    if len(name.encode()) <= _NAME_LIMIT:
        return name
    return f"{_fitting(parts[0], '')}/{_digested('/'.join(parts[1:]), suffix)}"


def _fitting(part: str, suffix: str) -> str:
    fits = len((part + suffix).encode()) <= _PART_LIMIT and part.isprintable()
    return part + suffix if fits and part not in ("", ".", "..") else _digested(part, suffix)


def _digested(part: str, suffix: str) -> str:
    digest = hashlib.sha256(part.encode()).hexdigest()[:16]
    room = _PART_LIMIT - len(suffix.encode()) - len(digest) - 1
    start = part.encode()[:room].decode(errors="ignore").replace("/", "_").strip(".")
    start = "".join(c if c.isprintable() else "_" for c in start)
    return f"{start}~{digest}{suffix}"


def source_record_name(key: str) -> str:
    """Where a source's record lies below the output."""
    return record_name(f"{VIDEO_RECORDS}/{key}", ".json")


def shots_name(key: str) -> str:
    """Where the shots of a source lie below the output."""
    return record_name(f"{SHOTS}/{key}", ".json")


def chunk_record_name(key: str, chunk: int) -> str:
    """Where a chunk's record lies below the output."""
    return record_name(f"{CHUNK_RECORDS}/{key}", f"_{chunk}.json")
