"""Pictures of 10 bits: exact like the others, finer than 8 bits, and HDR that is kept."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from clipping.config.execution import Execution
from clipping.config.recipe import Recipe
from clipping.ffmpeg.encoders import ENCODERS, cpu_encoders
from tests.media.conftest import Make, assert_exact
from tests.support.media import counter_video, ffmpeg, read_numbers, steady

TEN = [name for name in cpu_encoders() if ENCODERS[name].ten_bits]
each_encoder = pytest.mark.parametrize("encoder", TEN)
PQ = ["-vf", "setparams=color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc"]
X265 = [
    *["-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p10le", "-tag:v", "hvc1"],
    "-x265-params",
]
HDR10 = (
    "log-level=error:hdr-opt=1:repeat-headers=1:max-cll=1000,400:"
    "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"
)


def test_all_but_openh264_have_them() -> None:
    assert sorted(TEN) == ["libsvtav1", "libvpx-vp9", "libx264", "libx265"]
    with pytest.raises(ValueError, match="libopenh264 encodes 8 bits; those with 10 bits: libx264"):
        Recipe(encoder="libopenh264", pixel_format="yuv420p10le")
    with pytest.raises(ValueError, match="h264_nvenc encodes 8 bits"):
        Recipe(encoder="auto", pixel_format="yuv420p10le")
    assert Recipe(encoder="auto-hevc", pixel_format="yuv420p10le").bits == 10


@each_encoder
def test_exact_over_several_segments(make: Make, tmp_path: Path, encoder: str) -> None:
    frames = counter_video(tmp_path / "in.mp4", *steady(75, 25))
    made = make(
        tmp_path / "in.mp4", encoder=encoder, pixel_format="yuv420p10le",
        clip_len_s=1, clip_stride_s=0.5, cpus=2,
        execution=Execution(encode_batch_size=2, verify="decode"),
    )  # fmt: skip
    assert_exact(made, frames, 1, "0.5")
    for record in made.clips:
        with av.open(record.location or "") as container:
            assert container.streams.video[0].codec_context.pix_fmt == "yuv420p10le"


@each_encoder
def test_a_shallow_ramp_keeps_its_steps(make: Make, tmp_path: Path, encoder: str) -> None:
    """512 levels of 10 bits, of which 8 bits hold a fourth."""
    row = np.linspace(256, 767, 512).astype(np.uint16)
    frame = np.concatenate([np.tile(row, (96, 1)).ravel(), np.full(512 * 48, 512, np.uint16)])
    raw = frame.astype("<u2").tobytes() * 10
    ffmpeg(
        *["-f", "rawvideo", "-pix_fmt", "yuv420p10le", "-s", "512x96", "-r", "10", "-i", "-"],
        *["-c:v", "ffv1", tmp_path / "in.mkv"],
        feed=raw,
    )
    levels: dict[str, int] = {}
    for pixel_format in ("yuv420p", "yuv420p10le"):
        quality = 8 if encoder == "libsvtav1" else 4
        made = make(
            tmp_path / "in.mkv", encoder=encoder, pixel_format=pixel_format, quality=quality,
            clip_len_s=1, clip_stride_s=1,
        )  # fmt: skip
        with av.open(made.clips[0].location or "") as container:
            shown = next(container.decode(video=0)).to_ndarray()[:96]
        levels[pixel_format] = len(np.unique(np.rint(np.median(shown, axis=0))))
    assert levels["yuv420p"] <= 130
    assert levels["yuv420p10le"] > 300


@each_encoder
def test_hdr_is_kept(make: Make, tmp_path: Path, encoder: str) -> None:
    """Its colours, in the stream and in the container; the picture is not tone-mapped."""
    counter_video(tmp_path / "plain.mp4", *steady(25, 25))
    ffmpeg("-i", tmp_path / "plain.mp4", *PQ, *X265, HDR10, tmp_path / "in.mp4")
    kept = make(
        tmp_path / "in.mp4", encoder=encoder, pixel_format="yuv420p10le", tone_map=False,
        clip_len_s=1, clip_stride_s=1,
    )  # fmt: skip
    [record] = kept.clips
    assert [n for _, n in read_numbers(Path(record.location or ""))] == list(range(25))
    with av.open(str(tmp_path / "in.mp4")) as source, av.open(record.location or "") as clip:
        wanted, found = (next(c.decode(video=0)) for c in (source, clip))
        for name in ("color_primaries", "color_trc", "colorspace", "color_range"):
            assert getattr(found, name) == getattr(wanted, name), name
        difference = wanted.to_ndarray(format="gray10le").astype(int)
        difference -= found.to_ndarray(format="gray10le")
        assert abs(difference).mean() < 12
        assert clip.streams.video[0].average_rate == Fraction(25)
    mapped = make(tmp_path / "in.mp4", encoder=encoder, clip_len_s=1, clip_stride_s=1)
    with av.open(mapped.clips[0].location or "") as clip:
        assert int(next(clip.decode(video=0)).color_trc) == 1


def test_how_bright_it_was_mastered_is_kept(make: Make, tmp_path: Path) -> None:
    """HEVC: the mastering display and the light level, as the source tells them."""
    counter_video(tmp_path / "plain.mp4", *steady(25, 25))
    ffmpeg("-i", tmp_path / "plain.mp4", *PQ, *X265, HDR10, tmp_path / "in.mp4")
    made = make(
        tmp_path / "in.mp4", encoder="libx265", pixel_format="yuv420p10le", tone_map=False,
        clip_len_s=0.4, clip_stride_s=0.4,
    )  # fmt: skip
    for record in made.clips:
        with av.open(record.location or "") as clip:
            frame: Any = next(clip.decode(video=0))
            told = {str(each.type) for each in frame.side_data}
        assert {"Type.MASTERING_DISPLAY_METADATA", "Type.CONTENT_LIGHT_LEVEL"} <= told, told
