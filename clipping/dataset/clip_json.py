"""The JSON beside a clip: the keys of NeMo Curator's ClipWriterStage first, then ours. Pure."""

from __future__ import annotations

import json
from typing import Any

from clipping.models import ClipRecord, ClipStatus, Source, Span

__all__ = ["clip_json", "span_seconds"]


def span_seconds(span: Span) -> list[float]:
    """A span as the two decimal seconds that people read."""
    return [float(span.start), float(span.end)]


def clip_json(source: Source, record: ClipRecord, recipe_digest: str, ffmpeg_version: str) -> str:
    """The record of one clip as JSON text.

    Keys up to `has_caption` are read by the stages that follow in NeMo Curator and cosmos-curate.
    """
    clip, video = record.clip, source.video
    seconds = record.seconds(video.time_base)
    values: dict[str, Any] = {
        "span_uuid": clip.id,
        "source_video": source.file.uri,
        "duration_span": span_seconds(clip.span),
        "width_source": video.width,
        "height_source": video.height,
        "framerate_source": video.fps,
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
        "filtered_windows": [],
        "has_caption": False,
        "source_key": source.file.key,
        "source_fingerprint": source.file.fingerprint,
        "span": [str(clip.span.start), str(clip.span.end)],
        "start_frame": clip.start_frame,
        "end_frame": clip.end_frame,
        "start_pts": record.start_pts,
        "end_pts": clip.end_pts,
        "frame_rate": None if record.frame_rate is None else str(record.frame_rate),
        "on_grid": record.on_grid,
        **(
            {}
            if clip.clock is None
            else {
                "dropped_frames": record.dropped_frames,
                "repeated_frames": record.repeated_frames,
            }
        ),
        **({} if clip.stretch is None else {"stretch": clip.stretch}),
        **({} if clip.shot is None else {"shot": clip.shot}),
        **({} if clip.listed is None else {"span_id": clip.listed.id, "label": clip.listed.label}),
        "damaged_frames": record.damaged_frames,
        "time_base": str(clip.clock.time_base if clip.clock else video.time_base),
        "codec_source": video.codec,
        "duration_source": float(video.duration),
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
