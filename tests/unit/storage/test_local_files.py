"""Outputs are whole or not there, and have one run at a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from clipping.errors import StorageError, UsageError
from clipping.storage.local_files import absolute
from clipping.storage.outputs import open_output


@pytest.mark.parametrize(
    ("given", "means"),
    [
        ("a.mp4", "here/a.mp4"),
        ("./sub//a.mp4", "here/sub/a.mp4"),
        ("../out", "out"),
        ("../here/../out/", "out"),
        ("link/a.mp4", "here/link/a.mp4"),
        ("nowhere/../out", "here/out"),
        ("sub/../link/a.mp4", "here/link/a.mp4"),
        ("link/../a.mp4", "far/a.mp4"),
    ],
)
def test_a_path_is_told_without_detours(
    given: str, means: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Links keep their names; where a `..` goes up from one, the file that is meant counts."""
    for folder in ("here/sub", "far/away"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "here" / "link").symlink_to(tmp_path / "far" / "away")
    monkeypatch.chdir(tmp_path / "here")
    for start in ("", f"{tmp_path}/here/", f"file://{tmp_path}/here/"):
        assert absolute(start + given) == str(tmp_path / means)


def test_a_path_in_the_home_is_told_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """`~` is the home, not a folder of that name."""
    monkeypatch.setenv("HOME", "/home/somebody")
    assert absolute("~/videos/../clips") == "/home/somebody/clips"


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
