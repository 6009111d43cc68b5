"""Clips that are the source's own packets: whole, at keyframes, with nothing lost or doubled."""

from __future__ import annotations

import random
from bisect import bisect_left
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from clipping.config.execution import Execution
from clipping.config.load import resolve
from clipping.config.recipe import Recipe
from clipping.models import ClipRecord, ClipStatus, ProbedSource
from clipping.plan.frame_times import unpack
from clipping.run.chunk import probe_file, why_not
from clipping.storage.discover import find_sources
from tests.media.conftest import Made, Make
from tests.support.media import (
    RATE,
    add_sound,
    counter_video,
    ffmpeg,
    heard,
    lag,
    noise,
    read_numbers,
    steady,
)

X264 = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "18"]
X265 = ["-c:v", "libx265", "-preset", "ultrafast", "-crf", "18"]
CLOSED = "keyint=20:min-keyint=20:scenecut=0:open-gop=0:log-level=error"
AV1 = ["-c:v", "libsvtav1", "-preset", "12", "-crf", "20", "-g", "20", "-svtav1-params", "lp=1"]
VP9 = ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "2M", "-g", "20"]
# Encoder options of videos with a closed GOP every 20 frames; the codec.
SOURCES: dict[str, tuple[list[str], str]] = {
    "h264": ([*X264, "-x264-params", CLOSED.replace(":log-level=error", "")], "h264"),
    "h264-no-b": ([*X264, "-g", "20", "-bf", "0", "-sc_threshold", "0"], "h264"),
    "hevc": ([*X265, "-x265-params", CLOSED], "hevc"),
    "av1": (AV1, "av1"),
    "vp9": (VP9, "vp9"),
}


def source(folder: Path, kind: str, container: str, pts: list[int], base: Fraction) -> Path:
    """A video of numbered frames, encoded as its kind."""
    counter_video(folder / "plain.mkv", pts, base, options={"crf": "8"})
    path = folder / f"in.{container}"
    if not path.exists():
        keep = ["-fps_mode", "passthrough", "-enc_time_base", "demux", "-copyts"]
        options = SOURCES[kind][0]
        ffmpeg("-i", folder / "plain.mkv", *keep, *options, path)
    return path


def probed(video: Path) -> ProbedSource:
    return probe_file(find_sources([str(video)], Execution().extensions).sources[0], Execution())


def copies(make: Make, video: Path, **recipe: Any) -> Made:
    made = make(video, encoder="copy", preset=None, **recipe)
    for clip in made.clips:
        assert clip.encoder in ("copy", None)
    return made


def shown(record: ClipRecord, turns: int = 0) -> list[int]:
    return [n for _, n in read_numbers(Path(record.location or ""), turns)]


def packets(path: Path | str) -> list[tuple[int | None, bytes]]:
    with av.open(str(path)) as container:
        return [(p.pts, bytes(p)) for p in container.demux(container.streams.video[0]) if p.size]


def assert_touching(made: Made, total: int, key_every: int = 20) -> None:
    """Edges lie on the nearest keyframes; every frame is in just one clip."""
    edges = [*range(0, total, key_every), total]
    frames = unpack(made.planned[0].frame_pts)
    assert len(frames) >= 1
    reached = 0
    for record in made.clips:
        clip = record.clip
        assert clip.asked_span is not None
        assert clip.start_frame in edges
        assert clip.end_frame in edges
        assert clip.start_frame == reached
        reached = clip.end_frame
        if record.status is ClipStatus.ABSENT:
            assert clip.frame_count == 0
            assert "no keyframe to cut at is near enough" in record.errors[0]
            continue
        assert record.status is ClipStatus.WRITTEN, record.errors
        assert shown(record) == list(range(clip.start_frame, clip.end_frame))
    assert reached == total


@pytest.mark.parametrize("length", ["1.1", "0.3"])
@pytest.mark.parametrize(
    ("kind", "container"),
    [
        ("h264", "mp4"), ("h264", "mkv"), ("h264", "ts"), ("h264-no-b", "mp4"), ("h264", "flv"),
        ("hevc", "mp4"), ("hevc", "mkv"), ("hevc", "ts"),
        ("av1", "mp4"), ("av1", "mkv"), ("vp9", "webm"), ("vp9", "mp4"),
    ],
)  # fmt: skip
def test_adjacent_clips(make: Make, tmp_path: Path, kind: str, container: str, length: str) -> None:
    video = source(tmp_path, kind, container, *steady(130, 25))
    made = copies(
        make, video, clip_len_s=float(length), clip_stride_s=float(length),
        execution=Execution(num_clips_per_chunk=3, verify="decode"),
    )  # fmt: skip
    assert_touching(made, 130)
    assert {c.video_codec for c in made.clips if c.frames} == {SOURCES[kind][1]}


