"""Another frame rate: every frame shows what the source presents then, by burned-in numbers."""

from __future__ import annotations

import random
import shutil
from bisect import bisect_right
from fractions import Fraction
from math import ceil
from pathlib import Path

import av
import pytest

from clipping.config.execution import Execution
from clipping.ffmpeg.encoders import ENCODERS, cpu_encoders
from clipping.models import ClipStatus
from tests.media.conftest import Made, Make
from tests.media.test_joined_recordings import joined, recording
from tests.support.damage import flip_bits, gop_video
from tests.support.media import (
    RATE,
    Numbered,
    add_sound,
    counter_video,
    ffmpeg,
    heard,
    lag,
    noise,
    picture,
    read_numbers,
    steady,
)

RATES = ["24", "30000/1001", "12.5", "60"]
STRIDES = [("1", "0.5"), ("1", "1"), ("0.7", "1.3")]


def uneven(frames: int, seed: int = 7) -> list[int]:
    """PTS in milliseconds with gaps, bursts and drops."""
    rng, pts, at = random.Random(seed), [], 0
    for _ in range(frames):
        pts.append(at)
        at += rng.choice([16, 33, 33, 34, 120, 400])
    return pts


def assert_resampled(
    made: Made, frames: list[Numbered], rate: str, length: str, stride: str, turns: int = 0
) -> None:
    """Each clip shows, at k / rate after its start, the last frame whose time is not later."""
    fps = Fraction(rate)
    times, numbers = [s for s, _ in frames], [n for _, n in frames]
    assert made.clips
    video = made.source.video
    lasts = video.duration
    if video.grid and video.grid.is_constant:
        lasts = len(frames) / video.grid.rate
    for clip in made.clips:
        number = clip.clip.number
        start, end = number * Fraction(stride), number * Fraction(stride) + Fraction(length)
        slots = range(ceil(start * fps), min(ceil(end * fps), ceil(lasts * fps)))
        if not slots:  # the video ends before the next frame's time
            assert clip.status is ClipStatus.ABSENT
            continue
        assert clip.status is ClipStatus.WRITTEN, clip.errors
        assert clip.location is not None
        read = read_numbers(Path(clip.location), turns)
        shown = [bisect_right(times, k / fps) - 1 for k in slots]
        assert [n for _, n in read] == [numbers[i] for i in shown], (number, clip.clip)
        assert [s for s, _ in read] == [Fraction(i) / fps for i in range(len(slots))]
        assert clip.frame_rate == fps
        assert clip.frames == len(slots) == clip.clip.frame_count
        assert clip.repeated_frames == len(slots) - len(set(shown))
        until = (slots[-1] + 1) / fps
        fallen = [i for i, s in enumerate(times) if i >= shown[0] and s < until]
        assert clip.dropped_frames == len(set(fallen) - set(shown))


@pytest.mark.parametrize(("length", "stride"), STRIDES)
@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("source", [Fraction(30), Fraction(24000, 1001)], ids=str)
def test_constant_sources(
    make: Make, tmp_path: Path, source: Fraction, rate: str, length: str, stride: str
) -> None:
    frames = counter_video(tmp_path / "in.mp4", *steady(75, source))
    made = make(
        tmp_path / "in.mp4", fps=rate, clip_len_s=float(length), clip_stride_s=float(stride)
    )
    assert_resampled(made, frames, rate, length, stride)


@pytest.mark.parametrize(("length", "stride"), STRIDES)
@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("container", ["in.mp4", "in.mkv"])
def test_variable_sources(
    make: Make, tmp_path: Path, container: str, rate: str, length: str, stride: str
) -> None:
    frames = counter_video(tmp_path / container, uneven(60), Fraction(1, 1000))
    made = make(
        tmp_path / container, fps=rate, clip_len_s=float(length), clip_stride_s=float(stride),
        execution=Execution(encode_batch_size=3), cpus=2,
    )  # fmt: skip
    assert_resampled(made, frames, rate, length, stride)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("container", ["in.mkv", "in.flv", "in.ts"])
