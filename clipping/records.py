"""Names in the output, and the JSON beside a clip. Pure.

A clip's JSON holds the keys of NeMo Curator's ClipWriterStage first, then ours.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from clipping.models import ClipRecord, ClipStatus, Source, Span

__all__ = ["clip_name", "meta", "meta_name", "record_name", "span_seconds"]


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


def span_seconds(span: Span) -> list[float]:
    """A span as the two decimal seconds that people read."""
    return [float(span.start), float(span.end)]


def meta(source: Source, record: ClipRecord, recipe_digest: str, ffmpeg_version: str) -> str:
    """The record of one clip as JSON text.

    Keys up to `windows` are read by NeMo Curator's downstream stages.
    """
    clip, video = record.clip, source.video
    seconds = (clip.end_pts - clip.start_pts) * video.time_base
    values: dict[str, Any] = {
        "span_uuid": clip.id,
        "source_video": source.file.uri,
        "duration_span": span_seconds(clip.span),
        "width_source": video.width,
        "height_source": video.height,
        "framerate_source": float(video.average_rate or video.frame_count / video.duration),
        "clip_location": record.location,
        "width": record.width,
        "height": record.height,
        "framerate": float(record.frames / seconds) if seconds > 0 else 0.0,
        "num_frames": record.frames,
        "video_codec": record.video_codec,
        "num_bytes": record.bytes,
        "valid": record.status is ClipStatus.WRITTEN,
        "errors": list(record.errors),
        "windows": [],
        "source_key": source.file.key,
        "source_fingerprint": source.file.fingerprint,
        "span": [str(clip.span.start), str(clip.span.end)],
        "start_frame": clip.start_frame,
        "end_frame": clip.end_frame,
        "start_pts": clip.start_pts,
        "end_pts": clip.end_pts,
        "time_base": str(video.time_base),
        "recipe_digest": recipe_digest,
        "ffmpeg_version": ffmpeg_version,
        "encoder": record.encoder,
        "decoder": record.decoder,
        "node": record.node,
        "sha256": record.sha256,
        "audio": record.audio,
        "seconds_spent": round(record.encode_seconds, 3),
        "record": record.model_dump(mode="json"),
    }
    return json.dumps(values, indent=1, ensure_ascii=False)
