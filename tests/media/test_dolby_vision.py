"""Dolby Vision whose pictures nobody else can show right is told, on each clip and of the video."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.media.conftest import Make
from tests.support.media import counter_video, ffmpeg, steady
from tests.support.quicktime import dolby_vision


@pytest.mark.parametrize(
    ("profile", "compatibility", "is_told"),
    [(5, 0, True), (8, 1, False), (8, 4, False), (7, 6, False), (8, 2, False)],
)
def test_what_has_no_base_layer_of_its_own(
    make: Make, tmp_path: Path, profile: int, compatibility: int, *, is_told: bool
) -> None:
    """Profile 5 is; 7 and 8 have HDR10, SDR or HLG pictures, and are as any other video."""
    counter_video(tmp_path / "plain.mp4", *steady(50, 25))
    path = tmp_path / "in.mp4"
    ffmpeg(
        *["-i", tmp_path / "plain.mp4", "-c:v", "libx265", "-preset", "ultrafast"],
        *["-x265-params", "log-level=error", "-pix_fmt", "yuv420p10le", "-tag:v", "hvc1", path],
    )
    dolby_vision(path, profile, compatibility)
    made = make(path, clip_len_s=1, clip_stride_s=1)
    assert made.source.video.dolby_vision == (profile, compatibility)
    told = [*made.source.warnings, *(e for c in made.clips for e in c.errors)]
    assert len(told) == (1 + len(made.clips) if is_told else 0)
    assert all("Dolby Vision" in words for words in told)
    assert all(c.status == "written" for c in made.clips)


def test_other_video_is_none(make: Make, tmp_path: Path) -> None:
    """Nothing is said of it."""
    counter_video(tmp_path / "in.mp4", *steady(50, 25))
    assert (
        make(tmp_path / "in.mp4", clip_len_s=1, clip_stride_s=1).source.video.dolby_vision is None
    )
