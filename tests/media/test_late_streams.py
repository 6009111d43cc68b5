"""Pictures or sound that begin long after the file does are found, wherever it is opened."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from tests.media.conftest import Make, assert_exact
from tests.support.media import RATE, counter_video, ffmpeg, heard, lag, noise, steady


def late_video(folder: Path, delay: float) -> Path:
    """A transport stream whose pictures begin `delay` seconds after its sound; without a size."""
    counter_video(folder / "silent.mp4", *steady(150, 25), options={"g": "25", "bf": "2"})
    sound = ["-f", "f32le", "-ar", str(RATE), "-ac", "1", "-i", "-"]
    path = folder / "in.ts"
    ffmpeg(
        *["-itsoffset", str(delay), "-i", folder / "silent.mp4", *sound],
        *["-map", "0:v", "-map", "1:a", "-c:v", "copy", "-c:a", "mp2", "-b:a", "384k", path],
        feed=noise(delay + 6).tobytes(),
    )
    return path


@pytest.mark.parametrize("audio", [True, False])
def test_late_pictures(make: Make, tmp_path: Path, *, audio: bool) -> None:
    """A recording that begins with 9 s of sound alone: every frame, and its sound beside it."""
    frames = [(Fraction(i, 25), i) for i in range(150)]
    made = make(late_video(tmp_path, 9), clip_len_s=2, clip_stride_s=1.5, audio=audio)
    assert made.source.video.is_late
    assert (made.source.video.width, made.source.video.height) == (160, 96)
    assert_exact(made, frames, 2, "1.5")
    assert all(c.errors == () and bool(c.audio) == audio for c in made.clips)
    if audio:
        source, early = heard(tmp_path / "in.ts"), sound_before_pictures(tmp_path / "in.ts")
        assert 8.9 < early < 9.1
        video = made.source.video
        for record in made.clips[:3]:
            start = (record.clip.start_pts - video.first_pts) * video.time_base
            at = round((early + start) * RATE)
            clip = heard(Path(record.location or ""))
            assert abs(lag(source[at : at + RATE], clip[:RATE])) <= 2


def sound_before_pictures(path: Path) -> Fraction:
    """Seconds from the first sound to the first picture, as decoded."""
    patience = {"analyzeduration": "60000000", "probesize": "60000000"}
    first: dict[str, Fraction] = {}
    for kind in ("video", "audio"):
        with av.open(str(path), options=patience) as container:
            frame: Any = next(container.decode(**{kind: 0}))
            first[kind] = frame.pts * frame.time_base
    return first["video"] - first["audio"]


def test_late_pictures_that_are_damaged(make: Make, tmp_path: Path) -> None:
    """The look for damaged frames opens the file in the same way."""
    path = late_video(tmp_path, 9)
    broken = damaged_in_the_middle(path)
    made = make(broken, clip_len_s=2, clip_stride_s=2, max_damage=1.0)
    assert made.source.video.is_late
    assert sum(bool(c.damaged_frames) for c in made.clips) in (1, 2)
    assert all(c.status == "written" for c in made.clips)


def damaged_in_the_middle(path: Path) -> Path:
    """The same with two packets of the transport lost among its pictures."""
    data = path.read_bytes()
    packets = [data[i : i + 188] for i in range(0, len(data), 188)]
    pictures = [i for i, p in enumerate(packets) if (p[1] & 31) << 8 | p[2] == 0x100]
    gone = set(pictures[len(pictures) // 2 :][:2])
    broken = path.with_name("broken.ts")
    broken.write_bytes(b"".join(p for i, p in enumerate(packets) if i not in gone))
    return broken


def test_late_sound(make: Make, tmp_path: Path) -> None:
    """Sound that begins after more than FFmpeg looks at is no reason for silence."""
    ffmpeg(
        *["-f", "lavfi", "-i", "nullsrc=s=320x240:r=25:d=12,noise=alls=80:allf=t"],
        *["-itsoffset", "8", "-f", "lavfi", "-i", f"sine=f=440:d=4:r={RATE}"],
        *["-map", "0:v", "-map", "1:a", "-c:v", "libx264", "-preset", "ultrafast", "-b:v", "8M"],
        *["-minrate", "8M", "-maxrate", "8M", "-bufsize", "2M", "-g", "25", "-pix_fmt", "yuv420p"],
        *["-c:a", "aac", "-copyts", tmp_path / "in.ts"],
    )
    made = make(tmp_path / "in.ts", clip_len_s=2, clip_stride_s=2)
    assert made.source.video.is_late
    # The encoder's lead-in may reach into the clip before.
    heard_in = [bool(c.audio) for c in made.clips]
    assert heard_in[:3] + heard_in[4:] == [False, False, False, True, True]


def test_what_never_comes_is_told(tmp_path: Path, make: Make) -> None:
    """A stream that is announced and empty: the rest is made, and nothing is called late."""
    path = late_video(tmp_path, 0)
    data = path.read_bytes()
    packets = [data[i : i + 188] for i in range(0, len(data), 188)]
    kept = [p for p in packets if (p[1] & 31) << 8 | p[2] != 0x101]
    path.write_bytes(b"".join(kept))
    made = make(path, clip_len_s=2, clip_stride_s=2)
    assert not made.source.video.is_late
    assert made.source.audio == ()
    assert all(c.status == "written" and c.audio is None for c in made.clips)
