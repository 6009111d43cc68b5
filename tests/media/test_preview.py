"""A small picture of each clip: the right one, no more than that, and never in a clip's way."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import pytest

from clipping.config.execution import Execution
from clipping.config.recipe import Recipe
from clipping.config.run_config import RunConfig
from clipping.media.preview import write_preview
from clipping.storage.local_files import LocalOutput
from tests.support.made_up import rows_of
from tests.support.media import counter_video, ffmpeg, number_in, steady
from tests.support.real_run import real_run


@pytest.fixture
def config(tmp_path: Path) -> RunConfig:
    """A numbered video of four clips in a folder."""
    (tmp_path / "videos").mkdir()
    counter_video(tmp_path / "videos" / "counter.mp4", *steady(100, 25), size=(640, 480))
    recipe = Recipe(clip_len_s=1, clip_stride_s=1, preset="ultrafast", min_clip_length_s=1)
    return RunConfig(recipe, Execution(), (str(tmp_path / "videos"),), str(tmp_path / "out"))


def with_execution(config: RunConfig, **values: object) -> RunConfig:
    return replace(config, execution=config.execution.model_copy(update=values))


def previews(config: RunConfig) -> dict[str, Path]:
    return {p.name.removesuffix(".jpg"): p for p in Path(config.output, "previews").glob("*")}


def size_and_number(picture: Path) -> tuple[int, int, int]:
    with av.open(str(picture), "r") as container:
        frame = next(container.decode(video=0))
        assert container.streams.video[0].codec_context.name == "mjpeg"
        return frame.width, frame.height, number_in(frame.to_ndarray(format="gray"))


def test_each_clip_has_the_picture_it_begins_with(config: RunConfig) -> None:
    """Within 320 x 180 pixels; and the clips are the same bytes as without."""
    real_run(config)
    rows = rows_of(Path(config.output))
    found = previews(config)
    assert {r["clip"] for r in rows} == set(found)
    for row in rows:
        assert size_and_number(found[row["clip"]]) == (240, 180, row["start_frame"])
        assert found[row["clip"]].stat().st_size < 20_000
    without = replace(with_execution(config, previews=False), output=f"{config.output}2")
    real_run(without)
    assert previews(without) == {}
    assert [r["sha256"] for r in rows_of(Path(without.output))] == [r["sha256"] for r in rows]


def test_pixels_that_are_not_square_are_shown_as_the_clip_shows_them(tmp_path: Path) -> None:
    """A DVD's 720 x 576 is 16 by 9; a small picture is not made larger."""
    wide, small = tmp_path / "wide.mp4", tmp_path / "small.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=720x576:d=1", "-vf", "setsar=64/45", wide)
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=64x48:d=1", small)
    sizes: list[tuple[int, int]] = []
    for clip in (wide, small):
        picture = write_preview(clip, tmp_path / "p.jpg")
        assert picture is not None
        sizes.append(size_and_number(picture)[:2])
    assert sizes == [(320, 180), (64, 48)]


@pytest.mark.parametrize("content", [b"", b"garbage" * 100])
def test_a_clip_without_a_picture_has_none(tmp_path: Path, content: bytes) -> None:
    """Nothing is raised, and nothing is left."""
    (tmp_path / "clip.mp4").write_bytes(content)
    assert write_preview(tmp_path / "clip.mp4", tmp_path / "clip.jpg") is None
    assert not (tmp_path / "clip.jpg").exists()


def test_a_preview_that_cannot_be_published_fails_no_clip(config: RunConfig) -> None:
    """Here a file lies where the folder of previews should be."""
    Path(config.output).mkdir()
    Path(config.output, "previews").touch()
    tally = real_run(config)
    assert (tally.written, tally.failed) == (4, 0)


def test_previews_go_with_their_clips(config: RunConfig) -> None:
    """With --prune; and no picture of an older file stays beside a clip that was made again."""
    real_run(config)
    other = replace(config, recipe=config.recipe.model_copy(update={"clip_len_s": 2.0}))
    real_run(with_execution(other, prune=True))
    there = {p.stem for p in Path(config.output, "clips").iterdir()}
    assert set(previews(config)) == there
    source = Path(config.input[0]) / "counter.mp4"
    counter_video(source, *steady(100, 25), size=(160, 96))
    real_run(with_execution(other, previews=False))
    clips = {r["clip"] for r in rows_of(Path(config.output)) if r["status"] == "written"}
    assert clips
    assert not clips & set(previews(config))


def test_what_was_made_without_previews_is_not_made_again_for_them(config: RunConfig) -> None:
    """The setting is no part of the recipe: those clips have a place holder."""
    real_run(with_execution(config, previews=False))
    tally = real_run(config)
    assert (tally.written, tally.reused) == (4, 4)
    assert previews(config) == {}
    assert LocalOutput(config.output).sizes("previews") == {}
