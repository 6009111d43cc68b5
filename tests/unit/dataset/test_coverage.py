"""The manifest covers the output: whichever run made a clip, and whatever became of the run."""

from __future__ import annotations

import csv
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from clipping.dataset.merge import merge_manifests
from clipping.models import Chunk
from clipping.plan.shards import in_shard
from clipping.storage.outputs import open_output
from tests.support.made_up import Killed, made_up_run, rows_of, videos


def statuses(output: Path) -> Counter[tuple[str, str, str | None]]:
    """How many rows a video has by status and staleness; every file is told of exactly once."""
    rows = rows_of(output)
    files = {row["file"] for row in rows if row["file"]}
    there = {f"clips/{path.name}" for path in (output / "clips").iterdir()}
    assert files == there
    assert len({row["clip"] for row in rows}) == len(rows)
    for row in rows:
        if row["file"]:
            assert (output / row["file"]).stat().st_size == row["bytes"]
    return Counter((row["source"], row["status"], row["stale"]) for row in rows)


def test_a_second_run_with_other_inputs_keeps_the_first_ones_rows(tmp_path: Path) -> None:
    """Each clip of the output has its row, whoever made it; also once the output was moved."""
    a, b = videos(tmp_path / "a", one=3), videos(tmp_path / "b", two=5, three=2)
    out = tmp_path / "out"
    made_up_run([a], out, tmp_path)
    _, holding = made_up_run([b], out, tmp_path)
    assert (holding.clips, holding.elsewhere) == (10, 3)
    shutil.move(out, tmp_path / "moved")
    assert statuses(tmp_path / "moved") == {
        ("one.mp4", "written", None): 3,
        ("two.mp4", "written", None): 5,
        ("three.mp4", "written", None): 2,
    }


