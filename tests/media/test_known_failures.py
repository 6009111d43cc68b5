"""A run repeated fails only for what is new: known failures cost nothing and are always told."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from clipping.config.execution import Execution
from clipping.config.recipe import Recipe
from clipping.config.run_config import RunConfig
from clipping.dataset import resume
from clipping.dataset.coverage import Coverage
from clipping.dataset.merge import merge_manifests
from clipping.dataset.resume import EarlierWork
from clipping.run import dry_run
from clipping.run.chunk import make_chunk, probe_file
from clipping.run.preparation import found_by
from clipping.run.summary import closing_lines, verdict
from clipping.run.tally import Tally
from clipping.run.tracker import Tracker
from clipping.storage.outputs import open_output
from tests.support.media import FFMPEG, counter_video, steady


@dataclass
class Night:
    """One run without Prefect and Ray: what it opened, counted and said."""

    opened: list[str]
    tally: Tally
    failed: str | None
    lines: list[str]


@pytest.fixture
def config(tmp_path: Path) -> RunConfig:
    """One good video of four clips in a folder."""
    (tmp_path / "videos").mkdir()
    counter_video(tmp_path / "videos" / "good.mp4", *steady(100, 25))
    recipe = Recipe(clip_len_s=1, clip_stride_s=1, preset="ultrafast", min_clip_length_s=1)
    return RunConfig(recipe, Execution(), (str(tmp_path / "videos"),), str(tmp_path / "out"))


def night(config: RunConfig, *, attempts: int = 1, **execution: object) -> Night:
    """Run it once. attempts: how often each chunk's task is tried."""
    config = replace(config, execution=config.execution.model_copy(update=execution))
    output, tally = open_output(config.output), Tally()
    opened: list[str] = []
    earlier = EarlierWork.of(config, output)
    assert earlier.tables is not None
    with Coverage(earlier.tables, earlier.recipe_digest) as manifest:
        tracker = Tracker(config, earlier, tally, manifest)
        for file in tracker.sort_out(found_by(config)):
            opened.append(file.key)
            probed = probe_file(file, config.execution)
            if probed.failure:
                tracker.fail_source(file, probed.failure, is_verdict=True)
                continue
            for waiting in tracker.plan(probed):
                made = [make_chunk(waiting.chunk, config, output) for _ in range(attempts)]
                tracker.take_chunk(waiting.chunk, made[-1], None)
        manifest.publish()
    return Night(opened, tally, verdict(tally, config), closing_lines(tally, config))


def add_page(config: RunConfig, name: str = "bad.mp4") -> Path:
    """A file that is no video."""
    path = Path(config.input[0]) / name
    path.write_text("<html>404</html>")
    return path


def test_a_bad_file_fails_one_run_and_is_told_by_the_next(config: RunConfig) -> None:
    """Not opened, not fatal, never silent; the good video beside it costs nothing either."""
    add_page(config)
    first = night(config)
    assert first.opened == ["bad.mp4", "good.mp4"]
    assert "1 video failed" in (first.failed or "")
    second = night(config)
    assert (second.opened, second.failed) == ([], None)
    assert (second.tally.written, second.tally.failed_sources, second.tally.known) == (4, 1, 1)
    assert not second.tally.problems()
    assert [line for line in second.lines if line.startswith("1 failed before (bad.mp4: an HTML")]
    assert [line for line in second.lines if "), 0 new; --retry-failed" in line]
    assert "failed:" not in "".join(second.lines)
    forecast = "\n".join(dry_run.describe(config))
    assert "1 failed before and would not be opened again" in forecast
    assert "cannot be clipped" not in forecast


def test_the_new_one_fails_the_run_and_the_known_one_is_told_beside_it(config: RunConfig) -> None:
    """Each is counted once, and the verdict is about the new one."""
    add_page(config)
    night(config)
    add_page(config, "worse.mp4")
    third = night(config)
    assert third.opened == ["worse.mp4"]
    assert "1 video failed (0 allowed), 1 failed before" in (third.failed or "")
    assert "1 video failed:" in third.lines
    assert [line for line in third.lines if line.startswith("1 failed before (bad.mp4: ")]


def test_only_known_failures_are_no_failure(config: RunConfig) -> None:
    """Nothing written and nothing new: the run did what there was to do."""
    (Path(config.input[0]) / "good.mp4").unlink()
    add_page(config)
    assert night(config).failed
    assert night(config).failed is None


def test_a_video_too_short_fails_one_run(config: RunConfig) -> None:
    """No clips at all is told as a mistake once; the next run has nothing new to say."""
    recipe = config.recipe.model_copy(update={"clip_len_s": 9, "min_clip_length_s": 9})
    config = replace(config, recipe=recipe)
    assert "0 clips: 1 video gave none" in (night(config).failed or "")
    second = night(config)
    assert second.failed is None
    assert [line for line in second.lines if line.startswith("1 video gave no clip")]


