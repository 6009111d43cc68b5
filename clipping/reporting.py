"""Records to numbers, the manifest, and what a person reads. Memory is bounded throughout."""

from __future__ import annotations

import heapq
import importlib
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from clipping.models import ChunkRecord, ClipRecord, ClipStatus, Failure, SourceFile
from clipping.outputs import Output
from clipping.records import span_seconds

__all__ = [
    "MANIFEST_COLUMNS",
    "Manifest",
    "Tally",
    "clip_row",
    "count",
    "summary_lines",
    "summary_markdown",
]

_ROWS_SHOWN = 500
_FAILURES_SHOWN = 50
_SLOWEST_SHOWN = 5
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


def count(number: int, noun: str) -> str:
    """A number with its noun: 1 clip, 2 clips."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


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
        "start_pts": clip.start_pts,
        "end_pts": clip.end_pts,
        "frames": record.frames,
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


@dataclass(slots=True)
class Tally:
    """What became of everything: numbers that must add up, and a bounded choice of details."""

    sources: int = 0
    clipped: int = 0
    empty: int = 0
    failed_sources: int = 0
    planned: int = 0
    written: int = 0
    failed: int = 0
    absent: int = 0
    reused: int = 0
    damaged: int = 0
    chunks: int = 0
    chunks_done_before: int = 0
    made_seconds: float = 0.0
    frames_encoded: int = 0
    bytes_written: int = 0
    crashes: int = 0
    retries: int = 0
    passed_over: int = 0
    began: float = field(default_factory=time.monotonic)
    seconds: float = 0.0
    failures: list[tuple[str, Failure]] = field(default_factory=list[tuple[str, Failure]])
    kinds: Counter[str] = field(default_factory=Counter[str])
    reasons_empty: Counter[str] = field(default_factory=Counter[str])
    rows: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    slowest: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])
    warnings: list[str] = field(default_factory=list[str])
    warnings_total: int = 0
    encoders: Counter[str] = field(default_factory=Counter[str])
    cluster_notes: list[str] = field(default_factory=list[str])

    def add_chunk(
        self, record: ChunkRecord, file: SourceFile, *, done_before: bool
    ) -> list[dict[str, Any]]:
        """Count a finished chunk; its rows for the manifest."""
        self.chunks += 1
        self.chunks_done_before += done_before
        rows: list[dict[str, Any]] = []
        for clip in record.clips:
            self._add_clip(clip, file)
            rows.append(clip_row(clip, file, record.recipe_digest))
        room = _ROWS_SHOWN - len(self.rows)
        self.rows.extend(rows[: max(0, room)])
        if done_before:
            self.reused += sum(c.status is ClipStatus.WRITTEN for c in record.clips)
            return rows
        self.reused += record.reused
        self.frames_encoded += record.encoded_frames
        self.made_seconds += record.made_seconds
        name = f"{file.key} chunk {record.chunk}"
        heapq.heappush(self.slowest, (record.seconds, name))
        if len(self.slowest) > _SLOWEST_SHOWN:
            heapq.heappop(self.slowest)
        return rows

    def _add_clip(self, record: ClipRecord, file: SourceFile) -> None:
        if record.status is ClipStatus.WRITTEN:
            self.written += 1
            self.bytes_written += record.bytes
            self.damaged += bool(record.errors)
            self.encoders[record.encoder or "unknown"] += 1
        elif record.status is ClipStatus.FAILED:
            self.failed += 1
            if record.failure:
                self.add_failure(f"{file.key} clip {record.clip.number}", record.failure)
        else:
            self.absent += 1

    def add_failure(self, name: str, failure: Failure) -> None:
        """Keep a failure's reason, up to a bound, and count its kind."""
        self.kinds[failure.kind.value] += 1
        if len(self.failures) < _FAILURES_SHOWN:
            self.failures.append((name, failure))

    def add_warning(self, text: str) -> None:
        """Keep a warning, up to a bound."""
        self.warnings_total += 1
        if len(self.warnings) < _FAILURES_SHOWN:
            self.warnings.append(text)

    def problems(self) -> list[str]:
        """What does not add up; empty if everything planned is accounted for."""
        found: list[str] = []
        if self.written + self.failed + self.absent != self.planned:
            found.append(
                f"{self.planned} clips were planned, but {self.written} written + {self.failed}"
                f" failed + {self.absent} absent = {self.written + self.failed + self.absent}"
            )
        if self.clipped + self.empty + self.failed_sources != self.sources:
            found.append(
                f"{self.sources} videos were found, but {self.clipped} clipped + {self.empty}"
                f" without clips + {self.failed_sources} failed"
            )
        return found

    def speed(self) -> float:
        """Seconds of clips made for each second of this run."""
        return self.made_seconds / self.seconds if self.seconds else 0.0


