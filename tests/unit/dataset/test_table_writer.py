"""Tables are in order, however their rows came, and however many there are."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from clipping.dataset.manifest import MANIFEST_COLUMNS, schema_of
from clipping.dataset.table_writer import TableWriter
from clipping.storage.outputs import open_output
from tests.support.made_up import made_up_run, videos

KEYS = ("z.mp4", "a.mp4", "ü.mp4", "\U0001f3a5.mp4", "a/b.mp4", "A.mp4", "a.mp4.mp4", "￼.mp4")


def row(source: str, number: int, digest: str) -> dict[str, Any]:
    """A row of the manifest, as far as it matters here."""
    blank: dict[str, Any] = dict.fromkeys(column.name for column in MANIFEST_COLUMNS)
    return blank | {
        "source": source, "number": number, "start_s": float(number), "clip": f"{source}-{number}",
        "recipe_digest": digest,
    }  # fmt: skip


def written(rows: Sequence[dict[str, Any]], folder: Path, *, at_once: int) -> list[dict[str, Any]]:
    """The rows as a table has them that took them in in this order."""
    name = "table.parquet"
    with TableWriter(open_output(str(folder)), name, rows_at_once=at_once) as table:
        for start in range(0, len(rows), 7):
            table.add(rows[start : start + 7])
        table.finish({"clipping.time": "1"})
        told = list(table.rows(["source", "number", "recipe_digest"]))
        table.publish()
    found = pq.read_table(folder / name)
    assert found.schema.equals(schema_of(MANIFEST_COLUMNS), check_metadata=False)
    assert pq.ParquetFile(folder / name).metadata.metadata[b"clipping.time"] == b"1"
    there = found.to_pylist()
    assert [{k: r[k] for k in ("source", "number", "recipe_digest")} for r in there] == told
    return there


@pytest.mark.parametrize("at_once", [1, 10, 64, 1000])
def test_rows_are_in_order(tmp_path: Path, at_once: int) -> None:
    """By video and number, as Python sorts texts; a table need not fit into memory for it.

    Rows that are equal in that, of two recipes, stay as they came.
    """
    rows = [row(key, number, "") for key in KEYS for number in range(12)] * 2
    random.Random(1).shuffle(rows)
    rows = [{**each, "recipe_digest": str(at)} for at, each in enumerate(rows)]
    expected = sorted(rows, key=lambda r: (r["source"], r["number"]))
    assert written(rows, tmp_path, at_once=at_once) == expected


def test_a_table_without_rows(tmp_path: Path) -> None:
    """It has its columns."""
    assert written([], tmp_path, at_once=10) == []


def test_all_runs_leave_their_tables_in_order(tmp_path: Path) -> None:
    """The manifest, the table of videos and the list of failures; rows of other runs among them."""
    out = tmp_path / "out"
    made_up_run([videos(tmp_path / "a", m=9, bad_z=1)], out, tmp_path)
    made_up_run([videos(tmp_path / "b", z=5, a=6, bad_b=1)], out, tmp_path)
    made_up_run([tmp_path / "a" / "m.mp4"], out, tmp_path, clip_len_s=2, min_clip_length_s=2)
    rows = pq.read_table(out / "manifest.parquet").to_pylist()
    places = [(r["source"], r["number"]) for r in rows]
    assert places == sorted(places)
    assert len(places) == 9 + 5 + 6 + 8
    sources = [r["source"] for r in pq.read_table(out / "sources.parquet").to_pylist()]
    assert sources == ["a.mp4", "bad_b.mp4", "bad_z.mp4", "m.mp4", "z.mp4"]
    names = [line.split(",")[0] for line in (out / "failures.csv").read_text().splitlines()]
    assert names == ["source", "bad_b.mp4", "bad_z.mp4"]


def test_facts_of_video_and_sound_stand_in_the_tables(tmp_path: Path) -> None:
    """Of each clip, and of its video, from a run and from the records alone."""
    out = tmp_path / "out"
    made_up_run([videos(tmp_path / "a", one=4)], out, tmp_path)

    def facts() -> list[list[Any]]:
        names = ["fps", "duration_s", "audio_codec", "audio_sample_rate", "audio_channels"]
        clips = pq.read_table(out / "manifest.parquet").to_pylist()
        of_clips = [[r[n] for n in (*names, "source_fps", "source_duration_s")] for r in clips]
        (source,) = pq.read_table(out / "sources.parquet").to_pylist()
        return [*of_clips, [source[n] for n in (*names, "frames", "source_bytes")]]

    with_sound, without = [10.0, 1.0, "aac", 48_000, 2], [10.0, 1.0, None, None, None]
    expected = [
        *([*facts, 10.0, 4.0] for facts in (with_sound, with_sound, without, with_sound)),
        [10.0, 4.0, "aac", 48_000, 2, 40, 4],
    ]
    assert facts() == expected
    (out / "manifest.parquet").unlink()
    made_up_run([tmp_path / "a"], out, tmp_path)
    assert facts() == expected
    # A killed run leaves neither tables nor records of chunks: the clips' own JSON tells.
    for path in (out / "manifest.parquet", *(out / "processed_clip_chunks").iterdir()):
        path.unlink()
    made_up_run([videos(tmp_path / "b", two=1)], out, tmp_path)
    clips = pq.read_table(out / "manifest.parquet").to_pylist()
    told = {(r["source_fps"], r["source_duration_s"], r["audio_channels"]) for r in clips[:4]}
    assert told == {(10.0, 4.0, 2), (10.0, 4.0, None)}