@pytest.mark.parametrize("torn", ["gone", "cut", "old", "garbled"])
def test_without_a_manifest_the_records_tell(tmp_path: Path, torn: str) -> None:
    """Lost, torn, or of an older version: rows come back from the records."""
    a, b = videos(tmp_path / "a", one=9, bad=1), videos(tmp_path / "b", two=5)
    out = tmp_path / "out"
    made_up_run([a], out, tmp_path)
    before = rows_of(out)
    sources = rows_of(out, "sources.parquet")
    manifest = out / "manifest.parquet"
    content = manifest.read_bytes()
    match torn:
        case "gone":
            manifest.unlink()
        case "cut":
            manifest.write_bytes(content[: len(content) // 2])
        case "old":
            (out / "sources.parquet").unlink()
        case _:
            at = content.index(b"one.mp4")
            manifest.write_bytes(content[:at] + b"ONE" + content[at + 3 :])
    made_up_run([b], out, tmp_path)
    assert [row for row in rows_of(out) if row["source"] == "one.mp4"] == before
    again = [row for row in rows_of(out, "sources.parquet") if row["source"] != "two.mp4"]
    assert again == sources


@pytest.mark.parametrize("at", ["in a chunk", "before the tables"])
def test_a_killed_runs_clips_are_told_of(tmp_path: Path, at: str) -> None:
    """With other inputs next, too: from records of videos, of chunks and of single clips."""
    a, b = videos(tmp_path / "a", one=9, two=3), videos(tmp_path / "b", three=1)
    c, out = videos(tmp_path / "c", four=2), tmp_path / "out"
    made_up_run([c], out, tmp_path)

    def kill(chunk: Chunk | None = None) -> None:
        if chunk is None or chunk.name == "two.mp4#0":
            raise Killed

    late: dict[str, Any] = (
        {"before_chunk": kill} if at == "in a chunk" else {"before_publish": kill}
    )
    with pytest.raises(Killed):
        made_up_run([a], out, tmp_path, **late)
    assert len(rows_of(out)) == 2, "the manifest from before is whole"
    chunks = sorted((out / "processed_clip_chunks").glob("one.mp4_*"))
    chunks[0].unlink()
    made_up_run([b], out, tmp_path)
    expected = {
        ("one.mp4", "written", None): 9,
        ("three.mp4", "written", None): 1,
        ("four.mp4", "written", None): 2,
    }
    if at == "before the tables":
        expected["two.mp4", "written", None] = 3
    assert statuses(out) == expected
    assert not list((out / ".underway").iterdir())


def test_a_killed_run_with_another_recipe_leaves_nothing_wrong(tmp_path: Path) -> None:
    """Rows from before it say nothing of the videos that it had begun to clip again."""
    a, out = videos(tmp_path / "a", one=9), tmp_path / "out"
    made_up_run([a], out, tmp_path)

    def kill(chunk: Chunk) -> None:
        if chunk.number == 1:
            raise Killed

    with pytest.raises(Killed):
        made_up_run([a], out, tmp_path, before_chunk=kill, quality=30)
    made_up_run([videos(tmp_path / "b", two=1)], out, tmp_path)
    digests = Counter(r["recipe_digest"] for r in rows_of(out) if r["source"] == "one.mp4")
    assert sorted(digests.values()) == [4, 5]
    tally, _ = made_up_run([a], out, tmp_path)
    assert (tally.written, tally.reused) == (9, 5)
    assert statuses(out)["one.mp4", "written", None] == 9


def test_paths_are_recorded_without_detours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the tables and in every record, wherever a run is started."""
    videos(tmp_path / "a", one=5, bad=1)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    made_up_run(["../a"], "../here/../out", tmp_path)
    out = tmp_path / "out"
    for row in rows_of(out) + rows_of(out, "sources.parquet"):
        assert row["source_uri"] == str(tmp_path / "a" / row["source"])
    texts = [path.read_text() for path in out.rglob("*") if path.suffix in (".json", ".csv")]
    assert len(texts) > 8
    assert not [text for text in texts if ".." in text]
    assert all(str(out / "clips") in t for t in texts if '"span_uuid"' in t)


def test_a_video_recorded_by_a_detour_is_the_same_video(tmp_path: Path) -> None:
    """Earlier versions kept `..`: its clips are kept, and it may change without losing its name."""
    a, out = videos(tmp_path / "a", one=5), tmp_path / "out"
    made_up_run([a], out, tmp_path)
    for path in [*out.glob("processed_videos/*"), *out.glob("metas/v0/*")]:
        detour = f"{tmp_path}/out/../a/one.mp4"
        path.write_text(path.read_text().replace(f"{a}/one.mp4", detour))
    (out / "manifest.parquet").unlink()
    tally, _ = made_up_run([a], out, tmp_path)
    assert (tally.written, tally.reused) == (5, 5)
    assert {row["source_uri"] for row in rows_of(out)} == {f"{a}/one.mp4"}
    for path in out.glob("processed_videos/*"):
        path.write_text(path.read_text().replace(f"{a}/one.mp4", detour))
    (out / "manifest.parquet").unlink()
    videos(tmp_path / "a", one=6)
    tally, _ = made_up_run([a], out, tmp_path)
    assert (tally.written, tally.reused, tally.failed_sources) == (6, 0, 0)


def test_shards_side_by_side_and_merged(tmp_path: Path) -> None:
    """Each shard's manifest is of its own videos; merged, they cover the output, once each."""
    names = {f"v{i}": 1 + i % 3 for i in range(12)}
    a, b, out = videos(tmp_path / "a", **names), videos(tmp_path / "b", w=2), tmp_path / "out"
    made_up_run([b], out, tmp_path)
    for shard in ("1/2", "2/2"):
        made_up_run([a], out, tmp_path, execution={"shard": shard})
    parts = [rows_of(out, f"manifests/{i}-of-2.parquet") for i in (1, 2)]
    assert not {r["source"] for r in parts[0]} & {r["source"] for r in parts[1]}
    assert "26 clips of 2 shards" in merge_manifests(open_output(str(out)))
    assert sum(statuses(out).values()) == 26
    made_up_run([videos(tmp_path / "c", x=3)], out, tmp_path)
    assert sum(statuses(out).values()) == 29
    # An older manifest of a shard takes nothing back.
    assert "29 clips of 2 shards" in merge_manifests(open_output(str(out)))
    made_up_run([a], out, tmp_path, execution={"shard": "1/2"}, quality=30)
    merge_manifests(open_output(str(out)))
    again = {name for name in names if in_shard("1/2")(f"{name}.mp4")}
    digests = Counter(row["recipe_digest"] for row in rows_of(out))
    assert sorted(digests.values()) == sorted([n := sum(names[k] for k in again), 29 - n])
    assert sum(statuses(out).values()) == 29


def test_a_deleted_clip_is_noticed(tmp_path: Path) -> None:
    """Of this run's videos it is made again; of others it has no row, and the run says so."""
    a, b, out = videos(tmp_path / "a", one=3), videos(tmp_path / "b", two=3), tmp_path / "out"
    made_up_run([a, b], out, tmp_path)
    for source in ("one.mp4", "two.mp4"):
        row = next(r for r in rows_of(out) if r["source"] == source)
        (out / row["file"]).unlink()
    tally, holding = made_up_run([a], out, tmp_path)
    assert (tally.written, tally.reused, holding.lost) == (3, 2, 1)
    assert statuses(out) == {("one.mp4", "written", None): 3, ("two.mp4", "written", None): 2}
    tally, holding = made_up_run([b], out, tmp_path)
    assert (tally.written, tally.reused, holding.lost) == (3, 2, 0)


def test_nothing_to_do_reads_no_record_and_publishes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tables and one listing answer; what they say is what the records say."""
    a, out = videos(tmp_path / "a", one=9, two=3), tmp_path / "out"
    first, _ = made_up_run([a], out, tmp_path)
    stamp = (out / "manifest.parquet").stat().st_mtime_ns
    from clipping.storage.local_files import LocalOutput

    with monkeypatch.context() as patched:
        patched.setattr(LocalOutput, "read_text", None)
        tally, holding = made_up_run([a], out, tmp_path)
    assert (tally.planned, tally.written, tally.reused, tally.chunks) == (12, 12, 12, first.chunks)
    assert (tally.bytes_written, tally.encoders) == (first.bytes_written, first.encoders)
    assert tally.damaged == first.damaged == 2
    assert tally.problems() == []
    assert len(tally.rows) == 12
    assert holding.clips == 12
    assert (out / "manifest.parquet").stat().st_mtime_ns == stamp
    (out / "manifest.parquet").unlink()
    by_records, _ = made_up_run([a], out, tmp_path)
    assert by_records.bytes_written == tally.bytes_written
    assert by_records.damaged == 2
    assert sum(statuses(out).values()) == 12


def test_what_did_not_become_a_clip_is_in_one_list(tmp_path: Path) -> None:
    """Videos that failed and videos without clips, with kind and reason, of every run."""
    a, out = videos(tmp_path / "a", one=3, bad=1), tmp_path / "out"
    made_up_run([a], out, tmp_path)
    made_up_run([videos(tmp_path / "b", two=1)], out, tmp_path, clip_len_s=2, min_clip_length_s=2)
    with open(out / "failures.csv", newline="", encoding="utf-8") as stream:
        found = {
            r["source"]: (r["status"], r["failure_kind"], r["reason"])
            for r in csv.DictReader(stream)
        }
    assert found.keys() == {"bad.mp4", "two.mp4"}
    assert found["bad.mp4"] == ("failed", "bad input", "bad.mp4: no video")
    assert found["two.mp4"][0] == "no clips"
    assert "lasts 1.000 s" in found["two.mp4"][2]


def test_what_failed_before_publishes_nothing_either(tmp_path: Path) -> None:
    """A video of which a clip failed is looked at again; the tables already tell of it."""
    a, out = videos(tmp_path / "a", one=9, bad=3), tmp_path / "out"
    made_up_run([a], out, tmp_path, failing={2})
    stamps = {p: p.stat().st_mtime_ns for p in out.glob("*.*")}
    made_up_run([a], out, tmp_path, failing={2})
    assert {p: p.stat().st_mtime_ns for p in out.glob("*.*")} == stamps
    (out / "manifest.parquet").unlink()
    made_up_run([a], out, tmp_path, failing={2})
    assert len(rows_of(out)) == 9
