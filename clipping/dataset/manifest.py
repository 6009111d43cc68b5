"""The table of an output's clips, written row group by row group: memory is bounded."""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

from clipping.dataset.clip_json import span_seconds
from clipping.models import ClipRecord, SourceFile
from clipping.storage.outputs import Output

__all__ = ["MANIFEST_COLUMNS", "Manifest", "clip_row"]

_ROWS_A_GROUP = 5_000
# One row a clip. Times in seconds, sizes in pixels and bytes.
MANIFEST_COLUMNS: tuple[tuple[str, str], ...] = (
    ("clip", "string"),
    ("source", "string"),
    ("source_uri", "string"),
    ("source_fingerprint", "string"),
    ("number", "int64"),
    ("status", "string"),
    ("start_s", "float64"),
    ("end_s", "float64"),
    ("start_frame", "int64"),
    ("end_frame", "int64"),
    ("start_pts", "int64"),
    ("end_pts", "int64"),
    ("frames", "int64"),
    ("damaged_frames", "int64"),
    ("width", "int64"),
    ("height", "int64"),
    ("video_codec", "string"),
    ("encoder", "string"),
    ("audio_codec", "string"),
    ("bytes", "int64"),
    ("sha256", "string"),
    ("location", "string"),
    ("errors", "string"),
    ("recipe_digest", "string"),
)


def clip_row(record: ClipRecord, file: SourceFile, digest: str) -> dict[str, Any]:
    """A clip as a row of the manifest."""
    clip = record.clip
    start, end = span_seconds(clip.span)
    return {
        "clip": clip.id,
        "source": file.key,
        "source_uri": file.uri,
        "source_fingerprint": file.fingerprint,
        "number": clip.number,
        "status": record.status.value,
        "start_s": start,
        "end_s": end,
        "start_frame": clip.start_frame,
        "end_frame": clip.end_frame,
        "start_pts": record.start_pts,
        "end_pts": clip.end_pts,
        "frames": record.frames,
        "damaged_frames": record.damaged_frames,
        "width": record.width,
        "height": record.height,
        "video_codec": record.video_codec,
        "encoder": record.encoder,
        "audio_codec": (record.audio or {}).get("codec"),
        "bytes": record.bytes,
        "sha256": record.sha256,
        "location": record.location,
        "errors": "; ".join(record.errors) or None,
        "recipe_digest": digest,
    }


class Manifest:
    """The clips' table, written row group by row group to a temporary file, then published.

    Used in a `with`; what was not published by its end is gone.
    """

    def __init__(self, output: Output, name: str) -> None:
        # Slow to import; only a run that writes needs it.
        self._arrow: Any = importlib.import_module("pyarrow")
        self._parquet: Any = importlib.import_module("pyarrow.parquet")
        schema: Any = self._arrow.schema(
            [(name, getattr(self._arrow, kind)()) for name, kind in MANIFEST_COLUMNS]
        )
        self._output, self._name = output, name
        self._folder = tempfile.TemporaryDirectory(prefix="clipping-manifest-")
        self._path = Path(self._folder.name) / "manifest.parquet"
        self._schema = schema
        self._writer: Any = self._parquet.ParquetWriter(str(self._path), schema)
        self._rows: list[dict[str, Any]] = []

    def add(self, rows: Iterable[dict[str, Any]]) -> None:
        """Take in rows."""
        self._rows.extend(rows)
        if len(self._rows) >= _ROWS_A_GROUP:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            table = self._arrow.Table.from_pylist(self._rows, schema=self._schema)
            self._writer.write_table(table)
            self._rows.clear()

    def publish(self) -> None:
        """Put it into the output under its name."""
        self._flush()
        self._writer.close()
        self._output.publish(self._path, self._name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()
