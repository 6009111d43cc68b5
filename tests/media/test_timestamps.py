"""Timestamps that cannot be true: clips are made where frames are, and the record says so."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from clipping.config.execution import Execution
from clipping.models import ClipStatus, SourceFile
from clipping.run.chunk import probe_file
from tests.media.conftest import Make, assert_exact
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

JUMP = 1_000_000_000  # seconds, as when a camera's clock goes from 1970 to today


def later(frame: str, seconds: int = JUMP) -> str:
    """A bitstream filter that moves packets by `seconds` where `frame` holds."""
    moved = [f"{x.lower()}='if({frame},{x}+{seconds}/TB,{x})'" for x in ("PTS", "DTS")]
    return f"setts={':'.join(moved)}"


def test_a_clock_that_jumps(make: Make, tmp_path: Path) -> None:
    """What lies before and after is clipped with its sound, what lies between is one record."""
    frames = counter_video(tmp_path / "in.mp4", *steady(100, 25), options={"g": "25"})
    sound = noise(4)
    add_sound(tmp_path / "in.mp4", sound, tmp_path / "heard.mkv", "-c:a", "pcm_s16le")
    jump = tmp_path / "jump.mkv"
    moved = ["-bsf:v", later("gte(N,50)"), "-bsf:a", later("gte(PTS*TB,2)")]
    ffmpeg("-i", tmp_path / "heard.mkv", "-map", "0", "-c", "copy", *moved, jump)
    made = make(jump, clip_len_s=1, clip_stride_s=1)
    assert_exact(made, [(t + JUMP * (n >= 50), n) for t, n in frames], 1, 1)
    assert [c.clip.count for c in made.clips] == [1, 1, JUMP, 1, 1]
    (warning,) = (w for w in made.source.warnings if "clock that jumped" in w)
    assert f"from 1.960 s to {JUMP + 2}.000 s" in warning
    assert "the 4.000 s where frames are" in warning
    assert made.source.video.frame_rate == 25
    assert made.source.video.bit_rate > 10_000
    for record, second in zip((c for c in made.clips if c.frames), range(4), strict=True):
        assert record.audio, "no sound was written"
        wanted = sound[second * RATE : (second + 1) * RATE]
        assert abs(lag(wanted, heard(Path(record.location or "")))) <= 2
        # The frame before the jump is not shown until the span ends, or for years.
        assert (record.clip.end_pts - record.clip.start_pts) * made.source.video.time_base == 1
    files = (tmp_path / "out" / "metas" / "v0").iterdir()
    assert len(list(files)) == 4


def test_frames_too_far_apart_are_told(make: Make, tmp_path: Path) -> None:
    """A wrong time base makes an hour a year: nothing is lost, and the source says so."""
    slow = counter_video(tmp_path / "slow.mkv", *steady(12, Fraction(1, 300)), size=(64, 48))
    made = make(tmp_path / "slow.mkv", clip_len_s=10, clip_stride_s=10)
    alternating = [ClipStatus.WRITTEN, ClipStatus.ABSENT] * 12
    assert [c.status for c in made.clips] == alternating[:-1]
    assert sum(c.clip.count for c in made.clips) == 11 * 30 + 1
    assert [c.frames for c in made.clips if c.frames] == [1] * len(slow)
    assert "frames/s can hardly be true" in made.source.warnings[0]


def test_an_eternity_is_refused(tmp_path: Path) -> None:
    """Numbers of clips and times in ticks stay within what Parquet and MP4 hold."""
    counter_video(tmp_path / "in.mp4", *steady(50, 25))
    far = tmp_path / "far.mkv"
    ffmpeg("-i", tmp_path / "in.mp4", "-c", "copy", "-bsf:v", later("gte(N,20)", 2**42), far)
    file = SourceFile(key="far.mkv", uri=str(far), size=1, fingerprint="x")
    failure = probe_file(file, Execution()).failure
    assert failure
    assert failure.message.startswith("far.mkv: its timestamps are 4.4e+12 s apart")


@pytest.mark.parametrize(("rate", "warnings"), [(25, 1), (1000, 2)])
def test_an_elementary_stream_has_the_times_of_its_header(
    make: Make, tmp_path: Path, rate: int, warnings: int
) -> None:
    """The source says so, and that the rate can hardly be true where it cannot."""
    counter_video(tmp_path / "in.mp4", *steady(60, rate))
    ffmpeg("-i", tmp_path / "in.mp4", "-c", "copy", tmp_path / "in.h264")
    made = make(tmp_path / "in.h264")
    assert f"{rate} frames/s, as its header says" in made.source.warnings[0]
    assert len(made.source.warnings) == warnings
    assert not any("frames/s" in w for w in make(tmp_path / "in.mp4").source.warnings[:-1])


def test_one_wrong_timestamp(make: Make, tmp_path: Path) -> None:
    """A frame that claims to be shown a day later is a clip there; all others are where they are.

    Its place among the others is not known, but none of them is lost for it.
    """
    frames = counter_video(tmp_path / "in.mp4", *steady(100, 25), options={"g": "25"})
    wrong = tmp_path / "wrong.mp4"
    setts = "setts=pts='if(eq(N,30),PTS+86400/TB,PTS)':dts=DTS"
    ffmpeg("-i", tmp_path / "in.mp4", "-c", "copy", "-bsf:v", setts, wrong)
    made = make(wrong, clip_len_s=1, clip_stride_s=1)
    assert any("not in the order of their timestamps" in w for w in made.source.warnings)
    written = [c for c in made.clips if c.status is ClipStatus.WRITTEN]
    assert [c.frames for c in written] == [25, 24, 25, 25, 1]
    assert not any(c.errors for c in written)
    shown = [n for c in written for _, n in read_numbers(Path(c.location or ""))]
    assert shown == [n for _, n in frames if n != 30] + [30]
    assert written[-1].clip.span.start == Fraction(86401)
