"""Another frame rate: every frame shows what the source presents then, by burned-in numbers."""

from __future__ import annotations

import random
from bisect import bisect_right
from fractions import Fraction
from math import ceil
from pathlib import Path

import pytest

from clipping.config.execution import Execution
from clipping.ffmpeg.encoders import ENCODERS, cpu_encoders
from clipping.models import ClipStatus
from tests.media.conftest import Made, Make
from tests.support.media import Numbered, counter_video, ffmpeg, read_numbers, steady

RATES = ["24", "30000/1001", "12.5", "7", "60", "16"]
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