def test_rounded_times_count_as_what_was_rounded(
    make: Make, tmp_path: Path, container: str, rate: str
) -> None:
    """A constant rate in milliseconds or 1/90000 s: the same frames as of the exact times."""
    pts, base = steady(90, Fraction(30000, 1001))
    frames = counter_video(tmp_path / "exact.mp4", pts, base)
    ffmpeg("-i", tmp_path / "exact.mp4", "-c", "copy", tmp_path / container)
    made = make(tmp_path / container, fps=rate, clip_len_s=1.0, clip_stride_s=0.5)
    assert_resampled(made, frames, rate, "1", "0.5")


@pytest.mark.parametrize("encoder", cpu_encoders())
def test_every_encoder_late_and_turned(make: Make, tmp_path: Path, encoder: str) -> None:
    """At a variable rate, with a late start and turned; clips over several segments."""
    rng = random.Random(11)
    pts = [90_000]
    for _ in range(90):
        pts.append(pts[-1] + rng.choice([3000, 3003, 3600, 9000]))
    turned = tmp_path / "turned.mov"
    for name in ("in.ts", "in.mp4"):
        frames = counter_video(tmp_path / name, pts, Fraction(1, 90_000))
    ffmpeg("-display_rotation", "180", "-i", tmp_path / "in.mp4", "-c", "copy", turned)
    for path, turns in ((tmp_path / "in.ts", 0), (turned, -2)):
        made = make(
            path, fps="24", encoder=encoder, clip_len_s=1.0, clip_stride_s=0.5,
            execution=Execution(encode_batch_size=2, verify="decode"), cpus=2,
        )  # fmt: skip
        assert_resampled(made, frames, "24", "1", "0.5", turns)
        assert {c.video_codec for c in made.clips} == {ENCODERS[encoder].codec}


@pytest.mark.parametrize("audio", [["-c:a", "aac", "-b:a", "192k"], ["-c:a", "pcm_s16le"]])
def test_sound_stays_where_it_belongs(make: Make, tmp_path: Path, audio: list[str]) -> None:
    """It begins and ends with the clip's first and last frame, which the new grid moves."""
    pts = [p + 500 for p in uneven(90)]
    counter_video(tmp_path / "silent.mp4", pts, Fraction(1, 1000))
    add_sound(tmp_path / "silent.mp4", noise(9), tmp_path / "in.mov", *audio)
    made = make(tmp_path / "in.mov", fps="30000/1001", clip_len_s=1.5, clip_stride_s=1.3)
    source = heard(tmp_path / "in.mov")
    begins = made.source.video.first_pts * made.source.video.time_base
    assert len(made.clips) >= 4
    for record in made.clips:
        start = begins + record.clip.start_frame * Fraction(1001, 30_000)
        assert record.clip.seconds_at(record.start_pts, Fraction(1)) == start
        length = record.frames * Fraction(1001, 30_000)
        assert record.duration == length
        wanted = source[round(start * RATE) : round((start + length) * RATE)]
        clip = heard(Path(record.location or ""))
        if len(wanted) > RATE // 2:
            assert abs(lag(wanted, clip)) <= 2
        assert abs(len(clip) - len(wanted)) <= 1200


@pytest.mark.parametrize("every", [{"frame_stride": 5}, {"frame_stride": 17}, {"clip_stride_s": 1}])
def test_exactly_so_many_frames(make: Make, tmp_path: Path, every: dict[str, int]) -> None:
    """`frames` and `frame_stride` count frames of the new rate; what has fewer is dropped."""
    frames = counter_video(tmp_path / "in.mp4", uneven(80), Fraction(1, 1000))
    made = make(tmp_path / "in.mp4", fps="16", frames=17, **every)
    assert len(made.clips) > 3
    times = [s for s, _ in frames]
    step = every.get("frame_stride", 16)
    for record in made.clips:
        first = record.clip.number * step
        wanted = [bisect_right(times, Fraction(k, 16)) - 1 for k in range(first, first + 17)]
        assert [n for _, n in read_numbers(Path(record.location or ""))] == wanted


