"""The tables of an output: its clips and its videos, column by column."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, NamedTuple

from clipping import __version__
from clipping.dataset.clip_json import span_seconds
from clipping.dataset.layout import clip_name
from clipping.models import (
    Clip,
    ClipRecord,
    ClipStatus,
    SourceFile,
    SourceRecord,
    Stretch,
    VideoFacts,
)

__all__ = [
    "FORMAT",
    "MANIFEST_COLUMNS",
    "SOURCE_COLUMNS",
    "Column",
    "Origin",
    "clip_row",
    "schema_of",
    "source_row",
]

FORMAT = "5"  # of the tables; one of another format is made again from the records


class Column(NamedTuple):
    """A column of a table: its name, its Arrow type, and what stands in it."""

    name: str
    type: str
    description: str


# One row a clip. Times in seconds, sizes in pixels and bytes.
MANIFEST_COLUMNS: tuple[Column, ...] = (
    Column("clip", "string", "Id of the clip: the name of its file and of its JSON."),
    Column("source", "string", "Key of its video: the path relative to the input."),
    Column("source_uri", "string", "Where the video was read from."),
    Column("source_fingerprint", "string", "Size and time of change, or ETag, of the video."),
    Column("source_width", "int64", "Width of the video's picture in pixels, rotation applied."),
    Column("source_height", "int64", "Height of the video's picture in pixels."),
    Column("source_codec", "string", "Codec of the video; null where records do not tell it."),
    Column("source_fps", "float64", "Average frame rate of the video; null as above."),
    Column("source_duration_s", "float64", "Seconds that the video lasts; null as above."),
    Column("number", "int64", "Number of the clip in its video, from 0."),
    Column("count", "int64", "Clips that the row tells of: 1, or more consecutive absent ones."),
    Column(
        "status",
        "string",
        "written; failed (see errors); absent (no frame lies in the span); superseded (made with"
        " another recipe, or of an older version of the video, than the video's other clips).",
    ),
    Column(
        "stale",
        "string",
        "Why --prune would remove it: other recipe, source changed, source vanished, not asked for"
        " (by a list of spans, any more); else null.",
    ),
    Column("start_s", "float64", "Start of the span in seconds; 0 is the video's first frame."),
    Column("end_s", "float64", "End of the span in seconds, not part of it."),
    Column(
        "start_frame",
        "int64",
        "Number of its first frame in the video, from 0. With fps, frames and PTS are counted at"
        " that rate, from the video's first frame on.",
    ),
    Column("end_frame", "int64", "Number of the frame after its last one."),
    Column("start_pts", "int64", "Presentation time of the first frame it holds, in time_base."),
    Column("end_pts", "int64", "Where the display of its last frame ends, in time_base."),
    Column("time_base", "string", "Seconds in one unit of PTS, as a fraction."),
    Column(
        "shot", "int64", "Number of the shot that it lies in, from 0; null without spans scenes."
    ),
    Column(
        "asked_start_s",
        "float64",
        "Of a copied clip, the start that was asked for; start_s is the keyframe near it.",
    ),
    Column("asked_end_s", "float64", "Of a copied clip, the end that was asked for; else null."),
    Column("span_id", "string", "What the list of spans calls it; null if it does not."),
    Column("label", "string", "Its label in the list of spans; null if there is none."),
    Column("start_pts_s", "float64", "start_pts in seconds of the video's own clock."),
    Column("end_pts_s", "float64", "end_pts in seconds of the video's own clock."),
    Column("duration_s", "float64", "Seconds that it lasts, or was planned to."),
    Column("frames", "int64", "Frames in the clip's file; 0 if it has none."),
    Column(
        "damaged_frames",
        "int64",
        "Of its frames, those lost or damaged in the video; null if not found out.",
    ),
    Column("fps", "float64", "Frames a second: frames / duration_s; null without a file."),
    Column(
        "frame_rate",
        "string",
        "Frames a second as a fraction, if all are shown for equally long; else null.",
    ),
    Column(
        "on_grid",
        "bool_",
        "Whether its times are those of the video's constant rate, not its rounded PTS.",
    ),
    Column(
        "dropped_frames",
        "int64",
        "With fps, how many frames of the video fall into the clip and are not shown; else null.",
    ),
    Column(
        "repeated_frames",
        "int64",
        "With fps, how many frames of the clip show the same as the one before; else null.",
    ),
    Column("width", "int64", "Width of the clip's picture in pixels; 0 without a file."),
    Column("height", "int64", "Height of the clip's picture in pixels; 0 without a file."),
    Column("video_codec", "string", "Codec of the clip's picture."),
    Column("encoder", "string", "The encoder that made it."),
    Column("audio_codec", "string", "Codec of the clip's sound; null if it has none."),
    Column(
        "audio_sample_rate", "int64", "Sample rate of the clip's sound in Hz; null if it has none."
    ),
    Column("audio_channels", "int64", "Channels of the clip's sound; null if it has none."),
    Column("bytes", "int64", "Size of the clip's file; 0 if it has none."),
    Column("sha256", "string", "SHA-256 of the clip's file."),
    Column("file", "string", "The clip's file, relative to the output; null if it has none."),
    Column(
        "errors",
        "string",
        "Why it failed or is absent; of a written clip, what was damaged or lost in the video, or"
        " changed within the clip.",
    ),
    Column("failure_kind", "string", "Kind of the failure of a failed clip; else null."),
    Column("recipe_digest", "string", "Digest of the recipe that it was made with."),
)

# One row a video.
SOURCE_COLUMNS: tuple[Column, ...] = (
    Column("source", "string", "Key of the video: the path relative to the input."),
    Column("source_uri", "string", "Where it was read from."),
    Column("source_fingerprint", "string", "Size and time of change, or ETag."),
    Column("status", "string", "clipped; no clips (see reason); failed (see reason)."),
    Column("failure_kind", "string", "Kind of the failure of a failed video; else null."),
    Column("reason", "string", "Why it failed or has no clips; else null."),
    Column("chunks", "int64", "How many chunks its clips were made in."),
    Column("clips", "int64", "How many rows of the manifest are its clips, superseded ones not."),
    Column("clips_written", "int64", "How many of these are written."),
    Column("bytes", "int64", "Size of its written clips in all."),
    Column("width", "int64", "Width of its picture in pixels; null if it could not be read."),
    Column("height", "int64", "Height of its picture in pixels."),
    Column("codec", "string", "Codec of its picture."),
    Column("fps", "float64", "Average frame rate."),
    Column("duration_s", "float64", "Seconds from its first frame to its last one's end."),
    Column("frames", "int64", "Its frames, counted."),
    Column(
        "audio_codec",
        "string",
        "Codec of its default track of sound, or the first; null if none.",
    ),
    Column("audio_sample_rate", "int64", "Sample rate of that track in Hz."),
    Column("audio_channels", "int64", "Channels of that track."),
    Column("source_bytes", "int64", "Size of the video's own file; null if it was not opened."),
    Column("recipe_digest", "string", "Digest of the recipe that it was clipped with."),
    Column("complete", "bool_", "Whether every clip in the manifest stands in a record, too."),
    Column("record", "string", "Its record in the output, without the video's facts, as JSON."),
)


@dataclass(frozen=True, slots=True)
class Origin:
    """What a clip's row tells of its video; sizes in pixels, 0 where they are not known."""

    key: str
    uri: str
    fingerprint: str
    time_base: Fraction | None
    width: int = 0
    height: int = 0
    codec: str | None = None
    fps: float | None = None
    duration_s: float | None = None
    stretches: tuple[Stretch, ...] = ()

    @classmethod
    def recorded(cls, file: SourceFile | SourceRecord, record: SourceRecord) -> Origin:
        """Of a video that has a record, perhaps of several recordings in it."""
        source = record.source
        if source is None:
            return cls.of(file, None)
        return replace(cls.of(file, source.video), stretches=source.stretches)

    @classmethod
    def of(cls, file: SourceFile | SourceRecord, video: VideoFacts | None) -> Origin:
        """Of a video whose facts are known, or not."""
        if video is None:
            return cls(file.key, file.uri, file.fingerprint, None)
        return cls(
            file.key,
            file.uri,
            file.fingerprint,
            video.time_base,
            video.width,
            video.height,
            video.codec,
            video.fps,
            float(video.duration),
        )

    def facts_of(self, clip: Clip) -> Origin | Stretch:
        """What holds the size and codec of the pictures that a clip is made of."""
        return next((s for s in self.stretches if s.number == clip.stretch), self)


