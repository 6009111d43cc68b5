"""The records of videos and chunks: the keys of NeMo Curator's ClipWriterStage, then ours. Pure.

Its own stages, and those of cosmos-curate, find a video's chunks and clips by these keys. Nothing
is filtered, captioned or embedded here: the counts of such clips are 0.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any

from clipping.models import ChunkRecord, ClipStatus, Source, SourceRecord, SourceStatus

__all__ = ["NOT_DONE", "chunk_json", "source_json", "video_uuid"]

# What later stages count; each chunk of a video, and `summary.json` as a whole, has all of them.
NOT_DONE = (
    "num_clips_filtered_by_motion",
    "num_clips_filtered_by_aesthetic",
    "num_clips_filtered_by_qwen_classifier",
    "num_clips_filtered_by_qwen_semantic",
    "num_clips_filtered_by_artificial_text",
    "num_clips_with_embeddings",
    "num_clips_with_caption",
    "num_caption_windows",
    "num_clips_with_webp",
)


def video_uuid(uri: str) -> str:
    """The id that cosmos-curate gives a video."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, uri))


def source_json(record: SourceRecord) -> str:
    """The record of a video as JSON text.

    A video that failed has no number of chunks: to their readers it is not processed.
    """
    theirs: dict[str, Any] = {"video": record.uri}
    if record.source is not None:
        video, audio = record.source.video, record.source.sound
        theirs |= {
            "height": video.height,
            "width": video.width,
            "framerate": video.fps,
            "num_frames": video.frame_count,
            "duration": float(video.duration),
            "video_codec": video.codec,
            "pixel_format": video.pixel_format,
            "audio_format": audio.codec if audio else None,
        }
    if record.status is not SourceStatus.FAILED:
        theirs |= {"num_total_clips": record.clips, "num_clip_chunks": record.chunks}
    theirs["video_uuid"] = video_uuid(record.uri)
    return _json(theirs, record.model_dump(mode="json"))


def chunk_json(record: ChunkRecord, source: Source) -> str:
    """The record of a chunk of a video as JSON text.

    Their `clips` are the ids of the clips that are written; ours are in `clip_records`, with those
    that failed or have no frames.
    """
    written = [clip for clip in record.clips if clip.status is ClipStatus.WRITTEN]
    base = source.video.time_base
    lengths = [
        float(r.clip.seconds_at(r.clip.end_pts, base) - r.clip.seconds_at(r.start_pts, base))
        for r in written
    ]
    ids = [r.clip.id for r in written]
    theirs: dict[str, Any] = {
        "video": source.file.uri,
        "clip_chunk_index": record.chunk,
        "num_clips_passed": len(ids),
        "num_clips_transcoded": len(ids),
        **dict.fromkeys(NOT_DONE, 0),
        "total_clip_duration": sum(lengths),
        "max_clip_duration": max(lengths, default=0.0),
        "total_prompt_tokens": 0,
        "total_output_tokens": 0,
        "clips": ids,
        "filtered_clips": [],
        "all_windows": {i: {} for i in ids},
        "all_windows_enhanced_caption": {i: {} for i in ids},
    }
    ours = record.model_dump(mode="json")
    ours["clip_records"] = ours.pop("clips")
    return _json(theirs, ours)


def _json(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> str:
    assert not theirs.keys() & ours.keys()
    return json.dumps({**theirs, **ours}, indent=1, ensure_ascii=False)