@pytest.mark.parametrize("kind", ["h264", "av1", "vp9"])
def test_the_packets_are_the_sources_own(make: Make, tmp_path: Path, kind: str) -> None:
    video = source(tmp_path, kind, "mp4", *steady(100, 25))
    own = [data for _, data in packets(video)]
    made = copies(make, video, clip_len_s=0.8, clip_stride_s=0.8)
    held = [data for c in made.clips if c.location for _, data in packets(c.location)]
    assert held == own


def test_overlap_and_gaps(make: Make, tmp_path: Path) -> None:
    """Each packet is read once for all the clips that hold it."""
    video = source(tmp_path, "h264", "mp4", *steady(200, 25))
    for stride in (0.8, 3.0):
        made = copies(make, video, clip_len_s=1.6, clip_stride_s=stride)
        for record in made.clips:
            clip = record.clip
            assert clip.start_frame % 20 == 0
            assert shown(record) == list(range(clip.start_frame, clip.end_frame))
            assert clip.asked_span is not None
            at = clip.asked_span.start * 25
            assert abs(clip.start_frame - at) <= 10


def test_variable_rate_late_and_turned(make: Make, tmp_path: Path) -> None:
    """Frames keep their times; the orientation and the shape of pixels stay with the packets."""
    rng = random.Random(5)
    pts = [90_000]
    for _ in range(140):
        pts.append(pts[-1] + rng.choice([3000, 3600, 9000]))
    video = source(tmp_path, "h264", "mp4", pts, Fraction(1, 90_000))
    turned = tmp_path / "turned.mp4"
    ffmpeg("-display_rotation", "90", "-i", video, "-c", "copy", turned)
    own = [t for t, _ in read_numbers(video)]  # what encoded it has rounded them
    for path in (video, turned):
        made = copies(make, path, clip_len_s=1.5, clip_stride_s=1.5)
        numbers: list[int] = []
        for record in made.clips:
            if not record.frames:
                continue
            read = read_numbers(Path(record.location or ""))
            first = read[0][1]
            assert [t for t, _ in read] == [own[n] - own[first] for _, n in read]
            numbers += [n for _, n in read]
            with av.open(record.location or "") as container:
                frame = next(container.decode(video=0))
                assert frame.rotation == (0 if path == video else 90)
            size = (160, 96) if path == video else (96, 160)
            assert (record.width, record.height) == size
        assert numbers == list(range(len(pts)))


def test_every_frame_a_keyframe_is_cut_exactly(make: Make, tmp_path: Path) -> None:
    frames = counter_video(tmp_path / "in.mp4", *steady(100, 25), options={"g": "1"})
    made = copies(make, tmp_path / "in.mp4", clip_len_s=0.68, clip_stride_s=0.52)
    for record in made.clips:
        start = record.clip.number * Fraction(52, 100)
        span = start, start + Fraction(68, 100)
        assert shown(record) == [n for t, n in frames if span[0] <= t < span[1]]
        assert record.clip.asked_span == record.clip.span or record is made.clips[-1]


@pytest.mark.parametrize("kind", ["h264", "hevc"])
@pytest.mark.parametrize("container", ["mp4", "ts"])
def test_an_open_gop_is_not_cut(make: Make, tmp_path: Path, kind: str, container: str) -> None:
    """A keyframe that pictures shown before it need what comes before is passed over."""
    opened = "keyint=20:min-keyint=20:scenecut=0:bframes=3:b-adapt=0:open-gop=1"
    counter_video(tmp_path / "plain.mkv", *steady(130, 25), options={"crf": "8"})
    video = tmp_path / f"in.{container}"
    extra = (
        ["-x264-params", opened]
        if kind == "h264"
        else ["-x265-params", f"{opened}:log-level=error"]
    )
    ffmpeg("-i", tmp_path / "plain.mkv", *(X264 if kind == "h264" else X265), *extra, video)
    found = probed(video)
    assert len(unpack(found.keyframes)) > 1
    assert list(unpack(found.cut_points)) == list(unpack(found.frame_pts)[:1])
    made = copies(make, video, clip_len_s=2, clip_stride_s=2)
    assert [c.status for c in made.clips].count(ClipStatus.WRITTEN) == 1
    [record] = [c for c in made.clips if c.frames]
    assert shown(record) == list(range(130))