def clip_row(record: ClipRecord, origin: Origin, digest: str) -> dict[str, Any]:
    """A clip as a row of the manifest."""
    clip, base, audio = record.clip, origin.time_base, record.audio or {}
    pictures = origin.facts_of(clip)
    start, end = span_seconds(clip.span)
    seconds = None if base is None else record.seconds(base)
    is_written = record.status is ClipStatus.WRITTEN
    unit = clip.clock.time_base if clip.clock else base
    return {
        "clip": clip.id,
        "source": origin.key,
        "source_uri": origin.uri,
        "source_fingerprint": origin.fingerprint,
        "source_width": pictures.width,
        "source_height": pictures.height,
        "source_codec": pictures.codec,
        "source_fps": origin.fps,
        "source_duration_s": origin.duration_s,
        "number": clip.number,
        "count": clip.count,
        "status": record.status.value,
        "stale": None,
        "start_s": start,
        "end_s": end,
        "start_frame": clip.start_frame,
        "end_frame": clip.end_frame,
        "start_pts": record.start_pts,
        "end_pts": clip.end_pts,
        "time_base": None if unit is None else str(unit),
        "shot": clip.shot,
        "asked_start_s": clip.asked_span and float(clip.asked_span.start),
        "asked_end_s": clip.asked_span and float(clip.asked_span.end),
        "span_id": clip.listed and clip.listed.id,
        "label": clip.listed and clip.listed.label,
        "start_pts_s": None if base is None else float(clip.seconds_at(record.start_pts, base)),
        "end_pts_s": None if base is None else float(clip.seconds_at(clip.end_pts, base)),
        "duration_s": None if seconds is None else float(seconds),
        "frames": record.frames,
        "damaged_frames": record.damaged_frames,
        "fps": float(record.frames / seconds) if seconds and record.frames else None,
        "frame_rate": None if record.frame_rate is None else str(record.frame_rate),
        "on_grid": record.on_grid,
        "dropped_frames": record.dropped_frames,
        "repeated_frames": record.repeated_frames,
        "width": record.width,
        "height": record.height,
        "video_codec": record.video_codec,
        "encoder": record.encoder,
        "audio_codec": audio.get("codec"),
        "audio_sample_rate": audio.get("sample_rate"),
        "audio_channels": audio.get("channels"),
        "bytes": record.bytes,
        "sha256": record.sha256,
        "file": clip_name(clip.id) if is_written else None,
        "errors": "; ".join(record.errors) or None,
        "failure_kind": record.failure.kind.value if record.failure else None,
        "recipe_digest": digest,
    }


