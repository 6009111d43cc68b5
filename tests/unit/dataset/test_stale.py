"""Stale clips: named, counted, and removed by `--prune` with nothing else."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from clipping.dataset.layout import chunk_record_name, meta_name
from clipping.run import dry_run
from clipping.run.summary import holding_lines
from clipping.storage import presence
from tests.support.made_up import made_up_config, made_up_run, probed, rows_of, videos
from tests.unit.dataset.test_coverage import statuses

RECIPE, CHANGED, GONE = "other recipe", "source changed", "source vanished"
TWO: dict[str, Any] = {"clip_len_s": 2, "clip_stride_s": 2, "min_clip_length_s": 2}


def files(output: Path) -> set[str]:
    """Everything in an output but its tables, the report of its runs, and locks."""
    names = {str(p.relative_to(output)) for p in output.rglob("*") if p.is_file()}
    return {n for n in names if "/" in n and not n.startswith((".locks", "report/"))}


def test_another_recipe_leaves_the_old_clips_stale(tmp_path: Path) -> None:
    """They are no longer `written`, and pruned with what is recorded of them; others stay."""
    a, b = videos(tmp_path / "a", one=9, two=3), videos(tmp_path / "b", three=4)
    alone, out = tmp_path / "alone", tmp_path / "out"
    made_up_run([a, b], out, tmp_path)
    _, holding = made_up_run([a], out, tmp_path, **TWO)
    assert statuses(out) == {
        ("one.mp4", "written", None): 4,
        ("one.mp4", "superseded", RECIPE): 9,
        ("two.mp4", "written", None): 1,
        ("two.mp4", "superseded", RECIPE): 3,
        ("three.mp4", "written", None): 4,
    }
    assert holding.stale == {RECIPE: 12}
    assert len(holding.recipes) == 2
    assert "12 clips stale (12 other recipe)" in "\n".join(holding_lines(holding))
    _, holding = made_up_run([b], out, tmp_path)
    assert holding.stale == {RECIPE: 12}, "also for a run with other inputs"
    _, holding = made_up_run([a], out, tmp_path, execution={"prune": True}, **TWO)
    assert (holding.removed, holding.stale) == (12, Counter())
    made_up_run([a], alone, tmp_path, **TWO)
    made_up_run([b], alone, tmp_path)
    assert files(out) == files(alone), "as if the other recipe had never been"
    assert rows_of(out) == rows_of(alone)


def test_a_dry_run_lists_what_would_be_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exactly the clips that the run then removes, of whatever kind; and it removes nothing."""
    a, out = videos(tmp_path / "a", one=9, two=3, three=2, four=4), tmp_path / "out"
    made_up_run([a], out, tmp_path)
    made_up_run([a / "four.mp4"], out, tmp_path, **TWO)
    (a / "two.mp4").unlink()
    videos(a, three=1)
    config = made_up_config([a], out, {"prune": True})
    monkeypatch.setattr(dry_run, "probe_file", lambda file, _execution: probed(file))
    before = files(out)
    lines = dry_run.describe(config)
    assert files(out) == before
    listed = {line.split()[0] for line in lines if line.startswith("  clips/")}
    assert "6 stale clips would be removed" in lines
    _, holding = made_up_run([a], out, tmp_path, execution={"prune": True})
    assert holding.removed == 6
    assert {n for n in before - files(out) if n.startswith("clips/")} == listed


def test_back_to_the_old_recipe(tmp_path: Path) -> None:
    """What was superseded is taken up again, and what superseded it is stale in its place."""
    a, out = videos(tmp_path / "a", one=9), tmp_path / "out"
    made_up_run([a], out, tmp_path)
    made_up_run([a], out, tmp_path, **TWO)
    tally, _ = made_up_run([a], out, tmp_path)
    assert (tally.written, tally.reused) == (9, 9)
    assert statuses(out) == {
        ("one.mp4", "written", None): 9,
        ("one.mp4", "superseded", RECIPE): 4,
    }


def test_a_changed_video(tmp_path: Path) -> None:
    """Clips of its older version that were not replaced are stale; a failing new one, too."""
    a, out = videos(tmp_path / "a", one=9, two=5), tmp_path / "out"
    made_up_run([a], out, tmp_path)
    videos(a, one=2)
    _, holding = made_up_run([a], out, tmp_path)
    assert holding.stale == {CHANGED: 7}
    assert statuses(out)["one.mp4", "written", None] == 2


