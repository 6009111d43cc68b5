"""Fixtures: what the core makes of a video with real ffmpeg."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from pathlib import Path

import pytest

from clipping.config.execution import Execution
from clipping.config.load import resolve
from clipping.config.recipe import Recipe
from clipping.models import Chunk, ChunkRecord, ClipRecord, ClipStatus, Source
from clipping.run.chunk import make_chunk, plan_chunks, probe_file
from clipping.storage.discover import find_sources
from clipping.storage.outputs import open_output
from tests.support.media import Numbered, read_numbers


@dataclass
class Made:
    """What the core made of one source, without Prefect and Ray."""

    source: Source
    planned: list[Chunk] = field(default_factory=list)
    chunks: list[ChunkRecord] = field(default_factory=list)

    @property
    def clips(self) -> list[ClipRecord]:
        return [clip for chunk in self.chunks for clip in chunk.clips]


Make = Callable[..., Made]


def make_clips(
    folder: Path, path: Path, *, cpus: int = 1, execution: Execution | None = None, **recipe: object
) -> Made:
    """Probe, plan and make all chunks of one file, into `folder`."""
    values = {"min_clip_length_s": 0, "preset": "ultrafast", **recipe}
    if values.get("encoder", "libx264") != "libx264":
        values.pop("preset")
    config = resolve(Recipe(**values), execution)
    output = open_output(str(folder))
    file = find_sources([str(path)], config.execution.extensions).sources[0]
    probed = probe_file(file, config.execution)
    assert probed.failure is None, probed.failure
    assert probed.source is not None
    made = Made(probed.source)
    for chunk in plan_chunks(probed, config.recipe, config.execution.num_clips_per_chunk):
        made.planned.append(chunk)
        made.chunks.append(make_chunk(chunk, config, output, cpus=cpus))
    return made


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Probe, plan and make all chunks of one file, into `tmp_path / "out"`."""
    return partial(make_clips, tmp_path / "out")


def assert_exact(
    made: Made,
    frames: list[Numbered],
    length: Fraction | float | str,
    stride: Fraction | float | str,
    *,
    turns: int = 0,
) -> None:
    """Every clip holds the frames shown in `[i * stride, i * stride + length)` and no others.

    `frames` are the source's, as (seconds from its first frame, number shown).
    """
    length, stride = Fraction(str(length)), Fraction(str(stride))
    assert made.clips, "no clip was planned"
    for record in made.clips:
        start = record.clip.number * stride
        last = start + (record.clip.count - 1) * stride
        expected = [(t, n) for t, n in frames if start <= t < last + length]
        if record.clip.count > 1:  # a row without frames; where spans overlap, it is one stretch
            expected = [
                (t, n) for t, n in expected
                if any(0 <= t - start - i * stride < length for i in range(record.clip.count))
            ]  # fmt: skip
        if not expected:
            assert record.status is ClipStatus.ABSENT
            continue
        assert record.status is ClipStatus.WRITTEN, record.errors
        assert record.location is not None
        shown = read_numbers(Path(record.location), turns)
        assert [n for _, n in shown] == [n for _, n in expected]
        # Times relative to the clip's first frame are the source's, to its time base.
        tolerance = made.source.video.time_base
        for (found, _), (wanted, _) in zip(shown, expected, strict=True):
            assert abs(found - (wanted - expected[0][0])) <= tolerance
        assert record.frames == len(expected)
    end = made.clips[-1].clip
    following = (end.number + end.count) * stride
    assert not [t for t, _ in frames if t >= following], "frames after the last clip"


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The folder of real and damaged videos, if there is one beside the project."""
    folder = Path(os.environ.get("CLIPPING_TEST_MEDIA", "../shared/media")).resolve()
    if not (folder / "MANIFEST.tsv").is_file():
        pytest.skip("there is no folder of real videos; set CLIPPING_TEST_MEDIA to one")
    return folder
