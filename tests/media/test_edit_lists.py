"""MP4 that is cut together by its edit list: what ffmpeg presents is what clips are made of.

No frame that was cut out comes back, and what is shown twice is there twice.
"""

from __future__ import annotations

import shutil
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from clipping.config.execution import Execution
from clipping.config.recipe import Recipe
from clipping.config.run_config import RunConfig
from clipping.models import ClipStatus, ProbedSource
from clipping.run.chunk import probe_file
from clipping.run.dry_run import describe
from clipping.storage.discover import find_sources
from tests.media.conftest import Make
from tests.support.edit_lists import Part, edited
from tests.support.media import (
    RATE,
    add_sound,
    counter_video,
    ffmpeg,
    heard,
    lag,
    noise,
    number_in,
    read_numbers,
    steady,
)

SECONDS = 12
_KEYS = "keyint=50:min-keyint=50:scenecut=0"
CODECS = {
    "h264": ["-c:v", "libx264", "-preset", "veryfast", "-x264-params", f"{_KEYS}:bframes=3"],
    "h264-open-gop": [
        *["-c:v", "libx264", "-preset", "veryfast"],
        *["-x264-params", f"{_KEYS}:bframes=3:b-adapt=0:open-gop=1"],
    ],
    "hevc-open-gop": [
        *["-c:v", "libx265", "-preset", "ultrafast", "-tag:v", "hvc1"],
        *["-x265-params", f"log-level=error:{_KEYS}:bframes=4:b-adapt=0:open-gop=1"],
    ],
}
# Parts, and the frames that they are made of.
EDITS: dict[str, tuple[list[Part], list[int]]] = {
    "middle-cut-out": ([(3, 0), (4, 7)], [*range(75), *range(175, 275)]),
    "cut-at-a-keyframe": ([(2, 0), (4, 6)], [*range(50), *range(150, 250)]),
    "begins-in-mid-GOP": ([(3.2, 1.4), (2.4, 8.6)], [*range(35, 115), *range(215, 275)]),
    "reordered": ([(3, 7), (4, 2)], [*range(175, 250), *range(50, 150)]),
    "repeated": ([(3, 2), (3, 2)], [*range(50, 125), *range(50, 125)]),
}


def original(path: Path, codec: str) -> Path:
    """A video of 12 s with its sound, as AAC."""
    counter_video(path / "n.mp4", *steady(SECONDS * 25, 25), options={"crf": "10"})
    add_sound(path / "n.mp4", noise(SECONDS), path / "n.mkv", "-c:a", "pcm_s16le")
    video = path / "original.mp4"
    ffmpeg("-i", path / "n.mkv", *CODECS[codec], "-c:a", "aac", "-b:a", "256k", video)
    return video


def numbers(video: Path) -> list[int]:
    """What ffmpeg presents, in one decode from the start."""
    raw = ffmpeg(
        *["-copyts", "-i", video, "-map", "0:v", "-fps_mode", "passthrough"],
        *["-vf", "format=gray", "-f", "rawvideo", "-"],
    )
    return [number_in(image) for image in np.frombuffer(raw, np.uint8).reshape(-1, 96, 160)]


def presented_sound(video: Path) -> np.ndarray:
    """What a decode of its sound gives, each frame of it where its timestamp says."""
    placed = np.zeros(SECONDS * 2 * RATE, np.float32)
    with av.open(str(video)) as container:
        for frame in container.decode(container.streams.audio[0]):
            assert frame.pts is not None
            assert frame.time_base is not None
            at, samples = round(frame.pts * frame.time_base * RATE), frame.to_ndarray()[0]
            placed[max(0, at) : at + len(samples)] = samples[max(0, -at) :]
    return placed


