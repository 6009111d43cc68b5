"""The same recipe gives the same bytes: on however many CPUs, whatever was done before."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from clipping.config.execution import Execution
from clipping.config.recipe import Recipe
from clipping.config.run_config import RunConfig
from clipping.errors import FailureKind, FfmpegError
from clipping.ffmpeg import process
from clipping.ffmpeg.encoders import cpu_encoders
from clipping.models import Chunk, ClipStatus
from clipping.plan import segments
from clipping.run import chunk as chunk_module
from clipping.run.chunk import make_chunk, plan_chunks, probe_file
from clipping.storage.discover import find_sources
from clipping.storage.outputs import open_output
from tests.support.media import add_sound, counter_video, noise, steady

RECIPE = Recipe(clip_len_s=1, clip_stride_s=0.5, min_clip_length_s=1, preset="veryfast")
CONFIG = RunConfig(RECIPE, Execution())


@pytest.fixture(autouse=True)
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plan for pictures of 160 x 96 as for large ones: four CPU seconds are 30 frames here."""
    monkeypatch.setattr(segments, "_SEGMENT_PIXELS", 160 * 96 * 30)
    monkeypatch.setattr(segments, "_THREAD_PIXELS", 160 * 96 * 15)


def chunk_of(tmp_path: Path, gop: int) -> Chunk:
    """Nineteen overlapping clips of a 10 s video with sound that has to be encoded."""
    silent, path = tmp_path / "silent.mp4", tmp_path / "in.mov"
    counter_video(silent, *steady(250, 25), options={"g": str(gop)})
    add_sound(silent, noise(10), path, "-c:a", "pcm_s16le")
    (file,) = find_sources([str(path)], CONFIG.execution.extensions).sources
    (chunk,) = plan_chunks(probe_file(file, CONFIG.execution), RECIPE, 32)
    return chunk


def made(chunk: Chunk, out: Path, cpus: int, encoder: str = "") -> dict[int, str]:
    """The chunk made into `out`: SHA-256 of each clip, by number."""
    record = make_chunk(chunk, CONFIG, open_output(str(out)), cpus=cpus, encoder=encoder)
    return {c.clip.number: c.sha256 or c.status for c in record.clips}


@pytest.mark.parametrize(
    ("encoder", "gop", "least", "threads"),
    [
        *((encoder, 25, 4, 1) for encoder in cpu_encoders()),
        *((encoder, 9999, 1, 4) for encoder in ("libx264", "libopenh264", "libx265")),
    ],
)
def test_the_bytes_do_not_depend_on_the_cpus(
    tmp_path: Path, encoder: str, gop: int, least: int, threads: int
) -> None:
    """One, two or three: the same segments, with the same threads, only more of them at once."""
    chunk = chunk_of(tmp_path, gop)
    plan = segments.segments(chunk, chunk.clips)
    assert len(plan) >= least
    assert {segment.threads for segment in plan} == {threads}
    first = made(chunk, tmp_path / "1", 1, encoder)
    assert len(set(first.values())) == 19
    for cpus in (2, 3):
        assert made(chunk, tmp_path / str(cpus), cpus, encoder) == first


def killed(chunk: Chunk, out: Path, kept: set[int]) -> None:
    """Leave what a run leaves that ends in the middle: these clips, and no chunk record."""
    for record in (out / "processed_clip_chunks").rglob("*.json"):
        record.unlink()
    for clip in chunk.clips:
        if clip.number not in kept:
            (out / "clips" / f"{clip.id}.mp4").unlink(missing_ok=True)


@pytest.mark.parametrize("gop", [25, 9999])
def test_the_bytes_do_not_depend_on_what_a_kill_left(tmp_path: Path, gop: int) -> None:
    """Some clips are there; the others are made again as if none were."""
    chunk, out = chunk_of(tmp_path, gop), tmp_path / "killed"
    whole = made(chunk, tmp_path / "whole", 2)
    made(chunk, out, 1)
    kept = {2, 3, 9, 16}
    killed(chunk, out, kept)
    record = make_chunk(chunk, CONFIG, open_output(str(out)), cpus=3)
    assert record.reused == len(kept)
    assert {c.clip.number: c.sha256 for c in record.clips} == whole


def test_only_the_segments_that_missing_clips_need_are_encoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One clip lost of nineteen: its two segments at most, not the chunk."""
    chunk, out = chunk_of(tmp_path, 25), tmp_path / "out"
    made(chunk, out, 2)
    killed(chunk, out, {c.number for c in chunk.clips} - {7})
    encoded: list[str] = []

    def run(command: list[str], **options: Any) -> process.Finished:
        if "-c:v" in command:
            encoded.append(" ".join(command))
        return process.run(command, **options)

    monkeypatch.setattr(chunk_module, "_bounded", lambda _execution: run)
    made(chunk, out, 2)
    assert 1 <= len(encoded) <= 2


def test_narrowing_down_goes_the_same_way_after_a_kill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The neighbours of a bad clip are made in the same halves, whichever of them are missing."""
    monkeypatch.setattr(segments, "_SEGMENT_PIXELS", 160 * 96 * 100)
    chunk, out = chunk_of(tmp_path, 25), tmp_path / "killed"
    bad = chunk.clips[6].start_pts

    def run(command: list[str], **options: Any) -> process.Finished:
        found = re.search(r"trim=start_pts=(\d+):end_pts=(\d+)", " ".join(command))
        if found and "-c:v" in command and int(found[1]) <= bad < int(found[2]):
            raise FfmpegError("it hurts here", FailureKind.BAD_INPUT)
        return process.run(command, **options)

    monkeypatch.setattr(chunk_module, "_bounded", lambda _execution: run)
    whole = made(chunk, tmp_path / "whole", 2)
    assert {n for n, sha in whole.items() if sha == ClipStatus.FAILED} == {5, 6}
    made(chunk, out, 1)
    for kept in ({2, 3, 9, 16}, {4, 7, 8}):
        killed(chunk, out, kept)
        assert made(chunk, out, 3) == whole
