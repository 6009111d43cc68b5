"""Clips of another size: exact as ever, with the picture where it belongs."""

from __future__ import annotations

import random
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from clipping.config.execution import Execution
from clipping.models import ClipRecord
from tests.media.conftest import Made, Make, assert_exact
from tests.support.media import counter_video, ffmpeg, number_in, steady

SPANS = [("1", "0.5"), ("0.7", "1.3")]


def first_picture(clip: ClipRecord) -> np.ndarray:
    """A clip's first frame, gray."""
    with av.open(clip.location or "") as container:
        return next(container.decode(video=0)).to_ndarray(format="gray")


def check_size(made: Made, size: tuple[int, int], aspect: Fraction | None = Fraction(1)) -> None:
    """In the record, in the file's header, and of what is decoded."""
    for clip in made.clips:
        assert (clip.width, clip.height) == size
        with av.open(clip.location or "") as container:
            stream = container.streams.video[0]
            assert (stream.width, stream.height) == size
            assert stream.sample_aspect_ratio == aspect
        assert first_picture(clip).shape == (size[1], size[0])


@pytest.mark.parametrize(("length", "stride"), SPANS)
@pytest.mark.parametrize("encoder", ["libx264", "libopenh264"])
def test_a_smaller_picture_is_exact(
    make: Make, tmp_path: Path, encoder: str, length: str, stride: str
) -> None:
    """Overlap and gap, over several segments."""
    frames = counter_video(tmp_path / "in.mp4", *steady(100, 25), size=(320, 180))
    made = make(
        tmp_path / "in.mp4", encoder=encoder, size="90p", clip_len_s=float(length),
        clip_stride_s=float(stride), execution=Execution(encode_batch_size=2),
    )  # fmt: skip
    assert_exact(made, frames, length, stride)
    check_size(made, (160, 90))


@pytest.mark.parametrize("container", ["in.mp4", "in.mkv"])
def test_at_a_variable_rate_and_late(make: Make, tmp_path: Path, container: str) -> None:
    """Times are the source's own."""
    rng = random.Random(3)
    pts = [7000]
    for _ in range(80):
        pts.append(pts[-1] + rng.choice([16, 33, 34, 120, 400]))
    frames = counter_video(tmp_path / container, pts, Fraction(1, 1000), size=(320, 192))
    made = make(tmp_path / container, size="160x96", clip_len_s=1, clip_stride_s=0.5)
    assert_exact(made, frames, 1, "0.5")
    check_size(made, (160, 96))


@pytest.mark.parametrize(("degrees", "turns"), [(90, 1), (180, 2), (270, 3)])
def test_sides_are_those_that_are_seen(
    make: Make, tmp_path: Path, degrees: int, turns: int
) -> None:
    """Of a picture that is turned, the upright one's."""
    frames = counter_video(tmp_path / "in.mp4", *steady(50, 25), size=(320, 192))
    turned = tmp_path / "turned.mp4"
    ffmpeg("-display_rotation", str(degrees), "-i", tmp_path / "in.mp4", "-c", "copy", turned)
    made = make(turned, size="96p", clip_len_s=1, clip_stride_s=1)
    assert_exact(made, frames, 1, 1, turns=-turns)
    check_size(made, (160, 96) if turns == 2 else (96, 160))


def test_pixels_become_square(make: Make, tmp_path: Path) -> None:
    """With a size, and on demand without one; never enlarged. Turned pixels are turned first."""
    frames = counter_video(tmp_path / "in.mp4", *steady(50, 25), size=(180, 144))
    wide, turned = tmp_path / "wide.mp4", tmp_path / "turned.mp4"
    bitstream = ["-c", "copy", "-bsf:v", "h264_metadata=sample_aspect_ratio=16/11"]
    ffmpeg("-i", tmp_path / "in.mp4", *bitstream, "-aspect", "20:11", wide)
    ffmpeg("-display_rotation", "90", "-i", wide, "-c", "copy", turned)
    for options, size, aspect in (
        ({}, (180, 144), Fraction(16, 11)),
        ({"square_pixels": True}, (180, 98), Fraction(1)),
        ({"size": "64p"}, (116, 64), Fraction(1)),
    ):
        made = make(wide, clip_len_s=1, clip_stride_s=1, **options)
        assert_exact(made, frames, 1, 1)
        check_size(made, size, aspect)
    made = make(turned, clip_len_s=1, clip_stride_s=1, square_pixels=True)
    check_size(made, (98, 180))


