"""Sound of any layout of channels reaches the clip, each channel where it belongs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.media.conftest import Made, Make
from tests.support.media import RATE, add_channels, counter_video, ffmpeg, steady
from tests.support.quicktime import channel_labels

# CoreAudio's labels: left, right, centre, LFE, left and right at the back, at the sides.
L, R, C, LFE, LS, RS, SL, SR = 1, 2, 3, 4, 5, 6, 10, 11
UNUSED = 0xFFFFFFFF
# One tone each; an LFE has nothing above 120 Hz in AAC.
TONES = [400 + 100 * i for i in range(16)]
LOW = 60


def video_with(path: Path, codec: Sequence[str], tones: Sequence[int], seconds: int = 3) -> None:
    """A video with a track whose n-th channel is the n-th tone."""
    counter_video(path.with_suffix(".silent.mp4"), *steady(25 * seconds, 25))
    t = np.arange(RATE * seconds) / RATE
    sound = np.stack([0.4 * np.sin(2 * np.pi * tone * t) for tone in tones], axis=1)
    add_channels(path.with_suffix(".silent.mp4"), sound, path, *codec)


def tones_in(path: Path, channels: int) -> list[dict[int, float]]:
    """Of each channel of a file's sound, as decoded, its tones and how loud they are (0.4: all)."""
    raw = ffmpeg("-i", path, "-map", "0:a:0", "-f", "f32le", "-")
    sound = np.frombuffer(raw, np.float32).reshape(-1, channels)
    middle = sound[RATE // 4 : RATE // 4 + RATE // 2]
    found: list[dict[int, float]] = []
    for channel in range(channels):
        spectrum = np.abs(np.fft.rfft(middle[:, channel])) / (len(middle) / 2)
        loud = {f: float(spectrum[f // 2]) for f in (LOW, *TONES)}
        found.append({f: level for f, level in loud.items() if level > 0.01})
    return found


def clip_of(made: Made) -> tuple[Path, dict[str, object]]:
    """The second clip's file, and what its record says of its sound."""
    record = made.clips[1]
    assert record.status == "written", record.errors
    assert record.audio is not None, record.errors
    return Path(record.location or ""), record.audio


PCM = ["-c:a", "pcm_s16le"]


@pytest.mark.parametrize(
    ("labels", "order"),
    [
        pytest.param([L, L], [0, 1], id="left twice"),
        pytest.param([R, L], [1, 0], id="right before left"),
        pytest.param([L, UNUSED], [0, 1], id="one label"),
        pytest.param([65536, 65537], [0, 1], id="discrete"),
        pytest.param([L, R, C, LFE, SL, SR, LS, RS], [0, 1, 2, 3, 6, 7, 4, 5], id="sides first"),
        pytest.param([C, L, R, LS, RS, LFE], [1, 2, 0, 5, 3, 4], id="film order"),
    ],
)
def test_quicktime_channels_in_an_order_of_their_own(
    make: Make, tmp_path: Path, labels: list[int], order: list[int]
) -> None:
    """Opening them kills no process, and each is heard at the place that its label names."""
    tones = [LOW if label == LFE else TONES[i] for i, label in enumerate(labels)]
    path = tmp_path / "in.mov"
    video_with(path, PCM, tones)
    channel_labels(path, b"sowt" if len(labels) == 2 else b"lpcm", labels)
    clip, facts = clip_of(make(path, clip_len_s=1, clip_stride_s=1))
    assert facts["channels"] == len(labels)
    assert facts["layout"] == {2: "stereo", 6: "5.1", 8: "7.1"}[len(labels)]
    assert facts["source_channels"] == len(labels)
    assert "note" not in facts
    heard = tones_in(clip, len(labels))
    assert [list(h) for h in heard] == [[tones[i]] for i in order]
    assert all(0.35 < level < 0.45 for h in heard for level in h.values())


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        ("quad", [[0], [1], [], [2], [3]]),
        ("5.0(side)", [[0], [1], [2], [3], [4]]),
        ("6.0", [[0], [1], [2], [], [3], [3], [4], [5]]),
        ("7.0", [[0], [1], [2], [], [3], [4], [5], [6]]),
    ],
)
def test_layouts_that_aac_does_not_take(
    make: Make, tmp_path: Path, layout: str, expected: list[list[int]]
) -> None:
    """They are put into the nearest one that it does, and the record says of both."""
    path = tmp_path / "in.mov"
    count = 1 + max(i for row in expected for i in row)
    video_with(path, [*PCM, "-af", f"channelmap=channel_layout={layout}"], TONES[:count])
    clip, facts = clip_of(make(path, clip_len_s=1, clip_stride_s=1))
    assert facts["source_layout"] == layout
    assert facts["channels"] == len(expected)
    heard = tones_in(clip, len(expected))
    assert [list(h) for h in heard] == [[TONES[i] for i in row] for row in expected]


@pytest.mark.parametrize("count", [12, 16])
def test_more_channels_than_aac_has(make: Make, tmp_path: Path, count: int) -> None:
    """Without places, the odd ones are heard on the left, the even ones on the right."""
    path = tmp_path / "in.mkv"
    video_with(path, PCM, TONES[:count])
    clip, facts = clip_of(make(path, clip_len_s=1, clip_stride_s=1))
    assert (facts["channels"], facts["layout"], facts["source_channels"]) == (2, "stereo", count)
    assert facts["note"] == f"{count} channels mixed down to stereo, which AAC takes"
    left, right = tones_in(clip, 2)
    assert (list(left), list(right)) == (TONES[:count:2], TONES[1:count:2])


def test_a_copied_track_keeps_its_own_order(make: Make, tmp_path: Path) -> None:
    """ALAC with left twice is copied, and its channels stay two."""
    path = tmp_path / "in.mov"
    video_with(path, ["-c:a", "alac"], TONES[:2])
    channel_labels(path, b"alac", [L, L])
    clip, facts = clip_of(make(path, clip_len_s=1, clip_stride_s=1))
    assert facts["copied"] is True
    assert [list(h) for h in tones_in(clip, 2)] == [[TONES[0]], [TONES[1]]]


@pytest.mark.parametrize(
    ("dispositions", "chosen"),
    [
        pytest.param(["0", "default"], 1, id="the second"),
        pytest.param(["default", "0"], 0, id="the first"),
        pytest.param(["default", "default"], 0, id="both"),
        pytest.param(["0", "0"], 0, id="none"),
    ],
)
@pytest.mark.parametrize("codec", [["-c:a", "aac"], PCM], ids=["copied", "encoded"])
def test_the_default_track_goes_before_the_first(
    make: Make, tmp_path: Path, dispositions: list[str], chosen: int, codec: list[str]
) -> None:
    """As players have it; without the flag, or with several, the first."""
    tones = [f"sine=f={tone}:d=3:r={RATE}" for tone in TONES[:2]]
    counter_video(tmp_path / "silent.mp4", *steady(75, 25))
    flags = [word for i, d in enumerate(dispositions) for word in (f"-disposition:a:{i}", d)]
    ffmpeg(
        *["-i", tmp_path / "silent.mp4", "-f", "lavfi", "-i", tones[0]],
        *["-f", "lavfi", "-i", tones[1], "-map", "0:v", "-map", "1:a", "-map", "2:a"],
        *["-c:v", "copy", *codec, *flags, "-default_mode", "passthrough", tmp_path / "in.mkv"],
    )
    clip, facts = clip_of(make(tmp_path / "in.mkv", clip_len_s=1, clip_stride_s=1))
    assert facts["source_stream"] == 1 + chosen
    assert list(tones_in(clip, 1)[0]) == [TONES[chosen]]
