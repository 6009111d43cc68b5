"""`summary.json`: the videos with the ids of their clips, as cosmos-curate's split pipeline has it.

Its pipeline that packs clips into shards begins with this file and finds each clip's JSON by the
id. Like the manifest it covers the output, not the run.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, TextIO

from clipping.dataset.layout import SUMMARY
from clipping.dataset.record_json import NOT_DONE, video_uuid
from clipping.dataset.table_writer import TableWriter
from clipping.dataset.tables import SUPERSEDED
from clipping.models import ClipStatus, SourceStatus
from clipping.storage.outputs import Output
from clipping.storage.scratch import SweptFolder

__all__ = ["publish_summary", "write_summary"]

_OF_A_SOURCE = ("source", "source_uri", "status", "chunks", "duration_s", "source_bytes")
_OF_A_CLIP = ("source", "source_uri", "clip", "count", "status", "duration_s")
Row = Mapping[str, Any]
_NONE_DONE: dict[str, int] = dict.fromkeys(NOT_DONE, 0)


def publish_summary(output: Output, sources: TableWriter, clips: TableWriter) -> None:
    """Put it into the output, from the finished tables. Raises StorageError."""
    with SweptFolder() as folder:
        path = Path(folder) / SUMMARY
        with open(path, "w", encoding="utf-8") as stream:
            write_summary(stream, sources.rows(_OF_A_SOURCE), clips.rows(_OF_A_CLIP))
        output.publish(path, SUMMARY)


def write_summary(stream: TextIO, sources: Iterable[Row], clips: Iterable[Row]) -> None:
    """Write it as JSON: a video after the other, then what is so of all of them.

    sources, clips: rows of the tables, both in the order of the videos' keys.
    """
    sums = _Sums()
    stream.write("{\n")
    for key, source, rows in _by_video(sources, clips):
        stream.write(f"{_json(key)}: {_json(_entry(source, rows, sums))},\n")
    # Last, since of two equal keys the last one counts: no video's name hides a number.
    stream.write(_json(_totals(sums)).removeprefix("{") + "\n")


@dataclass(slots=True)
class _Sums:
    """Over all videos; seconds and bytes of those that are processed."""

    inputs: int = 0
    processed: int = 0
    written: int = 0
    video_seconds: float = 0.0
    clip_seconds: float = 0.0
    longest: float = 0.0
    size: int = 0


def _entry(source: Row | None, rows: Sequence[Row], sums: _Sums) -> dict[str, Any]:
    """A video, from its own row, if it has one, and its clips'.

    One without a clip that failed, or was never finished, is not processed.
    """
    written = [row for row in rows if row["status"] == ClipStatus.WRITTEN]
    uri: str = (source or rows[0])["source_uri"]
    sums.inputs += 1
    if not written and (source is None or source["status"] == SourceStatus.FAILED):
        return {"source_video": uri, "processed": False}
    lengths: list[float] = [row["duration_s"] or 0.0 for row in written]
    sums.processed += 1
    sums.written += len(written)
    sums.clip_seconds += sum(lengths)
    sums.longest = max([sums.longest, *lengths])
    if source is not None:
        sums.video_seconds += source["duration_s"] or 0.0
        sums.size += source["source_bytes"] or 0
    return {
        "source_video": uri,
        "video_uuid": video_uuid(uri),
        "num_clip_chunks": source["chunks"] if source else 0,
        "num_total_clips": sum(row["count"] for row in rows if row["status"] != SUPERSEDED),
        "clips": [row["clip"] for row in written],
        "filtered_clips": [],
        "num_clips_passed": len(written),
        "num_clips_transcoded": len(written),
        **_NONE_DONE,
    }


def _totals(sums: _Sums) -> dict[str, Any]:
    return {
        "num_input_videos": sums.inputs,
        "num_input_videos_selected": sums.inputs,
        "num_processed_videos": sums.processed,
        "embedding_algorithm": "",
        "total_video_duration": sums.video_seconds,
        "total_clip_duration": sums.clip_seconds,
        "max_clip_duration": sums.longest,
        "total_video_bytes": sums.size,
        "num_remuxed_videos": 0,
        "total_num_clips_passed": sums.written,
        "total_num_clips_transcoded": sums.written,
        **{f"total_{name}": count for name, count in _NONE_DONE.items()},
        "total_prompt_tokens": 0,
        "total_output_tokens": 0,
    }


def _by_video(
    sources: Iterable[Row], clips: Iterable[Row]
) -> Iterator[tuple[str, Row | None, list[Row]]]:
    """Each video that either table tells of, in order: its own row, if any, and its clips'."""
    of_sources = ((row["source"], 0, row) for row in sources)
    of_clips = ((row["source"], 1, row) for row in clips)
    merged = heapq.merge(of_sources, of_clips, key=itemgetter(0, 1))
    for key, entries in groupby(merged, key=itemgetter(0)):
        rows = list(entries)
        own = next((row for _, kind, row in rows if kind == 0), None)
        yield key, own, [row for _, kind, row in rows if kind == 1]


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
