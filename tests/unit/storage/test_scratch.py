"""Scratch folders go with their process."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from clipping.storage.scratch import scratch_folder


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