def test_a_clip_that_fails_with_another_recipe(tmp_path: Path) -> None:
    """Its earlier file has no record any more: it is counted, and `--prune` removes it alone."""
    a, out = videos(tmp_path / "a", one=6), tmp_path / "out"
    made_up_run([a], out, tmp_path)
    _, holding = made_up_run([a], out, tmp_path, failing={2, 4}, quality=30)
    assert (holding.clips, holding.failed, holding.replaced, holding.removed) == (4, 2, 2, 0)
    assert "2 clips failed or absent now" in "\n".join(holding_lines(holding))
    _, holding = made_up_run([a], out, tmp_path, failing={2, 4}, quality=30)
    assert holding.replaced == 2, "told again while it is so"
    rows = rows_of(out)
    config = made_up_config([a], out, {"prune": True}, quality=30)
    lines = [line for line in dry_run.describe(config) if "failed now" in line]
    listed = sorted(line.split()[0] for line in lines)
    assert listed == sorted(f"clips/{row['clip']}.mp4" for row in rows if not row["bytes"])
    before = files(out)
    _, holding = made_up_run(
        [a], out, tmp_path, failing={2, 4}, quality=30, execution={"prune": True}
    )
    assert (holding.removed, holding.replaced) == (2, 0)
    assert sorted(before - files(out)) == listed
    assert rows_of(out) == rows


def test_a_recipe_that_fails_replaces_nothing(tmp_path: Path) -> None:
    """Only what took a clip's place makes it stale."""
    a, out = videos(tmp_path / "a", one=3), tmp_path / "out"
    made_up_run([a], out, tmp_path)
    _, holding = made_up_run([a], out, tmp_path, fails=True, **TWO)
    assert holding.stale == {}
    assert statuses(out) == {("one.mp4", "written", None): 3}


def test_a_vanished_video(tmp_path: Path) -> None:
    """Its clips stay written, and are stale; `--prune` removes them with all their records."""
    a, b, out = videos(tmp_path / "a", one=9, two=3), videos(tmp_path / "b", x=1), tmp_path / "out"
    made_up_run([a], out, tmp_path)
    (a / "one.mp4").unlink()
    for inputs in (a, b):
        _, holding = made_up_run([inputs], out, tmp_path)
        assert holding.stale == {GONE: 9}
    assert statuses(out)["one.mp4", "written", GONE] == 9
    videos(a, one=9)
    _, holding = made_up_run([b], out, tmp_path)
    assert holding.stale == {}, "it is back"
    (a / "one.mp4").unlink()
    _, holding = made_up_run([b], out, tmp_path, execution={"prune": True})
    assert holding.removed == 9
    made_up_run([b], tmp_path / "alone", tmp_path)
    (tmp_path / "c").mkdir()
    os.rename(a / "two.mp4", tmp_path / "c" / "two.mp4")
    assert not [name for name in files(out) if "one.mp4" in name]
    assert sum("two.mp4" in name for name in files(out)) == 2
    assert len([name for name in files(out) if name.startswith("clips/")]) == 4


def test_a_failed_run_prunes_nothing(tmp_path: Path) -> None:
    """What could not be replaced may be all that there is."""
    a, out = videos(tmp_path / "a", one=3), tmp_path / "out"
    made_up_run([a], out, tmp_path)
    videos(a, bad=1)
    _, holding = made_up_run([a], out, tmp_path, execution={"prune": True}, **TWO)
    assert (holding.removed, holding.stale) == (0, {RECIPE: 3})


def test_what_cannot_be_looked_at_has_not_vanished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty mount point, a missing disk, a store without an answer, the web: all are there."""
    folder = videos(tmp_path / "a", one=1)
    (tmp_path / "empty").mkdir()
    uris = {
        "gone": str(folder / "two.mp4"),
        "there": str(folder / "one.mp4"),
        "unmounted": str(tmp_path / "empty" / "x.mp4"),
        "no disk": str(tmp_path / "missing" / "x.mp4"),
        "relative": "a/x.mp4",
        "web": "https://127.0.0.1:1/x.mp4",
    }
    assert presence.vanished(uris) == {"gone"}
    searched = presence.vanished(uris, searched=[str(tmp_path)])
    assert searched == {"gone", "no disk"}, "a folder that is gone from one that was searched"


def test_names_of_records_that_are_removed_are_the_ones_written(tmp_path: Path) -> None:
    """Also where a name is too long to stand in a file name as it is."""
    name = "L" * 240
    a, out = videos(tmp_path / "a", **{name: 9}), tmp_path / "out"
    made_up_run([a], out, tmp_path, execution={"num_clips_per_chunk": 1})
    made_up_run([a], out, tmp_path, execution={"prune": True}, clip_len_s=9, clip_stride_s=9)
    (row,) = rows_of(out)
    left = {n for n in files(out) if n.startswith("processed_clip_chunks/")}
    assert left == {chunk_record_name(f"{name}.mp4", 0)}
    assert (out / meta_name(row["clip"])).exists()
