"""Inputs are found once each, outputs are whole or not there."""

from __future__ import annotations

import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clipping.dataset.layout import record_name
from clipping.errors import FailureKind, StorageError, UsageError
from clipping.plan.shards import in_shard
from clipping.storage.discover import find_sources
from clipping.storage.outputs import open_output
from clipping.storage.scratch import scratch_folder

ENDINGS = [".mp4", ".mov"]


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """A folder with videos in odd places and other files."""
    folder = tmp_path / "videos"
    for name in ("b.mp4", "a.MP4", "sub/c.mov", "sub/.hidden.mp4", "sub.mp4/d.mp4", "notes.txt"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return folder


def keys(*inputs: object, output: str = "") -> list[str]:
    """The keys found under inputs."""
    return [s.key for s in find_sources([str(i) for i in inputs], ENDINGS, output).sources]


def test_a_folder_is_searched_by_extension(videos: Path) -> None:
    """Recursively, in any case; a folder called like a video is a folder."""
    found = find_sources([str(videos)], ENDINGS)
    assert [s.key for s in found.sources] == [
        "a.MP4", "b.mp4", "sub/.hidden.mp4", "sub/c.mov", "sub.mp4/d.mp4",
    ]  # fmt: skip
    assert found.passed_over == ["notes.txt"]


def test_files_globs_and_repeats(videos: Path) -> None:
    """A file by name whatever it is called, a glob, and nothing twice."""
    assert keys(videos / "b.mp4", videos / "b.mp4") == ["b.mp4"]
    assert keys(videos / "*.mp4") == ["b.mp4"]
    assert keys(str(videos / "**" / "*.mp4")) == ["b.mp4", "sub.mp4/d.mp4"]
    (videos / "noext").write_bytes(b"x")
    assert keys(videos / "noext") == ["noext"]


def test_the_output_is_no_input(videos: Path) -> None:
    """Clips that lie below the input folder are not clipped again."""
    (videos / "clips").mkdir()
    (videos / "clips" / "old.mp4").write_bytes(b"x")
    assert "clips/old.mp4" in keys(videos)
    assert "clips/old.mp4" not in keys(videos, output=str(videos / "clips"))


def test_links_in_a_circle_end(videos: Path) -> None:
    """A link to a folder is followed once."""
    (videos / "sub" / "loop").symlink_to(videos)
    assert len(keys(videos)) >= 5


def test_two_sources_never_share_a_key(videos: Path, tmp_path: Path) -> None:
    """The same relative path under two roots: the full paths tell them apart."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "b.mp4").write_bytes(b"y")
    found = keys(videos, other)
    assert len(found) == len(set(found)) == 6
    assert str(other / "b.mp4").lstrip("/") in found


@pytest.mark.parametrize("kind", ["txt", "csv", "headless.csv", "jsonl", "parquet"])
def test_lists_of_files(videos: Path, kind: str) -> None:
    """Text, CSV with and without a header, JSON Lines and Parquet; paths relative to the list."""
    path = videos / f"list.{kind}"
    names = ["b.mp4", "sub/c.mov", str(videos / "a.MP4")]
    if kind == "parquet":
        pq.write_table(pa.table({"n": [1, 2, 3], "path": names}), path)
    elif kind == "jsonl":
        path.write_text("".join(json.dumps({"video": n}) + "\n" for n in names))
    else:
        head = {"csv": "id,path\n"}.get(kind, "")
        prefix = "7," if kind == "csv" else ""
        path.write_text(head + "".join(f"{prefix}{n}\n" for n in names))
    assert sorted(keys(path)) == ["a.MP4", "b.mp4", "sub/c.mov"]


def test_a_list_tells_of_missing_files(videos: Path) -> None:
    """A line that names nothing is a failed source, not a failed run."""
    (videos / "list.txt").write_text("b.mp4\ngone.mp4\n")
    found = find_sources([str(videos / "list.txt")], ENDINGS)
    assert [s.key for s in found.sources] == ["b.mp4"]
    assert [e.kind for _, e in found.failed] == [FailureKind.NOT_FOUND]


@pytest.mark.parametrize("text", ["", "\n\n"])
def test_an_empty_list_is_a_mistake(tmp_path: Path, text: str) -> None:
    """Nothing to do is said, not silently done."""
    (tmp_path / "list.txt").write_text(text)
    with pytest.raises(UsageError, match="names no files"):
        find_sources([str(tmp_path / "list.txt")], ENDINGS)


def test_a_name_that_is_not_utf8_is_one_failed_source(tmp_path: Path) -> None:
    """It cannot stand in JSON; it is told, and the rest goes on."""
    (tmp_path / "good.mp4").write_bytes(b"x")
    with open(os.fsencode(tmp_path) + b"/bad\xff.mp4", "wb") as stream:
        stream.write(b"x")
    found = find_sources([str(tmp_path)], ENDINGS)
    assert [s.key for s in found.sources] == ["good.mp4"]
    assert "not valid UTF-8" in found.failed[0][1].message


def test_record_names_stay_inside_and_within_limits() -> None:
    """No name leads out of the output, none is too long, and different keys differ."""
    long = "L" * 250 + ".mp4"
    names = [record_name(f"p/{k}", ".json") for k in (long, long[1:] + "x", "../x", "a/../../b")]
    assert len(set(names)) == 4
    for name in names:
        assert ".." not in name.split("/")
        assert all(len(part.encode()) <= 255 for part in name.split("/"))


def test_publishing_is_all_or_nothing(tmp_path: Path) -> None:
    """A failed write leaves neither the final name nor a leftover."""
    output = open_output(str(tmp_path / "out"))
    source = tmp_path / "clip"
    source.write_bytes(b"12345")
    size, digest = output.publish(source, "clips/a.mp4")
    assert (size, len(digest)) == (5, 64)
    assert (tmp_path / "out/clips/a.mp4").read_bytes() == b"12345"
    blocked = tmp_path / "out" / "metas"
    blocked.write_text("a file where a folder should be")
    with pytest.raises(StorageError, match="cannot write"):
        output.write_text("metas/v0/a.json", "{}")
    assert list((tmp_path / "out" / ".partial/all").iterdir()) == []


def test_one_run_at_a_time(tmp_path: Path) -> None:
    """A second run on the same output refuses at once and says why."""
    output = open_output(str(tmp_path / "out"))
    with (
        output.claimed(),
        pytest.raises(UsageError, match="another run is writing"),
        output.claimed(),
    ):
        pass
    with output.claimed():
        pass


def test_an_output_that_cannot_be_made(tmp_path: Path) -> None:
    """A file in the way is told with its path."""
    (tmp_path / "out").write_text("x")
    with (
        pytest.raises(StorageError, match="cannot write"),
        open_output(str(tmp_path / "out")).claimed(),
    ):
        pass


def test_scratch_is_removed_and_what_the_dead_left_too(tmp_path: Path) -> None:
    """A folder whose lock nobody holds was left by a killed process."""
    stale = tmp_path / "clipping-stale"
    stale.mkdir()
    (stale / ".lock").touch()
    (stale / "run-1.mp4").write_bytes(b"x")
    with scratch_folder(str(tmp_path), 1) as mine, scratch_folder(str(tmp_path), 1) as other:
        assert mine.is_dir()
        assert other.is_dir()
        assert not stale.exists()
        assert stat.S_ISDIR(mine.stat().st_mode)
    assert not mine.exists()
    assert not other.exists()


def test_scratch_folders_made_at_once_stay(tmp_path: Path) -> None:
    """Whoever sweeps leftovers must not take a folder that is just being made."""

    def use(_turn: int) -> bool:
        with scratch_folder(str(tmp_path), 1) as folder:
            (folder / "file").write_text("x")
            return (folder / "file").exists()

    with ThreadPoolExecutor(max_workers=16) as pool:
        assert all(pool.map(use, range(2000)))
    assert list(tmp_path.iterdir()) == []


def test_an_output_beside_the_videos_is_no_input(tmp_path: Path) -> None:
    """Videos and clips may share a folder: clips are not clipped again."""
    (tmp_path / "a.mp4").write_bytes(b"x")
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips/b.mp4").write_bytes(b"x")
    assert keys(tmp_path, output=str(tmp_path)) == ["a.mp4"]


def test_shards_split_every_key_once_and_stay_put() -> None:
    """Each key falls to one shard of a count, by a hash that is the same everywhere."""
    keys = [f"videos/{i}.mp4" for i in range(500)]
    falls = [in_shard(f"{i}/7") for i in range(1, 8)]
    owners = [[f(key) for f in falls].index(True) for key in keys]
    assert all(sum(f(key) for f in falls) == 1 for key in keys)
    assert min(owners.count(i) for i in range(7)) > 40
    assert owners[:6] == [2, 6, 0, 4, 1, 2]
    assert all(in_shard("")(key) for key in keys)


@pytest.mark.parametrize("shard", ["3", "0/4", "5/4", "a/b", "1/0", "-1/4", "1/4/2"])
def test_a_shard_that_makes_no_sense_is_refused(shard: str) -> None:
    """Told with what a shard looks like."""
    with pytest.raises(ValueError, match="shard"):
        in_shard(shard)


def test_runs_of_shards_share_a_folder(tmp_path: Path) -> None:
    """Shards of one count go side by side; the whole, the same, or another count is refused."""
    out = str(tmp_path / "out")
    with open_output(out, "1/2").claimed(), open_output(out, "2/2").claimed():
        for shard in ("", "1/2", "1/3"):
            with (
                pytest.raises(UsageError, match="another run"),
                open_output(out, shard).claimed(),
            ):
                pass
    # One that begins must not sweep away what another is writing.
    theirs = tmp_path / "out/.partial/1-of-2/half"
    theirs.parent.mkdir(parents=True)
    theirs.touch()
    with open_output(out, "2/2").claimed():
        assert theirs.exists()
    with open_output(out).claimed():
        assert not theirs.exists()


def test_a_sharded_search_finds_its_share(tmp_path: Path) -> None:
    """The shards of a folder together hold all of it: videos, other files, and bad ones."""
    for i in range(20):
        (tmp_path / f"{i}.mp4").write_bytes(b"x")
        (tmp_path / f"{i}.doc").write_bytes(b"x")
    parts = [find_sources([str(tmp_path)], ENDINGS, shard=f"{i}/3") for i in (1, 2, 3)]
    assert sum(len(p.sources) for p in parts) == 20
    assert sum(len(p.passed_over) for p in parts) == 20
    assert len({s.key for p in parts for s in p.sources}) == 20
