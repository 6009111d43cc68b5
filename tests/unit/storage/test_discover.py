"""Inputs are found once each; what cannot be one is told."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clipping.dataset.layout import own_folders
from clipping.errors import FailureKind, UsageError
from clipping.storage.discover import find_sources

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
    leave_out = own_folders(output) if output else ()
    return [s.key for s in find_sources([str(i) for i in inputs], ENDINGS, leave_out).sources]


def test_a_folder_is_searched_by_extension(videos: Path) -> None:
    """Recursively, in any case; a folder called like a video is a folder."""
    found = find_sources([str(videos)], ENDINGS)
    assert [s.key for s in found.sources] == [
        "a.MP4", "b.mp4", "sub/.hidden.mp4", "sub/c.mov", "sub.mp4/d.mp4",
    ]  # fmt: skip
    assert found.passed_over == ["notes.txt"]


def test_sidecars_are_no_videos(videos: Path) -> None:
    """What macOS and Synology put beside videos, under their names; by name they are taken."""
    (videos / "._b.mp4").write_bytes(b"\x00\x05\x16\x07" + bytes(4000))
    (videos / "sub" / "._c.mov").write_bytes(b"\x00\x05\x16\x07")
    (videos / "@eaDir" / "b.mp4").mkdir(parents=True)
    (videos / "@eaDir" / "b.mp4" / "SYNOPHOTO_FILM_M.mp4").write_bytes(b"x")
    found = find_sources([str(videos)], ENDINGS)
    assert len(found.sources) == 5
    assert found.passed_over == [
        "._b.mp4", "notes.txt", "@eaDir/b.mp4/SYNOPHOTO_FILM_M.mp4", "sub/._c.mov",
    ]  # fmt: skip
    globbed = find_sources([str(videos / "._*")], ENDINGS)
    assert globbed.sources == []
    assert [Path(p).name for p in globbed.passed_over] == ["._b.mp4"]
    assert keys(videos / "._b.mp4") == ["._b.mp4"]


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
    """A link to a folder is followed once; each video is found once, under its own name."""
    straight = keys(videos)
    globbed = keys(str(videos / "**" / "*.mp4"))
    (videos / "sub" / "loop").symlink_to(videos)
    (videos / "all").symlink_to(videos)
    (videos / "sub" / "up").symlink_to(videos.parent)
    assert keys(videos) == straight
    assert keys(str(videos / "**" / "*.mp4")) == globbed


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


def test_an_output_beside_the_videos_is_no_input(tmp_path: Path) -> None:
    """Videos and clips may share a folder: clips are not clipped again."""
    (tmp_path / "a.mp4").write_bytes(b"x")
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips/b.mp4").write_bytes(b"x")
    assert keys(tmp_path, output=str(tmp_path)) == ["a.mp4"]


def test_a_sharded_search_finds_its_share(tmp_path: Path) -> None:
    """The shards of a folder together hold all of it: videos, other files, and bad ones."""
    for i in range(20):
        (tmp_path / f"{i}.mp4").write_bytes(b"x")
        (tmp_path / f"{i}.doc").write_bytes(b"x")
    parts = [find_sources([str(tmp_path)], ENDINGS, shard=f"{i}/3") for i in (1, 2, 3)]
    assert sum(len(p.sources) for p in parts) == 20
    assert sum(len(p.passed_over) for p in parts) == 20
    assert len({s.key for p in parts for s in p.sources}) == 20


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("ftp://host/x.mp4", "cannot read ftp://"),
        ("https://user:word@host/x.mp4", "signed address"),
        ("https://host/x.mp4?X-Amz-Signature=abc", "list file"),
    ],
)
def test_a_wrong_address_is_told_before_anything_starts(given: str, message: str) -> None:
    """One line, without the secret that it may hold."""
    with pytest.raises(UsageError) as error:
        find_sources([given], ENDINGS)
    assert message in str(error.value)
    assert "word" not in str(error.value)
    assert "abc" not in str(error.value)
