"""What readers make of a clip's times: its rate, its duration, the picture's own clock."""

from __future__ import annotations

import random
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from clipping.config.execution import Execution
from clipping.models import ClipRecord
from tests.media.conftest import Made, Make, assert_exact
from tests.support.media import (
    RATE,
    Numbered,
    add_sound,
    counter_video,
    ffmpeg,
    heard,
    lag,
    noise,
    read_numbers,
    steady,
)
from tests.support.track_boxes import picture_clock, video_track

B_FRAMES = {"bf": "3", "x264-params": "b-adapt=0:b-pyramid=normal"}


def file_of(record: ClipRecord) -> Path:
    assert record.location
    return Path(record.location)


def assert_constant(record: ClipRecord, rate: Fraction) -> None:
    """One duration for all samples, the first frame at 0, and readers that find the rate."""
    path = file_of(record)
    track = video_track(path)
    step = Fraction(track.scale) / rate
    assert track.stts == [(record.frames, step)]
    assert sorted(track.times) == [i * step for i in range(record.frames)]
    assert picture_clock(path) == rate
    with av.open(str(path)) as container:
        stream: Any = container.streams.video[0]
        assert stream.average_rate == rate
        assert stream.start_time == 0
        assert stream.duration * stream.time_base == record.frames / rate == record.duration
        # An edit list counts in the movie's ticks, and may be rounded to them.
        assert abs(track.edits[0][0] - record.frames / rate * track.movie_scale) <= 1
        packets = [p for p in container.demux(stream) if p.size]
    assert len(packets) == record.frames
    assert not any(p.is_discard for p in packets)
    assert len(read_numbers(path)) == record.frames
    assert record.frame_rate == rate


RATES = [Fraction(30), Fraction(25), Fraction(24000, 1001), Fraction(60000, 1001), Fraction(15, 2)]


@pytest.mark.parametrize("rate", RATES, ids=str)
@pytest.mark.parametrize(
    ("encoder", "preset"),
    [("libx264", "ultrafast"), ("libx264", "medium"), ("libopenh264", None)],
    ids=["no-b", "b-frames", "libopenh264"],
)
def test_a_constant_rate_is_told(
    make: Make, tmp_path: Path, rate: Fraction, encoder: str, preset: str | None
) -> None:
    """By the boxes and by the SPS, in clips of several segments and of odd lengths."""
    frames = counter_video(tmp_path / "in.mp4", *steady(101, rate), options=B_FRAMES)
    length, stride = ("1.37", "0.61") if rate > 20 else ("4.1", "2.3")
    small = Execution(encode_batch_size=1)
    spans = {"clip_len_s": float(length), "clip_stride_s": float(stride)}
    made = make(
        tmp_path / "in.mp4", execution=small, cpus=2, encoder=encoder, preset=preset, **spans
    )
    assert_exact(made, frames, length, stride)
    assert len({c.frames for c in made.clips}) > 1
    for record in made.clips:
        assert_constant(record, rate)
        assert not record.on_grid
    assert made.source.video.grid
    assert (made.source.video.grid.rate, made.source.video.grid.off_by) == (rate, 0)
    assert made.source.video.fps == float(rate)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_shortest_clips(make: Make, tmp_path: Path, count: int) -> None:
    """Clips of so few frames have a rate, too."""
    counter_video(tmp_path / "in.mp4", *steady(9, 25))
    made = make(tmp_path / "in.mp4", preset="medium", clip_len_s=count / 25, clip_stride_s=0.12)
    assert [c.frames for c in made.clips] == [count] * 3
    for record in made.clips:
        assert_constant(record, Fraction(25))


@pytest.mark.parametrize("preset", ["ultrafast", "medium"], ids=["no-b", "b-frames"])
def test_a_variable_rate_is_told_on_average(make: Make, tmp_path: Path, preset: str) -> None:
    """Readers find frames / seconds of the clip; its SPS has the average of the whole video."""
    rng = random.Random(3)
    pts = [0]
    for _ in range(119):
        pts.append(pts[-1] + rng.choice([7, 16, 33, 33, 34, 120, 400]))
    frames = counter_video(tmp_path / "in.mp4", pts, Fraction(1, 1000))
    made = make(tmp_path / "in.mp4", preset=preset, clip_len_s=2, clip_stride_s=1.5)
    assert_exact(made, frames, 2, "1.5")
    assert made.source.video.grid is None
    for record in made.clips:
        path, track = file_of(record), video_track(file_of(record))
        assert record.duration
        assert sum(count * step for count, step in track.stts) == record.duration * track.scale
        with av.open(str(path)) as container:
            stream: Any = container.streams.video[0]
            assert stream.average_rate == record.frames / record.duration
            assert stream.duration * stream.time_base == record.duration
        assert picture_clock(path) == made.source.video.exact_rate
        assert (record.frame_rate, record.on_grid) == (None, False)


ROUNDED = [
    *[("in.mkv", rate) for rate in RATES[:1] + RATES[2:4]],
    ("in.flv", Fraction(30)),
    ("in.flv", Fraction(30000, 1001)),
    ("in.ts", Fraction(24000, 1001)),
    ("in.ts", Fraction(60000, 1001)),
    ("in.webm", Fraction(30)),
    ("via-mkv.mp4", Fraction(30)),
]