def test_recovery_points_are_no_cutting_points(tmp_path: Path) -> None:
    """Intra refresh: pictures get whole one after the other, and only an IDR starts clean."""
    counter_video(tmp_path / "plain.mkv", *steady(130, 25), options={"crf": "8"})
    params = "intra-refresh=1:keyint=20:bframes=0:scenecut=0"
    ffmpeg("-i", tmp_path / "plain.mkv", *X264, "-x264-params", params, tmp_path / "in.ts")
    found = probed(tmp_path / "in.ts")
    with av.open(str(tmp_path / "in.ts")) as container:
        called = [p for p in container.demux(video=0) if p.size and p.is_keyframe]
    idr = [p.pts for p in called if b"\0\0\1\x65" in bytes(p)]
    assert len(called) > len(idr) > 0
    assert list(unpack(found.cut_points)) == idr


def test_what_cannot_be_copied_fails_or_is_encoded(make: Make, tmp_path: Path) -> None:
    frames = counter_video(tmp_path / "plain.mp4", *steady(60, 25))
    ffmpeg("-i", tmp_path / "plain.mp4", "-c:v", "mpeg2video", "-q:v", "2", tmp_path / "in.mpg")
    recipe = resolve(Recipe(encoder="copy"), Execution()).recipe
    reason = why_not(probed(tmp_path / "in.mpg"), recipe)
    assert reason is not None
    assert reason.startswith("in.mpg: it cannot be cut without encoding: MP4 for the usual readers")
    assert why_not(probed(tmp_path / "plain.mp4"), recipe) is None
    made = make(
        tmp_path / "in.mpg", encoder="copy", preset=None, copy_fallback="libx264",
        clip_len_s=1, clip_stride_s=1,
    )  # fmt: skip
    for record in made.clips:
        start = record.clip.number
        assert record.encoder == "libx264"
        assert record.clip.asked_span is None
        assert shown(record) == [n for t, n in frames if start <= t < start + 1]


@pytest.mark.parametrize("codec", ["aac", "pcm_s16le"])
def test_sound_goes_with_the_span_that_it_holds(make: Make, tmp_path: Path, codec: str) -> None:
    counter_video(tmp_path / "silent.mp4", *steady(200, 25), options={"g": "20", "bf": "2"})
    sound = noise(8)
    add_sound(tmp_path / "silent.mp4", sound, tmp_path / "in.mov", "-c:a", codec)
    made = copies(make, tmp_path / "in.mov", clip_len_s=2, clip_stride_s=1.5)
    for record in made.clips:
        start, end = (f * RATE // 25 for f in (record.clip.start_frame, record.clip.end_frame))
        clip = heard(Path(record.location or ""))
        assert abs(lag(sound[start:end], clip)) <= 2
        assert abs(len(clip) - (end - start)) <= 1200


def test_a_list_of_spans_and_a_second_run(make: Make, tmp_path: Path) -> None:
    video = source(tmp_path, "h264", "mp4", *steady(100, 25))
    first = copies(make, video, clip_len_s=1.6, clip_stride_s=0.8)
    again = copies(make, video, clip_len_s=1.6, clip_stride_s=0.8)
    assert sum(c.reused for c in again.chunks) == len(first.clips)
    assert [c.sha256 for c in again.clips] == [c.sha256 for c in first.clips]


def test_edges_go_to_the_nearest_keyframe(make: Make, tmp_path: Path) -> None:
    video = source(tmp_path, "h264", "mp4", *steady(100, 25))
    made = copies(make, video, clip_len_s=0.5, clip_stride_s=0.5)
    for record in made.clips:
        asked = record.clip.asked_span
        assert asked is not None
        for edge, frame in (
            (asked.start, record.clip.start_frame),
            (asked.end, record.clip.end_frame),
        ):
            wanted = bisect_left(range(100), edge * 25)
            choices = [*range(0, 100, 20), 100]
            assert abs(frame - wanted) == min(abs(c - wanted) for c in choices)
