"""Each profile gives just the clips that it says, of a video of another rate and size."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import pytest

from clipping.config.profiles import PROFILES
from clipping.models import ClipStatus
from tests.media.conftest import make_clips
from tests.support.media import add_sound, counter_video, noise, steady

# Seconds of the source; codec, size, frames/s, frames, the longest way between keyframes, sound.
EXPECTED = {
    "world-model": ("h264", (1280, 720), 24, 240, 24, ("aac", 48_000)),
    "open-sora": ("h264", (1280, 720), 30, 330, 30, ("aac", 48_000)),
    "wan": ("h264", (832, 480), 16, 81, 16, ("aac", 48_000)),
    "cogvideox": ("h264", (720, 480), 8, 49, 8, ("aac", 48_000)),
    "hunyuan": ("h264", (1280, 720), 24, 129, 24, ("aac", 48_000)),
    "ltx": ("h264", (768, 512), 24, 121, 24, ("aac", 48_000)),
    "lerobot": ("av1", (1280, 720), 25, 250, 2, None),
    "speech": ("h264", (1280, 720), 25, 250, 50, ("aac", 16_000)),
}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eleven seconds of 720p at 25 frames/s with sound."""
    folder = tmp_path_factory.mktemp("profiles")
    counter_video(folder / "silent.mp4", *steady(275, 25), size=(1280, 720))
    add_sound(folder / "silent.mp4", noise(11), folder / "in.mp4", "-c:a", "aac")
    return folder / "in.mp4"


@pytest.mark.parametrize("name", PROFILES)
def test_what_it_says_is_what_it_gives(source: Path, tmp_path: Path, name: str) -> None:
    codec, size, rate, frames, gop, sound = EXPECTED[name]
    values = {"preset": None, "min_clip_length_s": 2, **PROFILES[name].values}
    if values.get("spans") == "scenes":  # one shot; how those are found is tested elsewhere
        values |= {"spans": "stride"}
    if codec == "h264":
        values |= {"preset": "ultrafast"}
    record = make_clips(tmp_path, source, cpus=2, limit_clips=1, **values).clips[0]
    assert record.status is ClipStatus.WRITTEN, record.errors
    assert (record.video_codec, record.width, record.height) == (codec, *size)
    assert (record.frames, record.frame_rate) == (frames, Fraction(rate))
    with av.open(record.location or "") as container:
        keys = [i for i, p in enumerate(container.demux(video=0)) if p.size and p.is_keyframe]
        assert max(b - a for a, b in zip(keys, [*keys[1:], frames], strict=True)) <= gop
        heard = [(s.codec_context.name, s.sample_rate) for s in container.streams.audio]
    assert heard == ([] if sound is None else [sound])
    if name == "speech":
        assert record.audio is not None
        assert record.audio["channels"] == 1
