"""Scratch folders go with their process."""

from __future__ import annotations

import stat
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from clipping.errors import FailureKind, StorageError
from clipping.ffmpeg import process
from clipping.storage.scratch import SweptFolder, scratch_folder
from tests.support.media import FFMPEG


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


def test_a_manifests_folder_does_not_outlive_a_killed_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next one to work in the temporary folder removes it; a living one stays."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    script = (
        "import os; from clipping.storage.scratch import SweptFolder;"
        " kept = SweptFolder(); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", script], check=False)
    (left,) = tmp_path.iterdir()
    mine = SweptFolder()
    assert not left.exists()
    other = SweptFolder()
    assert Path(mine.name).is_dir()
    mine.cleanup()
    other.cleanup()
    assert not list(tmp_path.iterdir())


def encode_to_a_full_disk(scratch_dir: str, need: int) -> None:
    """What a chunk does; the kernel says that there is no room, as it does on a full disk."""
    source = ["-f", "lavfi", "-i", "testsrc=size=320x240:rate=25:duration=2"]
    with scratch_folder(scratch_dir, need) as folder:
        (folder / "encoded.mkv").symlink_to("/dev/full")
        command = [FFMPEG, "-nostdin", "-y", *source, str(folder / "encoded.mkv")]
        process.run(command, what="encoding frames 0 to 49")


def test_a_full_scratch_folder_is_named_with_what_it_needs(tmp_path: Path) -> None:
    """ffmpeg's own words name neither; chunks of about one size say the same."""
    said: set[str] = set()
    for need in (41_000_000, 49_999_999):
        with pytest.raises(StorageError) as raised:
            encode_to_a_full_disk(str(tmp_path), need)
        assert raised.value.kind is FailureKind.DISK_FULL
        said.add(raised.value.message)
    (message,) = said
    assert message.startswith(f"the scratch folder {tmp_path} is full; about 50 MB are needed")
    assert "set scratch_dir" in message


def test_a_full_output_is_not_taken_for_the_scratch_folder(tmp_path: Path) -> None:
    """Its own error, with its path, passes."""
    error = StorageError("cannot write /out/x: No space left on device", FailureKind.DISK_FULL)
    with pytest.raises(StorageError, match="cannot write /out/x"), scratch_folder(str(tmp_path), 1):
        raise error
