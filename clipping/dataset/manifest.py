"""The tables of an output: its clips and its videos, column by column, and how they are written."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple, Self

from clipping import __version__
from clipping.dataset.clip_json import span_seconds
from clipping.dataset.layout import clip_name
from clipping.models import ClipRecord, ClipStatus, SourceFile, SourceRecord, VideoFacts
from clipping.storage.outputs import Output
from clipping.storage.scratch import SweptFolder

__all__ = [
    "FORMAT",
    "MANIFEST_COLUMNS",
    "SOURCE_COLUMNS",
    "Column",
    "Manifest",
    "Origin",
    "clip_row",
    "picked",
    "schema_of",
    "source_row",
    "with_column",
]

_ROWS_A_GROUP = 5_000
FORMAT = "3"  # of the tables; one of another format is made again from the records


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
        "Why --prune would remove it: other recipe, source changed, source vanished; else null.",
    ),
    Column("start_s", "float64", "Start of the span in seconds; 0 is the video's first frame."),
    Column("end_s", "float64", "End of the span in seconds, not part of it."),
    Column("start_frame", "int64", "Number of its first frame in the video, from 0."),
    Column("end_frame", "int64", "Number of the frame after its last one."),
    Column("start_pts", "int64", "Presentation time of the first frame it holds, in time_base."),
    Column("end_pts", "int64", "Where the display of its last frame ends, in time_base."),
    Column("time_base", "string", "Seconds in one unit of PTS, as a fraction."),
    Column("start_pts_s", "float64", "start_pts in seconds of the video's own clock."),
    Column("end_pts_s", "float64", "end_pts in seconds of the video's own clock."),
    Column("duration_s", "float64", "Seconds from start_pts to end_pts."),
    Column("frames", "int64", "Frames in the clip's file; 0 if it has none."),
    Column(
        "damaged_frames",
        "int64",
        "Of its frames, those lost or damaged in the video; null if not found out.",
    ),
    Column("fps", "float64", "Frames a second: frames / duration_s; null without a file."),
    Column("width", "int64", "Width of the clip's picture in pixels; 0 without a file."),
    Column("height", "int64", "Height of the clip's picture in pixels; 0 without a file."),
    Column("video_codec", "string", "Codec of the clip's picture."),
    Column("encoder", "string", "The encoder that made it."),
    Column("audio_codec", "string", "Codec of the clip's sound; null if it has none."),
    Column("bytes", "int64", "Size of the clip's file; 0 if it has none."),
    Column("sha256", "string", "SHA-256 of the clip's file."),
    Column("file", "string", "The clip's file, relative to the output; null if it has none."),
    Column(
        "errors",
        "string",
        "Why it failed or is absent; of a written clip, what was damaged or lost in the video.",
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
        )


def clip_row(record: ClipRecord, origin: Origin, digest: str) -> dict[str, Any]:
    """A clip as a row of the manifest."""
    clip, base = record.clip, origin.time_base
    start, end = span_seconds(clip.span)
    seconds = None if base is None else (clip.end_pts - record.start_pts) * base
    is_written = record.status is ClipStatus.WRITTEN
    return {
        "clip": clip.id,
        "source": origin.key,
        "source_uri": origin.uri,
        "source_fingerprint": origin.fingerprint,
        "source_width": origin.width,
        "source_height": origin.height,
        "source_codec": origin.codec,
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
        "time_base": None if base is None else str(base),
        "start_pts_s": None if base is None else float(record.start_pts * base),
        "end_pts_s": None if base is None else float(clip.end_pts * base),
        "duration_s": None if seconds is None else float(seconds),
        "frames": record.frames,
        "damaged_frames": record.damaged_frames,
        "fps": float(record.frames / seconds) if seconds and record.frames else None,
        "width": record.width,
        "height": record.height,
        "video_codec": record.video_codec,
        "encoder": record.encoder,
        "audio_codec": (record.audio or {}).get("codec"),
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
    video, failure = record.source.video if record.source else None, record.failure
    rate = video and (video.average_rate or video.frame_count / (video.duration or 1))
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
        "fps": None if rate is None else float(rate),
        "duration_s": None if video is None else float(video.duration),
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


def picked(table: Any, rows: Sequence[int]) -> Any:
    """These rows of an Arrow table."""
    arrow: Any = importlib.import_module("pyarrow")
    return table.take(arrow.array(rows, arrow.int64()))


def with_column(table: Any, name: str, values: Sequence[str | None]) -> Any:
    """An Arrow table with other values in a column of text."""
    arrow: Any = importlib.import_module("pyarrow")
    at: int = table.schema.get_field_index(name)
    return table.set_column(at, table.schema.field(at), arrow.array(values, arrow.string()))


class Manifest:
    """A table, written row group by row group to a temporary file, then published.

    Memory is bounded. Used in a `with`; what was not published by its end is gone.
    """

    def __init__(
        self, output: Output, name: str, columns: Sequence[Column] = MANIFEST_COLUMNS
    ) -> None:
        # Slow to import; only a run that writes needs it.
        self._arrow: Any = importlib.import_module("pyarrow")
        parquet: Any = importlib.import_module("pyarrow.parquet")
        self._output, self._name = output, name
        self._folder = SweptFolder()
        self._path = Path(self._folder.name) / "table.parquet"
        self._schema = schema_of(columns)
        self._writer: Any = parquet.ParquetWriter(
            str(self._path), self._schema, write_page_checksum=True
        )
        self._rows: list[dict[str, Any]] = []
        self.rows = 0

    def add(self, rows: Iterable[dict[str, Any]]) -> None:
        """Take in rows."""
        self._rows.extend(rows)
        if len(self._rows) >= _ROWS_A_GROUP:
            self._flush()

    def add_table(self, table: Any) -> None:
        """Take in an Arrow table; a column that it lacks is null."""
        self._flush()
        columns = [
            table[f.name].cast(f.type)
            if f.name in table.column_names
            else self._arrow.nulls(table.num_rows, f.type)
            for f in self._schema
        ]
        self._writer.write_table(self._arrow.Table.from_arrays(columns, schema=self._schema))
        self.rows += table.num_rows

    def _flush(self) -> None:
        if self._rows:
            table = self._arrow.Table.from_pylist(self._rows, schema=self._schema)
            self._writer.write_table(table)
            self.rows += len(self._rows)
            self._rows.clear()

    def publish(self, facts: Mapping[str, str]) -> None:
        """Put it into the output under its name, with `facts` in the file's metadata."""
        self._flush()
        self._writer.add_key_value_metadata(dict(facts))
        self._writer.close()
        self._output.publish(self._path, self._name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()