def test_keyframes_by_the_new_rate(make: Make, tmp_path: Path) -> None:
    counter_video(tmp_path / "in.mp4", *steady(120, 30))
    made = make(tmp_path / "in.mp4", fps="12", gop="1s", clip_len_s=4, clip_stride_s=4)
    with av.open(made.clips[0].location or "") as container:
        keys = [i for i, p in enumerate(container.demux(video=0)) if p.size and p.is_keyframe]
        assert container.streams.video[0].average_rate == 12
    assert keys == [0, 12, 24, 36]


@pytest.mark.parametrize("rate", [6, 12, 24])
def test_damage_is_that_of_the_frames_that_are_shown(make: Make, tmp_path: Path, rate: int) -> None:
    """A frame that shows a damaged one is damaged, however often it is shown."""
    damaged = flip_bits(gop_video(tmp_path, "h264"), [(1, 0, 0), (3, 1, 0), (5, 6, 0)])
    recipe = {"clip_len_s": 1 / 12, "clip_stride_s": 1 / 12, "max_damage": 1.0}
    plain = make(damaged, **recipe)
    bad = [c.damaged_frames for c in plain.clips]
    assert sum(map(bool, bad)) > 10
    shutil.rmtree(tmp_path / "out")
    made = make(damaged, fps=str(rate), clip_len_s=2, clip_stride_s=1, max_damage=1.0)
    for record in made.clips:
        shown = [k * 12 // rate for k in range(record.clip.start_frame, record.clip.end_frame)]
        assert record.damaged_frames == sum(bool(bad[i]) for i in shown), record.clip.number


def test_lost_frames_are_held_over(make: Make, tmp_path: Path) -> None:
    """The clip keeps its length; the frames that should show what is lost count as damaged."""
    frames = counter_video(tmp_path / "in.mp4", *steady(60, 24), options={"g": "12", "bf": "0"})
    content = bytearray((tmp_path / "in.mp4").read_bytes())
    with av.open(str(tmp_path / "in.mp4")) as container:
        place = [(p.pos or 0, p.size) for p in container.demux(video=0) if p.size]
    for at, size in place[30:36]:
        content[at : at + size] = bytes(size)
    (tmp_path / "lost.mp4").write_bytes(content)
    made = make(tmp_path / "lost.mp4", fps="48", clip_len_s=2.5, clip_stride_s=2.5, max_damage=0.5)
    [record] = made.clips
    assert record.status is ClipStatus.WRITTEN, record.errors
    assert record.frames == 120
    assert record.damaged_frames == 12
    shown = [n for _, n in read_numbers(Path(record.location or ""))]
    whole = [i for k in range(120) if not 30 <= (i := k // 2) < 36]
    assert [n for k, n in enumerate(shown) if not 60 <= k < 72] == whole
    assert len(frames) == 60


def test_recordings_joined_in_a_file(make: Make, tmp_path: Path) -> None:
    """Each has a clock of its own; numbers of frames go on from one to the next."""
    parts = [recording(tmp_path, frames, first, 0) for frames, first in ((60, 0), (75, 60))]
    made = make(joined(tmp_path / "joined.ts", parts), fps="10", clip_len_s=1, clip_stride_s=1)
    places = [(c.clip.start_frame, c.clip.end_frame, c.clip.stretch) for c in made.clips]
    assert places == [
        *((0, 10, 0), (10, 20, 0), (20, 24, 0)),
        *((24, 34, 1), (34, 44, 1), (44, 54, 1)),
    ]
    for record in made.clips:
        first = 0 if record.clip.stretch == 0 else 60
        before = 0 if record.clip.stretch == 0 else 24
        slots = range(record.clip.start_frame - before, record.clip.end_frame - before)
        shown = [n for _, n in read_numbers(Path(record.location or ""))]
        assert shown == [first + k * 5 // 2 for k in slots]


def test_a_clock_that_jumps_by_hours(make: Make, tmp_path: Path) -> None:
    """What comes before is not held for hours, and nothing is encoded in between."""
    counter_video(tmp_path / "in.mp4", *steady(50, 25), options={"g": "25"})
    later = "setts=pts='PTS+gte(N,20)*36000/TB':dts='DTS+gte(N,20)*36000/TB'"
    ffmpeg("-i", tmp_path / "in.mp4", "-c", "copy", "-bsf:v", later, tmp_path / "far.mkv")
    made = make(tmp_path / "far.mkv", fps="5", clip_len_s=0.4, clip_stride_s=0.4)
    written = [c for c in made.clips if c.status is ClipStatus.WRITTEN]
    shown = [n for c in written for _, n in read_numbers(Path(c.location or ""))]
    assert shown == [0, 5, 10, 15, 20, 25, 30, 35, 40, 45]
    assert sum(c.encoded_frames for c in made.chunks) == 10


def test_interlaced_pictures_are_made_whole_first(make: Make, tmp_path: Path) -> None:
    frames = counter_video(tmp_path / "in.mp4", *steady(75, 25))
    ffmpeg(
        *["-i", tmp_path / "in.mp4", "-vf", "setfield=tff", "-c:v", "mpeg2video", "-q:v", "3"],
        *["-flags", "+ildct+ilme", tmp_path / "in.mpg"],
    )
    made = make(tmp_path / "in.mpg", fps="10", clip_len_s=1, clip_stride_s=1)
    assert made.source.video.field_order != "progressive"
    assert_resampled(made, frames, "10", "1", "1")


def test_pictures_that_change(make: Make, tmp_path: Path) -> None:
    """A clip has the picture of its first frame, as at the source's own rate."""
    for name, first, size in (("a.mp4", 0, (160, 96)), ("b.mp4", 40, (96, 160))):
        with av.open(str(tmp_path / name), "w") as output:
            stream = output.add_stream("libx264", rate=25, options={"crf": "15", "bf": "0"})
            stream.width, stream.height = size
            stream.pix_fmt = "yuv420p"
            for n in range(40):
                frame = av.VideoFrame.from_ndarray(picture(first + n, *size), format="gray")
                output.mux(stream.encode(frame.reformat(format="yuv420p")))
            output.mux(stream.encode(None))
        ffmpeg("-i", tmp_path / name, "-c", "copy", tmp_path / f"{name}.h264")
    raw = (tmp_path / "a.mp4.h264").read_bytes() + (tmp_path / "b.mp4.h264").read_bytes()
    (tmp_path / "in.h264").write_bytes(raw)
    ffmpeg("-r", "25", "-i", tmp_path / "in.h264", "-c", "copy", tmp_path / "in.mp4")
    made = make(tmp_path / "in.mp4", fps="10", clip_len_s=0.8, clip_stride_s=0.8)
    sizes = [(c.width, c.height) for c in made.clips]
    assert sizes == [(160, 96)] * 2 + [(96, 160)] * 2
    shown = [n for c in made.clips for _, n in read_numbers(Path(c.location or ""))]
    assert shown == [k * 5 // 2 for k in range(32)]


def test_a_second_run_makes_nothing(make: Make, tmp_path: Path) -> None:
    counter_video(tmp_path / "in.mp4", uneven(40), Fraction(1, 1000))
    first = make(tmp_path / "in.mp4", fps="24", clip_len_s=1, clip_stride_s=0.5)
    again = make(tmp_path / "in.mp4", fps="24", clip_len_s=1, clip_stride_s=0.5)
    assert sum(c.reused for c in again.chunks) == len(first.clips)
    assert again.clips == first.clips
    other = make(tmp_path / "in.mp4", fps="25", clip_len_s=1, clip_stride_s=0.5)
    assert sum(c.reused for c in other.chunks) == 0