@pytest.mark.parametrize(("name", "rate"), ROUNDED, ids=str)
def test_rounded_times_are_put_back(make: Make, tmp_path: Path, name: str, rate: Fraction) -> None:
    """What a container rounded of a constant rate has that rate again; frames stay where they are.

    In an MP4, too, that was remuxed of such a container.
    """
    counter_video(tmp_path / "exact.mp4", *steady(151, rate), options=B_FRAMES)
    path = rounded(tmp_path, name)
    frames = shown_in(path)
    assert [n for _, n in frames] == list(range(151))
    made = make(path, preset="medium", clip_len_s=1.1, clip_stride_s=0.7)
    assert_same_frames(made, frames, "1.1", "0.7")
    grid, base = made.source.video.grid, made.source.video.time_base
    assert grid
    assert (grid.rate, grid.is_constant) == (rate, True)
    unit = base if name == "in.ts" else Fraction(1, 1000)
    assert 0 < grid.off_by * base <= (unit if name == "in.flv" else unit / 2)
    for record in made.clips:
        assert_constant(record, rate)
        assert record.on_grid


def rounded(folder: Path, name: str) -> Path:
    """`exact.mp4` in another container."""
    path = folder / name
    codec = ["-c:v", "libvpx", "-b:v", "2M"] if name == "in.webm" else ["-c", "copy"]
    if name == "via-mkv.mp4":
        ffmpeg("-i", folder / "exact.mp4", *codec, folder / "between.mkv")
        ffmpeg("-i", folder / "between.mkv", *codec, path)
    else:
        ffmpeg("-i", folder / "exact.mp4", *codec, path)
    return path


def shown_in(path: Path) -> list[Numbered]:
    """A source's frames as (seconds from its first one, number), its timestamps as they are."""
    frames = read_numbers(path)
    return [(t - frames[0][0], n) for t, n in frames]


def assert_same_frames(made: Made, frames: list[Numbered], length: str, stride: str) -> None:
    """Clips hold the frames whose own timestamps lie in the spans, moved by a rounding at most."""
    base = made.source.video.time_base
    grid = made.source.video.grid
    assert grid
    for record in made.clips:
        start = record.clip.number * Fraction(stride)
        wanted = [(t, n) for t, n in frames if start <= t < start + Fraction(length)]
        found = read_numbers(file_of(record))
        assert [n for _, n in found] == [n for _, n in wanted]
        for (at, _), (t, _) in zip(found, wanted, strict=True):
            assert abs(at - (t - wanted[0][0])) <= 2 * grid.off_by * base


def test_dropped_frames_leave_whole_gaps(make: Make, tmp_path: Path) -> None:
    """Times go to the grid, no frame moves into a gap, and only what is constant is called so."""
    rate = Fraction(30000, 1001)
    pts, base = steady(151, rate)
    kept = [p for i, p in enumerate(pts) if i not in (40, 41, 42, 100)]
    counter_video(tmp_path / "exact.mp4", kept, base)
    path = rounded(tmp_path, "in.mkv")
    made = make(path, preset="medium", clip_len_s=1, clip_stride_s=1)
    assert_same_frames(made, shown_in(path), "1", "1")
    grid = made.source.video.grid
    assert grid
    assert (grid.rate, grid.is_constant) == (rate, False)
    assert [c.frame_rate for c in made.clips] == [rate, None, rate, None, rate, rate]
    for record in made.clips:
        assert record.on_grid
        assert picture_clock(file_of(record)) == rate
        track = video_track(file_of(record))
        steps = {step * rate / track.scale for _, step in track.stts}
        assert steps <= {1, 2, 4}


def test_a_variable_rate_in_matroska_stays(make: Make, tmp_path: Path) -> None:
    """One frame that is off the grid by more than a rounding, and every time is kept."""
    pts = [round(i * 1000 / 30) + 2 * (i == 70) for i in range(120)]
    frames = counter_video(tmp_path / "in.mkv", pts, Fraction(1, 1000))
    made = make(tmp_path / "in.mkv", preset="medium", clip_len_s=1, clip_stride_s=1)
    assert_exact(made, frames, 1, 1)
    assert made.source.video.grid is None
    for record in made.clips:
        assert not record.on_grid
        shown = read_numbers(file_of(record))
        first = frames[record.clip.start_frame][0]
        assert [t for t, _ in shown] == [frames[n][0] - first for _, n in shown]


@pytest.mark.parametrize("codec", [["-c:a", "flac"], ["-c:a", "pcm_s16le"]], ids=["copied", "aac"])
def test_sound_follows_the_grid(make: Make, tmp_path: Path, codec: list[str]) -> None:
    """It is cut where the frames are on the grid: less than a millisecond from the timestamps."""
    counter_video(tmp_path / "exact.mp4", *steady(180, Fraction(30000, 1001)))
    sound = noise(6)
    add_sound(tmp_path / "exact.mp4", sound, tmp_path / "in.mkv", *codec)
    made = make(tmp_path / "in.mkv", clip_len_s=1.3, clip_stride_s=1.1)
    for record in made.clips[:4]:
        assert record.on_grid
        assert record.audio
        start = record.clip.start_frame * Fraction(1001, 30000)
        end = start + (record.duration or 0)
        wanted = sound[round(start * RATE) : round(end * RATE)]
        assert abs(lag(wanted, heard(file_of(record)))) <= 24  # half a millisecond, the container's
