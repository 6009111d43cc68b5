"""The report of an output with many clips, of which there are only the tables."""

from __future__ import annotations

import csv
import random
import uuid
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from clipping.dataset.failure_list import FAILURE_COLUMNS
from clipping.dataset.manifest import MANIFEST_COLUMNS, SOURCE_COLUMNS, schema_of
from clipping.dataset.report.page import RunFacts, publish_report
from clipping.storage.outputs import open_output

__all__ = ["many_clips"]


def many_clips(folder: Path, videos: int, clips: int) -> Path:
    """Write a report of `videos` videos of `clips` clips each; a hundredth failed. The page."""
    rng = random.Random(1)
    nothing = {c.name: None for c in (*MANIFEST_COLUMNS, *SOURCE_COLUMNS)}
    sources: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    for v in range(videos):
        key = f"folder {v % 97:02d}/a video {v:07d}.mp4"
        facts = {"width": 1920, "height": 1080, "codec": "h264", "fps": 25.0}
        sources.append({**nothing, **facts, "source": key, "source_uri": f"/{key}",
                        "status": "clipped", "duration_s": 5.0 * clips + 5})  # fmt: skip
        rows += [_row(nothing, key, number, rng) for number in range(clips)]
    folder.mkdir(exist_ok=True)
    for name, columns, held in (
        ("manifest.parquet", MANIFEST_COLUMNS, rows),
        ("sources.parquet", SOURCE_COLUMNS, sources),
    ):
        pq.write_table(pa.Table.from_pylist(held, schema=schema_of(columns)), folder / name)
    with open(folder / "failures.csv", "w", newline="", encoding="utf-8") as stream:
        failures = csv.DictWriter(stream, FAILURE_COLUMNS, extrasaction="ignore")
        failures.writeheader()
        failed = (row for row in rows if row["status"] == "failed")
        failures.writerows({**row, "reason": row["errors"]} for row in failed)
    coverage: Any = SimpleNamespace(
        held=SimpleNamespace(output=open_output(str(folder)), shard=""),
        time=1,
        is_changed=True,
        touched=set[str](),
    )
    publish_report(coverage, RunFacts("Clips of 10 s every 5 s.", ("made up",)))
    return folder / "report.html"


def _row(nothing: dict[str, Any], key: str, number: int, rng: random.Random) -> dict[str, Any]:
    row = {
        **nothing,
        "clip": str(uuid.UUID(int=rng.getrandbits(128))),
        "source": key,
        "source_uri": f"/{key}",
        "number": number,
        "count": 1,
        "start_s": number * 5.0,
        "end_s": number * 5.0 + 10,
        "start_frame": number * 125,
        "recipe_digest": "abc",
    }
    if rng.random() < 0.01:
        why = f"cannot be decoded at frame {rng.randrange(1000)}"
        return {**row, "status": "failed", "frames": 0, "width": 0, "height": 0, "bytes": 0,
                "errors": why, "failure_kind": "bad input"}  # fmt: skip
    return {**row, "status": "written", "frames": 250, "fps": 25.0, "duration_s": 10.0,
            "damaged_frames": 3 * (rng.random() < 0.02), "width": 1920, "height": 1080,
            "bytes": rng.randrange(500_000, 4_000_000), "encoder": "libx264",
            "audio_codec": "aac", "video_codec": "h264"}  # fmt: skip
