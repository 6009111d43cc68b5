"""Clips for other people's programs to read, of every kind, with what they have to hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from clipping.config.execution import Execution
from clipping.plan.segments import segments
from tests.media.conftest import Made, make_clips
from tests.support.media import RATE, Numbered, add_sound, counter_video, heard, noise, steady
from tests.support.readers import Moment

__all__ = ["NTSC", "SOUNDS", "VFR", "Kinds", "ReadClip", "picture_clips", "sound_clips"]

LENGTH = Fraction(7, 5)


@dataclass(frozen=True)
class ReadClip:
    """A clip, and what it is to hold: numbers and times of its frames, rate, sound."""

    path: Path
    frames: list[Numbered]
    end: Fraction
    rate: Fraction
    sound: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))

    @property
    def numbers(self) -> list[int]:
        return [number for _, number in self.frames]

    @property
    def moments(self) -> list[Moment]:
        starts = [time for time, _ in self.frames]
        ends = [*starts[1:], self.end]
        return [Moment(float(a), float((a + b) / 2)) for a, b in zip(starts, ends, strict=True)]


def _clip(
    made: Made,
    source: list[Numbered],
    number: int,
    *,
    stride: Fraction = LENGTH,
    length: Fraction = LENGTH,
    rate: Fraction | None = None,
) -> ReadClip:
    """Clip `number` of a source, with what it must hold; a rate of None is the average."""
    record = made.clips[number]
    assert record.location is not None, record.errors
    begin = number * stride
    shown = [(t, n) for t, n in source if begin <= t < begin + length]
    after = [t for t, _ in source if t >= begin + length]
    first = shown[0][0]
    step = source[-1][0] - source[-2][0]
    end = (after[0] if after else source[-1][0] + step) - first
    frames = [(t - first, n) for t, n in shown]
    return ReadClip(Path(record.location), frames, end, rate or len(frames) / end)


# Kinds of clips by how their pictures came to be: of each, the second clip.
NTSC, VFR = "30000/1001", "variable rate"
Kinds = dict[str, ReadClip]


def picture_clips(folder: Path) -> Iterator[tuple[str, ReadClip]]:
    """Of each kind of pictures a clip that is not the first of its source."""
    ntsc = Fraction(30000, 1001)
    for name, rate, values in [
        ("constant rate", Fraction(25), {}),
        ("B-frames", Fraction(30), {"preset": "veryfast"}),
        (NTSC, ntsc, {"preset": "veryfast"}),
        ("openh264", Fraction(24), {"encoder": "libopenh264"}),
    ]:
        frames = counter_video(folder / "in.mp4", *steady(100, rate))
        made = make_clips(folder / name, folder / "in.mp4", **_SPAN, **values)
        yield name, _clip(made, frames, 1, rate=rate)

    frames = counter_video(folder / "in.mp4", *steady(120, 25), options={"g": "5"})
    stride, execution = Fraction(1, 2), Execution(encode_batch_size=1)
    values: dict[str, Any] = {"clip_len_s": 1.4, "clip_stride_s": 0.5, "preset": "veryfast"}
    made = make_clips(folder / "split", folder / "in.mp4", execution=execution, **values)
    plan = segments(made.planned[0], made.planned[0].clips, 1)
    assert sum(s.overlaps(made.clips[4].clip) for s in plan) >= 2
    yield "of several segments", _clip(made, frames, 4, stride=stride, rate=Fraction(25))

    frames = counter_video(folder / "in.mp4", *steady(60, 25))
    made = make_clips(folder / "odd", folder / "in.mp4", clip_len_s=0.93, clip_stride_s=0.93)
    odd = Fraction(93, 100)
    yield "odd length", _clip(made, frames, 1, stride=odd, length=odd, rate=Fraction(25))
    last = len(made.clips) - 1
    yield "last clip", _clip(made, frames, last, stride=odd, length=odd, rate=Fraction(25))

    pts, time_base = steady(100, 30)
    frames = counter_video(folder / "in.mkv", pts, time_base)
    made = make_clips(folder / "mkv", folder / "in.mkv", preset="veryfast", **_SPAN)
    yield "from Matroska", _clip(made, frames, 1, rate=Fraction(30))

    steps = [16, 33, 33, 34, 120, 40]
    pts = [sum(steps[i % 6] for i in range(n)) for n in range(80)]
    frames = counter_video(folder / "in.mp4", pts, Fraction(1, 1000))
    made = make_clips(folder / "vfr", folder / "in.mp4", preset="veryfast", **_SPAN)
    yield VFR, _clip(made, frames, 1)


_SPAN: dict[str, Any] = {"clip_len_s": 1.4, "clip_stride_s": 1.4}

# Codec options, the source's container, and which clip: sound that starts anywhere in a packet,
# and with its track.
SOUNDS = {
    "AAC": (["-c:a", "aac", "-b:a", "192k"], "mp4", 1),
    "AAC, encoded from PCM": (["-c:a", "pcm_s16le"], "mov", 1),
    "MP3": (["-c:a", "libmp3lame", "-b:a", "192k"], "mp4", 1),
    "MP3, first clip": (["-c:a", "libmp3lame", "-b:a", "192k"], "mp4", 0),
    "AC-3": (["-c:a", "ac3", "-b:a", "256k"], "mp4", 1),
    "E-AC-3": (["-c:a", "eac3", "-b:a", "256k"], "mp4", 1),
    "Opus": (["-c:a", "libopus", "-b:a", "192k"], "mp4", 1),
    "Opus, first clip": (["-c:a", "libopus", "-b:a", "192k"], "mp4", 0),
    "FLAC": (["-c:a", "flac", "-frame_size", "4608"], "mp4", 1),
    "ALAC": (["-c:a", "alac"], "mov", 1),
}


def sound_clips(folder: Path) -> Iterator[tuple[str, ReadClip]]:
    """A clip of each codec; its sound is the source's, from the clip's first picture on."""
    frames = counter_video(folder / "silent.mp4", *steady(60, 25))
    for name, (codec, container, number) in SOUNDS.items():
        add_sound(folder / "silent.mp4", noise(2.4), folder / f"in.{container}", *codec)
        span: dict[str, Any] = {"clip_len_s": 1, "clip_stride_s": 1.04}
        made = make_clips(folder / name, folder / f"in.{container}", **span)
        length, stride = Fraction(1), Fraction(26, 25)
        clip = _clip(made, frames, number, stride=stride, length=length, rate=Fraction(25))
        at = round(number * stride * RATE)
        sound = heard(folder / f"in.{container}")[at : at + RATE]
        yield name, ReadClip(clip.path, clip.frames, clip.end, clip.rate, sound)