def source_row(
    record: SourceRecord, *, clips: int, written: int, size: int, complete: bool
) -> dict[str, Any]:
    """A video as a row of the table of videos; counts are of its rows in the manifest."""
    source, failure = record.source, record.failure
    video = source and source.video
    audio = source.sound if source else None
    return {
        "source": record.key,
        "source_uri": record.uri,
        "source_fingerprint": record.fingerprint,
        "status": record.status.value,
        "failure_kind": failure.kind.value if failure else None,
        "reason": failure.message if failure else record.reason,
        "chunks": record.chunks,
        "clips": clips,
        "clips_written": written,
        "bytes": size,
        "width": video and video.width,
        "height": video and video.height,
        "codec": video and video.codec,
        "fps": video and video.fps,
        "duration_s": video and float(video.duration),
        "frames": video and video.frame_count,
        "audio_codec": audio and audio.codec,
        "audio_sample_rate": audio and audio.sample_rate,
        "audio_channels": audio and audio.channels,
        "source_bytes": source and source.file.size,
        "recipe_digest": record.recipe_digest,
        "complete": complete,
        "record": record.model_dump_json(exclude={"source"}, exclude_none=True),
    }


def schema_of(columns: Sequence[Column]) -> Any:
    """The Arrow schema of a table, with a description in each field's metadata."""
    arrow: Any = importlib.import_module("pyarrow")
    return arrow.schema(
        [
            arrow.field(c.name, getattr(arrow, c.type)(), metadata={"description": c.description})
            for c in columns
        ],
        metadata={"clipping.version": __version__, "clipping.format": FORMAT},
    )
