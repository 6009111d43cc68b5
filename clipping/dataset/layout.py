"""Names in the output, and the JSON beside a clip. Pure.

A clip's JSON holds the keys of NeMo Curator's ClipWriterStage first, then ours.
"""

from __future__ import annotations

import hashlib

__all__ = ["chunk_record_name", "clip_name", "meta_name", "record_name", "source_record_name"]


def clip_name(clip_id: str) -> str:
    """Where a clip lies below the output."""
    return f"clips/{clip_id}.mp4"


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
    return record_name(f"processed_videos/{key}", ".json")


def chunk_record_name(key: str, chunk: int) -> str:
    """Where a chunk's record lies below the output."""
    return record_name(f"processed_clip_chunks/{key}", f"_{chunk}.json")