def test_filling_a_box_cuts_both_sides_alike(make: Make, tmp_path: Path) -> None:
    """Lines from the top and the bottom, here: the middle one stays in the middle."""
    path = tmp_path / "in.mp4"
    middle = "drawbox=x=0:y=118:w=iw:h=4:color=white:t=fill"
    ffmpeg("-f", "lavfi", "-i", f"color=black:s=320x240:r=25:d=1,{middle}", path)
    made = make(path, size="320x96", size_fit="fill", clip_len_s=1, clip_stride_s=1)
    check_size(made, (320, 96))
    lines = first_picture(made.clips[0]).mean(axis=1)
    assert 47 <= np.average(np.arange(96) + 0.5, weights=np.maximum(lines - 30, 0)) <= 49


def test_bars_are_black_and_the_picture_is_between_them(make: Make, tmp_path: Path) -> None:
    """Above and below, and left and right; the numbers are read from what is between."""
    for size, box, inner in (
        ((320, 160), "160x160", (slice(40, 120), slice(0, 160))),
        ((160, 160), "320x160", (slice(0, 160), slice(80, 240))),
    ):
        path = tmp_path / f"{box}.mp4"
        counter_video(path, *steady(25, 25), size=size)
        made = make(path, size=box, size_fit="pad", clip_len_s=0.4, clip_stride_s=0.4, quality=10)
        width, height = map(int, box.split("x"))
        check_size(made, (width, height))
        for clip in made.clips:
            image = first_picture(clip)
            assert number_in(image[inner]) == clip.clip.start_frame
            bars = np.ones_like(image, dtype=bool)
            rows, columns = inner
            top, left = max(0, rows.start - 4), max(0, columns.start - 4)
            bars[top : rows.stop + 4, left : columns.stop + 4] = False
            assert image[bars].max() < 24


def test_nothing_is_enlarged_unless_told(make: Make, tmp_path: Path) -> None:
    """A smaller picture stays as it is; with `enlarge` it has the size."""
    frames = counter_video(tmp_path / "in.mp4", *steady(25, 25), size=(160, 96))
    for enlarge, size in ((False, (160, 96)), (True, (320, 192))):
        made = make(
            tmp_path / "in.mp4", size="192p", enlarge=enlarge, clip_len_s=1, clip_stride_s=1
        )
        assert_exact(made, frames, 1, 1)
        check_size(made, size)


def test_multiples_without_a_size(make: Make, tmp_path: Path) -> None:
    """What is over is cut off, even of odd sides; pixels keep their shape."""
    path = tmp_path / "in.mkv"
    options = ["-c:v", "ffv1", "-pix_fmt", "yuv444p"]
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=173x101:r=25:d=1", *options, path)
    made = make(path, size_multiple=16, clip_len_s=1, clip_stride_s=1)
    check_size(made, (160, 96), made.source.video.sample_aspect_ratio)


def test_hdr_is_scaled_and_tone_mapped(make: Make, tmp_path: Path) -> None:
    """In one go; the colours are those of the picture at its own size."""
    path = tmp_path / "in.mp4"
    tags = ["-color_primaries", "bt2020", "-color_trc", "smpte2084", "-colorspace", "bt2020nc"]
    ffmpeg(
        *["-f", "lavfi", "-i", "testsrc2=s=320x192:r=25:d=1", "-pix_fmt", "yuv420p10le"],
        *["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none", *tags, path],
    )
    assert path.stat().st_size
    large = make(path, clip_len_s=1, clip_stride_s=1, quality=10)
    whole = first_picture(large.clips[0])
    small = make(path, size="96p", clip_len_s=1, clip_stride_s=1, quality=10)
    check_size(small, (160, 96))
    halved = whole.reshape(96, 2, 160, 2).mean(axis=(1, 3))
    assert np.abs(halved - first_picture(small.clips[0])).mean() < 4


def test_what_changes_in_mid_stream_is_fitted(make: Make, tmp_path: Path) -> None:
    """A clip has the size that its first picture gets; another shape comes into it with bars."""
    for name, size in (("a", "320x192"), ("b", "192x192")):
        source = f"color={'white' if name == 'b' else 'gray'}:s={size}:r=25:d=2"
        coded = ["-c:v", "libx264", "-g", "25", "-bsf:v", "dump_extra"]
        ffmpeg("-f", "lavfi", "-i", source, *coded, tmp_path / f"{name}.mkv")
    listed, path = tmp_path / "list.txt", tmp_path / "in.mkv"
    listed.write_text("".join(f"file '{tmp_path / name}.mkv'\n" for name in "ab"))
    ffmpeg("-f", "concat", "-safe", "0", "-i", listed, "-c", "copy", path)
    made = make(path, size="96p", clip_len_s=3, clip_stride_s=3)
    assert [(c.width, c.height) for c in made.clips] == [(160, 96), (96, 96)]
    with av.open(made.clips[0].location or "") as container:
        last = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)][-1]
    assert last[:, 40:120].min() > 200
    assert last[:, :24].max() < 30
    assert last[:, -24:].max() < 30
