"""Clips within shots: no clip crosses a cut, by numbers, and pictures that change with a shot."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from clipping.config.execution import Execution
from clipping.config.load import resolve
from clipping.config.recipe import Recipe
from clipping.dataset.layout import shots_name
from clipping.errors import FailureKind
from clipping.models import ClipRecord, ClipStatus, ProbedSource
from clipping.plan.frame_times import unpack
from clipping.run.chunk import make_chunk, plan_chunks, probe_file
from clipping.run.shots import look_for_shots
from clipping.storage.discover import find_sources
from clipping.storage.outputs import open_output
from tests.media.test_joined_recordings import joined
from tests.support.media import BITS, ffmpeg

SHOTS = [(0, 40), (40, 95), (95, 120), (120, 200)]


def picture(number: int, shot: int, width: int = 192, height: int = 96) -> np.ndarray:
    """An RGB picture: the number in stripes above, and what tells its shot below."""
    blocks = np.random.default_rng(1000 + shot).integers(0, 255, (4, 12, 3), dtype=np.uint8)
    image = np.kron(blocks, np.ones((height // 4, width // 12, 1), np.uint8))
    bits = (number >> (np.arange(width) * BITS // width)) & 1
    image[: height // 8] = (bits * 160 + 40)[None, :, None]
    return image


def video_of_shots(
    path: Path, shots: Sequence[tuple[int, int]], pts: Sequence[int], base: Fraction, first: int = 0
) -> Path:
    """Frame n shows its number, and the picture of the shot that it lies in."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=1 / base, options={"crf": "12", "g": "30"})
        stream.width, stream.height, stream.pix_fmt = 192, 96, "yuv420p"
        stream.codec_context.time_base = base
        for shot, (begin, end) in enumerate(shots):
            for number in range(begin, end):
                image = picture(first + number, 100 * first + shot)
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                frame = frame.reformat(format="yuv420p")
                frame.pts, frame.time_base = pts[number], base
                output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def numbers(record: ClipRecord, turns: int = 0) -> list[int]:
    """The numbers that a clip's frames show."""
    found: list[int] = []
    with av.open(record.location or "") as container:
        for frame in container.decode(video=0):
            image = np.rot90(frame.to_ndarray(format="gray"), turns)
            top = image[1 : image.shape[0] // 8 - 1]
            width, number = top.shape[1], 0
            for bit in range(BITS):
                part = top[:, bit * width // BITS + 3 : (bit + 1) * width // BITS - 3]
                number |= int(part.mean() > 128) << bit
            found.append(number)
    return found


def probed(video: Path | str) -> ProbedSource:
    return probe_file(find_sources([str(video)], Execution().extensions).sources[0], Execution())


def clips_of(video: Path | str, out: Path | str, **recipe: Any) -> list[ClipRecord]:
    """Find shots, plan and make all clips."""
    values = {"spans": "scenes", "preset": "ultrafast", "min_clip_length_s": 0, **recipe}
    config = resolve(Recipe(**values), Execution(encode_batch_size=3))
    output = open_output(str(out))
    found = look_for_shots(probed(video), replace(config, output=str(out)), output)
    assert found.failure is None, found.failure
    chunks = plan_chunks(found, config.recipe, 5)
    return [clip for chunk in chunks for clip in make_chunk(chunk, config, output).clips]


def frames_of(records: Sequence[ClipRecord], turns: int = 0) -> list[tuple[int | None, list[int]]]:
    assert all(r.status is ClipStatus.WRITTEN for r in records), [r.errors for r in records]
    return [(r.clip.shot, numbers(r, turns)) for r in records]


def steady(rate: int = 25) -> tuple[list[int], Fraction]:
    return list(range(SHOTS[-1][1])), Fraction(1, rate)


@pytest.mark.parametrize("detector", ["adaptive", "content"])
def test_no_clip_crosses_a_cut(tmp_path: Path, detector: str) -> None:
    """Each shot is cut from its first frame on; what is left of it is its last clip."""
    video = video_of_shots(tmp_path / "in.mp4", SHOTS, *steady())
    made = clips_of(video, tmp_path / "out", scene_detector=detector, clip_len_s=1, clip_stride_s=1)
    wanted = [
        (shot, list(range(at, min(at + 25, end))))
        for shot, (begin, end) in enumerate(SHOTS)
        for at in range(begin, end, 25)
    ]
    assert frames_of(made) == wanted
    assert [r.clip.number for r in made] == list(range(len(wanted)))


def test_overlap_shortest_margin_and_limit(tmp_path: Path) -> None:
    video = video_of_shots(tmp_path / "in.mp4", SHOTS, *steady())
    recipe = {"clip_len_s": 1, "clip_stride_s": 0.4, "min_clip_length_s": 1}
    made = clips_of(video, tmp_path / "out", scene_margin_frames=4, **recipe)
    kept = [(0, 36), (44, 91), (99, 116), (124, 200)]
    wanted = [
        (shot, list(range(at, at + 25)))
        for shot, (begin, end) in enumerate(kept)
        for at in range(begin, end - 24, 10)
    ]
    assert frames_of(made) == wanted
    few = clips_of(video, tmp_path / "few", scene_margin_frames=4, limit_clips=3, **recipe)
    assert frames_of(few) == wanted[:3]


def test_exactly_so_many_frames(tmp_path: Path) -> None:
    video = video_of_shots(tmp_path / "in.mp4", SHOTS, *steady())
    made = clips_of(video, tmp_path / "out", frames=17, frame_stride=17)
    wanted = [
        (shot, list(range(at, at + 17)))
        for shot, (begin, end) in enumerate(SHOTS)
        for at in range(begin, end - 16, 17)
    ]
    assert frames_of(made) == wanted


@pytest.mark.parametrize("container", ["mkv", "mp4", "ts"])
def test_variable_rate_late_and_turned(tmp_path: Path, container: str) -> None:
    rng = random.Random(3)
    pts = [90_000]
    for _ in range(SHOTS[-1][1]):
        pts.append(pts[-1] + rng.choice([2997, 3600, 3600, 9000]))
    video = video_of_shots(tmp_path / f"in.{container}", SHOTS, pts, Fraction(1, 90_000))
    turns = 0
    if container == "mp4":
        turned = tmp_path / "turned.mp4"
        ffmpeg("-display_rotation", "180", "-i", video, "-c", "copy", turned)
        video, turns = turned, 2
    made = clips_of(video, tmp_path / "out", clip_len_s=1.5, clip_stride_s=1.5)
    shown = frames_of(made, turns)
    assert [n for _, held in shown for n in held] == list(range(SHOTS[-1][1]))
    for shot, held in shown:
        assert shot is not None
        begin, end = SHOTS[shot]
        assert begin <= held[0] <= held[-1] < end
    assert {shot for shot, _ in shown} == {0, 1, 2, 3}


@pytest.mark.parametrize("container", ["mkv", "mp4"])
@pytest.mark.parametrize("rate", ["24", "10", "30000/1001"])
def test_at_another_rate(tmp_path: Path, container: str, rate: str) -> None:
    """The last frame before a cut is shown up to it, and the next clip begins with the cut."""
    pts, base = steady(30)
    video = video_of_shots(tmp_path / f"in.{container}", SHOTS, pts, base)
    made = clips_of(video, tmp_path / "out", fps=rate, clip_len_s=1, clip_stride_s=1)
    fps = Fraction(rate)
    for shot, held in frames_of(made):
        assert shot is not None
        begin, end = SHOTS[shot]
        assert begin <= held[0] <= held[-1] < end
    shown = [n for _, held in frames_of(made) for n in held]
    slots = range(-(-SHOTS[-1][1] * fps.numerator // (30 * fps.denominator)))
    assert shown == [int(k * 30 / fps) for k in slots]


def test_recordings_joined_in_a_file(tmp_path: Path) -> None:
    """Where one recording ends and the next one begins is a cut as well."""
    parts = []
    for first, shots in ((0, [(0, 40), (40, 75)]), (75, [(0, 30), (30, 60)])):
        plain = video_of_shots(tmp_path / f"{first}.mp4", shots, *steady(), first=first)
        parts.append(tmp_path / f"{first}.ts")
        ffmpeg("-i", plain, "-c", "copy", parts[-1])
    made = clips_of(
        joined(tmp_path / "in.ts", parts), tmp_path / "out", clip_len_s=9, clip_stride_s=9
    )
    edges = [(0, 40), (40, 75), (75, 105), (105, 135)]
    assert frames_of(made) == [(i, list(range(*edge))) for i, edge in enumerate(edges)]


def test_shots_are_looked_for_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kept in the output, and used again while neither the video nor the settings change."""
    video = video_of_shots(tmp_path / "in.mp4", SHOTS, *steady())
    calls: list[object] = []
    from clipping.run import shots

    real = shots.with_cuts

    def counted(*given: Any) -> ProbedSource:
        calls.append(given[3])
        return real(*given)

    monkeypatch.setattr(shots, "with_cuts", counted)
    config = {"clip_len_s": 1, "clip_stride_s": 1}
    clips_of(video, tmp_path / "out", **config)
    clips_of(video, tmp_path / "out", **{**config, "clip_stride_s": 0.5}, scene_margin_frames=2)
    assert len(calls) == 1
    clips_of(video, tmp_path / "out", **config, scene_detector="content")
    assert len(calls) == 2
    video_of_shots(tmp_path / "in.mp4", [(0, 50), (50, 200)], *steady())
    made = clips_of(video, tmp_path / "out", **config, scene_detector="content")
    assert len(calls) == 3
    assert {r.clip.shot for r in made} == {0, 1}
    assert (tmp_path / "out" / shots_name("in.mp4")).is_file()


def test_what_cannot_be_decoded_is_its_sources_failure(tmp_path: Path) -> None:
    video = video_of_shots(tmp_path / "in.mp4", SHOTS, *steady())
    found = probed(video)
    config = resolve(Recipe(spans="scenes"), Execution())
    assert found.source is not None
    facts = found.source.video.model_copy(update={"stream": 7})
    broken = found.model_copy(update={"source": found.source.model_copy(update={"video": facts})})
    answer = look_for_shots(broken, config, open_output(str(tmp_path / "out")))
    assert answer.failure is not None
    assert answer.failure.message.startswith("in.mp4: its shots cannot be found: ")
    assert answer.failure.kind is not FailureKind.KILLED


def test_cuts_are_frames_of_the_video(tmp_path: Path) -> None:
    video = video_of_shots(tmp_path / "in.mkv", SHOTS, *steady(30))
    config = resolve(Recipe(spans="scenes"), Execution())
    found = look_for_shots(probed(video), config, open_output(str(tmp_path / "out")))
    pts = unpack(found.frame_pts)
    assert list(unpack(found.cuts or "")) == [pts[begin] for begin, _ in SHOTS[1:]]