def summary_lines(tally: Tally, output: str) -> list[str]:
    """A few lines for a terminal: what was done, how fast, what is missing."""
    made = tally.written - tally.reused
    parts = [f"{count(tally.written, 'clip')} from {count(tally.clipped, 'video')} in {output}"]
    if made and tally.reused:
        parts.append(f"{made} made now, {tally.reused} were there already")
    elif tally.reused and not made:
        parts.append("all of them were there already: nothing was encoded")
    if made:
        parts.append(
            f"{tally.made_seconds:.0f} s of clips in {tally.seconds:.1f} s"
            f" ({tally.speed():.1f}x real time,"
            f" {tally.frames_encoded / max(tally.seconds, 0.001):.0f} frames/s)"
        )
    if len(tally.encoders) > 1:
        parts.append(f"clips: {_by_encoder(tally)}")
    return [*parts, *tally.cluster_notes]


def _by_encoder(tally: Tally) -> str:
    return ", ".join(f"{n} by {name}" for name, n in sorted(tally.encoders.items()))


def summary_markdown(tally: Tally, output: str, about: Iterable[tuple[str, str]]) -> str:
    """The run's summary for Prefect's page."""
    made = tally.written - tally.reused
    rows = [
        (
            "Videos",
            f"{tally.sources}: {tally.clipped} clipped, {tally.empty} without clips,"
            f" {tally.failed_sources} failed",
        ),
        ("Clips planned", f"{tally.planned}"),
        (
            "Clips written",
            f"{tally.written} ({made} made now, {tally.reused} there already)",
        ),
        ("Clips failed", f"{tally.failed}"),
        ("Clips absent", f"{tally.absent}"),
        ("Clips with damage in the source", f"{tally.damaged}"),
        ("Chunks", f"{tally.chunks} ({tally.chunks_done_before} done before)"),
        ("Seconds of clips made", f"{tally.made_seconds:.1f}"),
        ("Speed", f"{tally.speed():.2f}x real time"),
        (
            "Frames encoded",
            f"{tally.frames_encoded}"
            f" ({tally.frames_encoded / max(tally.seconds, 0.001):.0f} a second)",
        ),
        ("Bytes of clips", f"{tally.bytes_written}"),
        ("Retries", f"{tally.retries}"),
        ("Workers lost", f"{tally.crashes}"),
        ("Encoded", _by_encoder(tally)),
        ("Wall time", f"{tally.seconds:.1f} s"),
        ("Output", f"`{output}`"),
        *(("Cluster", note) for note in tally.cluster_notes),
        *about,
    ]
    text = ["# Clips", "", "| | |", "| --- | --- |"]
    text += [f"| {name} | {_cell(value)} |" for name, value in rows]
    if tally.problems():
        text += ["", "## It does not add up", "", *(f"- {p}" for p in tally.problems())]
    if tally.failures:
        text += [
            "",
            "## What failed, and why",
            "",
            "| what | kind | why |",
            "| --- | --- | --- |",
        ]
        text += [
            f"| {_cell(name)} | {f.kind.value} | {_cell(f.message)} |" for name, f in tally.failures
        ]
        total = sum(tally.kinds.values())
        if total > len(tally.failures):
            text += [
                "",
                f"The first {len(tally.failures)} of {total}; the manifest has all.",
            ]
    if tally.reasons_empty:
        text += ["", "## Videos without clips", ""]
        text += [f"- {n} x {reason}" for reason, n in tally.reasons_empty.most_common(10)]
    if tally.slowest:
        text += ["", "## Slowest chunks", "", "| chunk | seconds |", "| --- | --- |"]
        text += [f"| {_cell(name)} | {s:.1f} |" for s, name in sorted(tally.slowest, reverse=True)]
    if tally.warnings:
        text += [
            "",
            "## Noticed in the sources",
            "",
            *(f"- {w}" for w in tally.warnings),
        ]
        if tally.warnings_total > len(tally.warnings):
            text += [f"- … {tally.warnings_total - len(tally.warnings)} more"]
    return "\n".join(text)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