def test_another_version_the_flag_or_a_changed_file_opens_it_again(
    config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What could change the outcome has changed; what it fails with then is new."""
    bad = add_page(config)
    night(config)
    assert not night(config).opened
    retried = night(config, retry_failed=True)
    assert retried.opened == ["bad.mp4"]
    assert retried.failed
    monkeypatch.setattr(resume, "__version__", "99")
    assert night(config).opened == ["bad.mp4"]
    assert not night(config).opened
    monkeypatch.setattr(resume, "ffmpeg_version", lambda _binary: "99")
    assert night(config).opened == ["bad.mp4"]
    assert not night(config).opened
    os.utime(bad, (1, 1))
    assert night(config).opened == ["bad.mp4"]
    record = Path(config.output) / "processed_videos" / "bad.mp4.json"
    values = json.loads(record.read_text())
    del values["package_version"], values["ffmpeg_version"]
    record.write_text(json.dumps(values))
    (Path(config.output) / "sources.parquet").unlink()  # which such a version did not write
    assert night(config).opened == ["bad.mp4"], "a record from before versions were kept"


def test_what_cannot_be_opened_at_all_is_known_too(config: RunConfig, tmp_path: Path) -> None:
    """A folder in a list of files is no video tomorrow either; a missing file may come back."""
    listed = tmp_path / "list.txt"
    (tmp_path / "folder.mp4").mkdir()
    listed.write_text("videos/good.mp4\nfolder.mp4\n")
    config = replace(config, input=(str(listed),))
    assert night(config).failed
    second = night(config)
    assert second.failed is None
    assert second.tally.known == 1
    listed.write_text("videos/good.mp4\nfolder.mp4\ngone.mp4\n")
    for _ in range(2):
        assert "1 video failed (0 allowed), 1 failed" in (night(config).failed or "")


def stand_in(tmp_path: Path) -> str:
    """An ffmpeg that cannot encode frame 60 of the good video, and is ffmpeg otherwise."""
    script = tmp_path / "ffmpeg-stand-in"
    script.write_text(
        "#!/bin/sh\n"
        'range=$(echo "$*" | sed -n \'s/.*trim=start_pts=\\([0-9]*\\):end_pts=\\([0-9]*\\).*/'
        "\\1 \\2/p')\n"
        "first=${range% *} end=${range#* }\n"
        f'case "$*" in *-c:v*) if [ "${{first:-1}}" -le {60 * 512} ] && '
        f'[ "${{end:-0}}" -gt {60 * 512} ]; then echo "it hurts here" >&2; exit 1; fi;; esac\n'
        f'exec "{FFMPEG}" "$@"\n'
    )
    script.chmod(0o755)
    return str(script)


def test_a_clip_that_failed_for_good_fails_one_run(config: RunConfig, tmp_path: Path) -> None:
    """Nor does it fail the run that makes its neighbour again: that clip alone is new work."""
    binary = stand_in(tmp_path)
    first = night(config, ffmpeg_binary=binary)
    assert "1 clip failed" in (first.failed or "")
    second = night(config, ffmpeg_binary=binary)
    assert (second.opened, second.failed, second.tally.known) == ([], None, 1)
    assert [line for line in second.lines if line.startswith("1 failed before (good.mp4 clip 2: ")]
    next((tmp_path / "out" / "clips").glob("*.mp4")).unlink()
    config = replace(config, execution=Execution(ffmpeg_binary=binary))
    forecast = "\n".join(dry_run.describe(config))
    assert "4 clips, 2 of them there already, 1 failed before, 1 to make" in forecast
    mended = night(config)
    assert (mended.opened, mended.failed) == (["good.mp4"], None)
    assert (mended.tally.written, mended.tally.known, mended.tally.reused) == (3, 1, 2)
    assert night(config, retry_failed=True).failed
    assert night(config, retry_failed=True, ffmpeg_binary="").tally.written == 4


def test_shards_tell_the_same(config: RunConfig, tmp_path: Path) -> None:
    """Each shard knows its own failures, and the merged manifest says how many clips lack."""
    add_page(config)
    binary = stand_in(tmp_path)
    shards = ("1/2", "2/2")
    assert sum(night(config, shard=s, ffmpeg_binary=binary).tally.new_failures for s in shards) == 2
    again = [night(config, shard=s, ffmpeg_binary=binary).tally for s in shards]
    assert sum(tally.known for tally in again) == 2
    assert not any(tally.new_failures for tally in again)
    said = merge_manifests(open_output(config.output))
    assert "4 clips of 2 shards in " in said
    assert said.splitlines()[0].endswith(", 1 of them failed")


def test_a_second_attempt_does_not_take_a_new_failure_for_an_old_one(
    config: RunConfig, tmp_path: Path
) -> None:
    """A task that is tried again finds the failure that its first attempt recorded."""
    made = night(config, ffmpeg_binary=stand_in(tmp_path), attempts=2)
    assert (made.tally.failed, made.tally.known) == (1, 0)
    assert made.failed