def probed(video: Path) -> ProbedSource:
    """What opening it gives."""
    return probe_file(find_sources([str(video)], (".mp4",)).sources[0], Execution())


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("edit", EDITS)
def test_clips_hold_what_ffmpeg_presents(make: Make, tmp_path: Path, edit: str, codec: str) -> None:
    """One after the other, overlapping and with gaps; in one piece and a chunk a clip."""
    parts, wanted = EDITS[edit]
    video = edited(original(tmp_path, codec), tmp_path / "video.mp4", parts, parts)
    assert numbers(video) == wanted
    shown: dict[Fraction, int] = {}
    for at, number in read_numbers(video):
        shown.setdefault(at, number)
    left_out = len(wanted) - len(shown)  # where two parts meet, ffmpeg may give frames one time
    assert left_out <= 3
    in_order = [shown[at] for at in sorted(shown)]
    plans = [(2, 2, 32), (Fraction(3, 2), 1, 2), (Fraction(1, 2), Fraction(9, 10), 1)]
    for length, stride, at_most in plans:
        made = make(
            video,
            execution=Execution(num_clips_per_chunk=at_most),
            clip_len_s=length,
            clip_stride_s=stride,
            audio=False,
        )
        told = f"{left_out} of {len(wanted)} decoded frames have the timestamp of another"
        assert any(told in w for w in made.source.warnings) == bool(left_out)
        assert made.source.video.is_edited
        assert made.source.video.frame_count == len(shown)
        for record in made.clips:
            assert record.status is ClipStatus.WRITTEN, record.errors
            assert record.damaged_frames == 0
            assert all("timestamp of another" in error for error in record.errors)
            clip = record.clip
            held = numbers(Path(record.location or ""))
            assert held == in_order[clip.start_frame : clip.end_frame]
        shutil.rmtree(tmp_path / "out")


@pytest.mark.parametrize(
    ("picture", "sound"),
    [
        ([(3, 0), (4, 7)], [(3, 0), (4, 7)]),
        ([(3, 2), (3, 2)], [(3, 2), (3, 2)]),
        ([(3, 0), (4, 7)], [(2, 1), (5, 5)]),
        ([(3, 0), (4, 7)], None),
        (None, [(3, 1), (9, 3)]),
    ],
    ids=["alike", "repeated", "other parts", "picture alone", "sound alone"],
)
def test_sound_is_where_ffmpeg_presents_it(
    make: Make, tmp_path: Path, picture: list[Part] | None, sound: list[Part] | None
) -> None:
    """To the sample, or two, whichever of the tracks is edited."""
    video = edited(original(tmp_path, "h264"), tmp_path / "video.mp4", picture, sound)
    reference = presented_sound(video)
    for at_most in (32, 1):
        made = make(
            video,
            execution=Execution(num_clips_per_chunk=at_most),
            clip_len_s=1,
            clip_stride_s=1,
        )
        assert len(made.clips) >= 6
        for record in made.clips:
            start = record.start_pts * made.source.video.time_base
            if record.clip.end_pts - record.start_pts < 1 / made.source.video.time_base:
                continue
            assert record.audio, record.errors
            assert record.audio["copied"] == (sound is None)
            wanted = reference[round(start * RATE) : round((start + 1) * RATE)]
            assert abs(lag(wanted, heard(Path(record.location or "")))) <= 2
        shutil.rmtree(tmp_path / "out")


def test_a_track_of_sound_that_ends_before_the_pictures(make: Make, tmp_path: Path) -> None:
    """Clips behind its end are silent."""
    video = edited(original(tmp_path, "h264"), tmp_path / "video.mp4", None, [(2, 0), (2, 5)])
    made = make(video, execution=Execution(num_clips_per_chunk=2), clip_len_s=2, clip_stride_s=2)
    assert [bool(c.audio) for c in made.clips] == [True, True, False, False, False, False]


def test_an_empty_part_in_the_middle_is_refused(tmp_path: Path) -> None:
    """Where ffmpeg fills in footage that does not belong there; the advice brings none back."""
    video = edited(original(tmp_path, "h264"), tmp_path / "video.mp4", [(3, 0), (2, None), (3, 7)])
    failure = probed(video).failure
    assert failure
    assert "an empty part between two others" in failure.message
    assert "remux" not in failure.message


def test_a_late_start_is_no_edit(tmp_path: Path) -> None:
    """An empty part before the only one delays a track: its packets tell its frames' times."""
    video = edited(original(tmp_path, "h264"), tmp_path / "video.mp4", [(2, None), (SECONDS, 0)])
    source = probed(video).source
    assert source
    assert not source.video.is_edited
    assert source.video.index == "packets"


def test_a_dry_run_counts_what_is_presented(tmp_path: Path) -> None:
    """And fails nothing."""
    videos = tmp_path / "videos"
    videos.mkdir()
    edited(original(tmp_path, "h264"), videos / "video.mp4", EDITS["middle-cut-out"][0])
    recipe = Recipe(clip_len_s=2, clip_stride_s=2, min_clip_length_s=0)
    config = RunConfig(recipe, Execution(), (str(videos),), str(tmp_path / "out"))
    lines = "\n".join(describe(config))
    assert "4 clips" in lines
    assert "7.0 s of video to encode" in lines
