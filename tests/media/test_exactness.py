"""Every clip holds exactly the frames of its span: proved by numbers burned into the frames."""

from __future__ import annotations

import os
import random
import struct
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import pytest

from clipping.config.execution import Execution
from clipping.ffmpeg.encoders import ENCODERS, cpu_encoders
from tests.media.conftest import Make, assert_exact
from tests.support.media import counter_video, ffmpeg, picture, read_numbers, steady

STRIDES = [("1", "0.5"), ("1", "1"), ("0.7", "1.3")]


@pytest.mark.parametrize(("length", "stride"), STRIDES)
@pytest.mark.parametrize("rate", [Fraction(24), Fraction(30000, 1001), Fraction(25)], ids=str)
def test_constant_rates(
    make: Make, tmp_path: Path, rate: Fraction, length: str, stride: str
) -> None:
    """At any constant rate, for overlapping, adjacent and spaced clips."""
    frames = counter_video(tmp_path / "in.mp4", *steady(100, rate))
    made = make(tmp_path / "in.mp4", clip_len_s=float(length), clip_stride_s=float(stride))
    assert_exact(made, frames, length, stride)


@pytest.mark.parametrize(("length", "stride"), STRIDES)
@pytest.mark.parametrize("encoder", [e for e in cpu_encoders() if e != "libx264"])
def test_every_encoder_is_exact(
    make: Make, tmp_path: Path, encoder: str, length: str, stride: str
) -> None:
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
            path, encoder=encoder, clip_len_s=float(length), clip_stride_s=float(stride),
            execution=Execution(encode_batch_size=2, verify="decode"), cpus=2,
        )  # fmt: skip
        assert_exact(made, frames, length, stride, turns=turns)
        row = ENCODERS[encoder]
        assert {(c.encoder, c.video_codec) for c in made.clips} == {(encoder, row.codec)}


@pytest.mark.parametrize(("length", "stride"), STRIDES)
@pytest.mark.parametrize("preset", ["ultrafast", "superfast"], ids=["no-b", "b-frames"])
@pytest.mark.parametrize("container", ["in.mp4", "in.mkv"])
def test_variable_rate(
    make: Make, tmp_path: Path, container: str, preset: str, length: str, stride: str
) -> None:
    """With gaps, bursts and drops, every frame keeps its own time."""
    rng = random.Random(7)
    pts, at = [], 0
    for _ in range(120):
        pts.append(at)
        at += rng.choice([16, 33, 33, 34, 120, 400])
    frames = counter_video(tmp_path / container, pts, Fraction(1, 1000))
    span = {"clip_len_s": float(length), "clip_stride_s": float(stride)}
    made = make(tmp_path / container, preset=preset, **span)
    assert_exact(made, frames, length, stride)


@pytest.mark.parametrize("cpus", [1, 2, 3])
@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"bf": "3", "x264-params": "b-adapt=0:b-pyramid=normal"}, id="B-frames"),
        pytest.param({"g": "12", "x264-params": "open-gop=1:bframes=3:b-adapt=0"}, id="open GOPs"),
        pytest.param({"g": "9999", "x264-params": "scenecut=0"}, id="one long GOP"),
        pytest.param({"g": "1"}, id="keyframes only"),
    ],
)
def test_gop_structures(make: Make, tmp_path: Path, options: dict[str, str], cpus: int) -> None:
    """Whatever the source's GOPs, and into however many runs and chunks the work is split."""
    frames = counter_video(tmp_path / "in.mp4", *steady(150), options=options)
    execution = Execution(num_clips_per_chunk=4 if cpus == 3 else 32)
    made = make(
        tmp_path / "in.mp4", cpus=cpus, execution=execution, clip_len_s=1, clip_stride_s=0.4
    )
    assert_exact(made, frames, 1, "0.4")


@pytest.mark.parametrize("encoder", cpu_encoders())
@pytest.mark.parametrize(("gop", "frames"), [("1", 1), ("7", 7), ("0.3s", 9), ("600s", 100)])
@pytest.mark.parametrize("b_frames", [True, False], ids=["b", "no-b"])
def test_gops_of_clips(
    make: Make, tmp_path: Path, encoder: str, gop: str, frames: int, *, b_frames: bool
) -> None:
    """Keyframes as often as asked; overlaps stay exact, and several segments of one clip fit."""
    made = make(
        counted(tmp_path / "in.mp4", 100, 30), encoder=encoder, gop=gop, b_frames=b_frames,
        preset="superfast" if encoder == "libx264" else None, clip_len_s=1, clip_stride_s=0.5,
        execution=Execution(encode_batch_size=2),
    )  # fmt: skip
    assert_exact(made, [(Fraction(i, 30), i) for i in range(100)], 1, "0.5")
    for clip in made.clips:
        keys, order = keyframes(Path(clip.location or ""))
        assert keys[0] == 0
        assert max(b - a for a, b in pairwise([*keys, clip.frames])) <= frames
        assert b_frames or order == sorted(order)


@pytest.mark.parametrize(
    "stride", [{"frame_stride": 9}, {"frame_stride": 40}, {"clip_stride_s": 1}]
)
@pytest.mark.parametrize("container", ["in.mp4", "late.ts"])
def test_clips_of_so_many_frames(
    make: Make, tmp_path: Path, container: str, stride: dict[str, float]
) -> None:
    """Overlap and gap, at a variable rate and with a late start: 17 frames, the right ones."""
    rng = random.Random(5)
    pts = [9000]
    for _ in range(110):
        pts.append(pts[-1] + rng.choice([3000, 3003, 3600, 9000]))
    counter_video(tmp_path / container, pts, Fraction(1, 90_000))
    made = make(tmp_path / container, frames=17, execution=Execution(encode_batch_size=2), **stride)
    assert len(made.clips) > 2
    seconds = [Fraction(p - pts[0], 90_000) for p in pts]
    for clip in made.clips:
        first = clip.clip.number * int(stride.get("frame_stride", 0)) or next(
            i
            for i, at in enumerate(seconds)
            if at >= clip.clip.number * stride.get("clip_stride_s", 0)
        )
        shown = [n for _, n in read_numbers(Path(clip.location or ""))]
        assert shown == list(range(first, first + 17))
        assert clip.frames == 17


def counted(path: Path, frames: int, rate: int) -> Path:
    """A video whose frames bear their numbers."""
    counter_video(path, *steady(frames, rate))
    return path


def keyframes(path: Path) -> tuple[list[int], list[int]]:
    """Which frames are keyframes, in the order of display; and all PTS in that of decoding."""
    with av.open(str(path)) as container:
        packets = [p for p in container.demux(container.streams.video[0]) if p.pts is not None]
    order = [p.pts for p in packets if p.pts is not None]
    places = {pts: place for place, pts in enumerate(sorted(order))}
    return sorted(places[p.pts] for p in packets if p.is_keyframe and p.pts is not None), order


@pytest.mark.parametrize("name", ["late.ts", "late.mkv", "late.mp4"])
def test_start_time_is_not_zero(make: Make, tmp_path: Path, name: str) -> None:
    """0 is the first presented frame, wherever the container's clock stands."""
    frames = counter_video(tmp_path / "in.mp4", *steady(100, 25), options={"g": "20"})
    late = tmp_path / name
    copy = ["-c", "copy", "-output_ts_offset", "59.857"]
    ffmpeg("-i", tmp_path / "in.mp4", *copy, "-muxdelay", "0", late)
    made = make(late, clip_len_s=1, clip_stride_s=0.7)
    assert made.source.video.first_pts * made.source.video.time_base > (name != "late.mp4") * 50
    assert_exact(made, frames, 1, "0.7")


def test_edit_list_hides_the_first_frames(make: Make, tmp_path: Path) -> None:
    """Frames before an edit list's start are decoded, never presented."""
    frames = counter_video(tmp_path / "in.mp4", *steady(100, 25), options={"g": "50"})
    ffmpeg("-ss", "0.6", "-i", tmp_path / "in.mp4", "-c", "copy", tmp_path / "cut.mp4")
    shown = [(t - Fraction(15, 25), n) for t, n in frames[15:]]
    made = make(tmp_path / "cut.mp4", clip_len_s=1, clip_stride_s=0.5)
    assert_exact(made, shown, 1, "0.5")


def test_a_clean_aperture_is_applied(make: Make, tmp_path: Path) -> None:
    """What `clap` (ISO/IEC 14496-12, 12.1.4) leaves out of the picture is not in the clip."""
    counter_video(tmp_path / "in.mp4", *steady(50, 25))
    data = (tmp_path / "in.mp4").read_bytes()
    # 128x64 out of the middle of 160x96: width, height, and how far off the middle, as fractions.
    clap = struct.pack(">I4s8I", 40, b"clap", *(128, 1, 64, 1, 0, 1, 0, 1))
    (tmp_path / "clap.mp4").write_bytes(with_box(data, clap))
    made = make(tmp_path / "clap.mp4", clip_len_s=1, clip_stride_s=1)
    assert {(c.width, c.height) for c in made.clips} == {(128, 64)}
    assert [c.frames for c in made.clips] == [25, 25]


def with_box(data: bytes, box: bytes) -> bytes:
    """An MP4 whose sample entry holds one more box; its `moov` stands after its `mdat`."""
    assert data.index(b"mdat") < data.index(b"moov")
    parents = [b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"avc1"]
    grown = bytearray(data)
    for name in parents:
        at = data.rindex(name) - 4
        size = int.from_bytes(grown[at : at + 4], "big") + len(box)
        grown[at : at + 4] = size.to_bytes(4, "big")
    end = data.rindex(b"avc1") - 4 + int.from_bytes(data[data.rindex(b"avc1") - 4 :][:4], "big")
    return bytes(grown[:end] + box + grown[end:])


def test_odd_sizes_lose_a_row_and_a_column(make: Make, tmp_path: Path) -> None:
    """4:2:0 needs even sides; the last row and column go, nothing is scaled."""
    raw = b"".join(picture(n, 161, 97).tobytes() for n in range(50))
    feed = ["-f", "rawvideo", "-pix_fmt", "gray", "-s", "161x97", "-r", "25", "-i", "-"]
    lossless = ["-c:v", "libx264", "-qp", "0", "-pix_fmt", "yuv444p"]
    ffmpeg(*feed, *lossless, tmp_path / "in.mp4", feed=raw)
    made = make(tmp_path / "in.mp4", clip_len_s=1, clip_stride_s=1)
    assert {(c.width, c.height) for c in made.clips} == {(160, 96)}
    assert_exact(made, [(Fraction(n, 25), n) for n in range(50)], 1, 1)


@pytest.mark.parametrize(("degrees", "turns"), [(90, 1), (180, 2), (270, 3)])
def test_rotation_is_applied(make: Make, tmp_path: Path, degrees: int, turns: int) -> None:
    """A clip needs no display matrix: its pixels stand upright."""
    frames = counter_video(tmp_path / "in.mp4", *steady(60, 24))
    turned = tmp_path / "turned.mp4"
    # ffmpeg's -display_rotation counts anticlockwise.
    ffmpeg("-display_rotation", str(degrees), "-i", tmp_path / "in.mp4", "-c", "copy", turned)
    made = make(turned, clip_len_s=1, clip_stride_s=1)
    size = (96, 160) if degrees in (90, 270) else (160, 96)
    assert {(c.width, c.height) for c in made.clips} == {size}
    assert_exact(made, frames, 1, 1, turns=-turns)


@pytest.mark.parametrize(
    ("codec", "pixels"),
    [
        ("libx265", "yuv420p10le"),
        ("libx264", "yuv422p10le"),
        ("libx264", "yuv444p"),
        ("ffv1", "yuv420p12le"),
        ("png", "rgb24"),
    ],
)
def test_deep_and_dense_pixels(make: Make, tmp_path: Path, codec: str, pixels: str) -> None:
    """10-bit, 12-bit, 4:2:2, 4:4:4 and RGB become 8-bit 4:2:0 in limited range."""
    frames = counter_video(tmp_path / "in.mp4", *steady(60, 24))
    deep = tmp_path / "deep.mkv"
    ffmpeg("-i", tmp_path / "in.mp4", "-c:v", codec, "-pix_fmt", pixels, deep)
    made = make(deep, clip_len_s=1, clip_stride_s=0.5)
    assert_exact(made, frames, 1, "0.5")
    text = ffmpeg_says(Path(made.clips[0].location or ""))
    assert "yuv420p(" in text or "yuv420p," in text
    assert "yuvj" not in text
    assert ("bt709" in text) == (codec == "png")


def ffmpeg_says(path: Path) -> str:
    """What ffmpeg prints about a file's video stream."""
    import subprocess

    from tests.support.media import FFMPEG

    done = subprocess.run([FFMPEG, "-hide_banner", "-i", path], capture_output=True, check=False)
    return next(x for x in done.stderr.decode().splitlines() if "Video:" in x)


@pytest.mark.parametrize("transfer", ["smpte2084", "arib-std-b67"])
@pytest.mark.parametrize("tone_map", [True, False])
def test_hdr(make: Make, tmp_path: Path, transfer: str, tone_map: bool) -> None:
    """PQ and HLG become BT.709, and say so; switched off, the tags stay true to the data."""
    frames = counter_video(tmp_path / "in.mp4", *steady(48, 24))
    tags = f"colorprim=bt2020:transfer={transfer}:colormatrix=bt2020nc"
    hdr = ["-c:v", "libx265", "-pix_fmt", "yuv420p10le", "-x265-params", f"log-level=0:{tags}"]
    ffmpeg("-i", tmp_path / "in.mp4", *hdr, tmp_path / "hdr.mp4")
    made = make(tmp_path / "hdr.mp4", clip_len_s=1, clip_stride_s=1, tone_map=tone_map)
    text = ffmpeg_says(Path(made.clips[0].location or ""))
    assert ("bt709" in text) is tone_map
    assert (transfer in text) is not tone_map
    if not tone_map:  # a tone map moves grays; the stripes are then not where they were
        assert_exact(made, frames, 1, 1)


def test_interlaced_video_keeps_its_frames(make: Make, tmp_path: Path) -> None:
    """Deinterlacing gives a frame for a frame, at its time."""
    frames = counter_video(tmp_path / "in.mp4", *steady(60, 25))
    fields = ["-c:v", "libx264", "-qp", "10", "-x264-params", "tff=1", "-flags", "+ilme+ildct"]
    ffmpeg("-i", tmp_path / "in.mp4", *fields, "-vf", "setfield=tff", tmp_path / "i.ts")
    made = make(tmp_path / "i.ts", clip_len_s=1, clip_stride_s=0.6)
    assert made.source.video.field_order != "progressive"
    assert_exact(made, frames, 1, "0.6")


def test_two_frames_with_one_time_are_one(make: Make, tmp_path: Path) -> None:
    """Of frames that share a presentation time the first is presented; the clip and the source say
    that the other is not."""
    counter_video(tmp_path / "in.mp4", *steady(60, 25), options={"bf": "0"})
    doubled = tmp_path / "doubled.mkv"
    bsf = "setts=pts='if(eq(N,40),PTS-0.04/TB,PTS)':dts='if(eq(N,40),DTS-0.04/TB,DTS)'"
    ffmpeg("-i", tmp_path / "in.mp4", "-c", "copy", "-bsf:v", bsf, doubled)
    made = make(doubled, clip_len_s=1, clip_stride_s=1)
    assert made.source.video.frame_count == 59
    assert made.source.warnings == (
        "1 of 60 decoded frames have the timestamp of another and are left out",
    )
    shown = [n for c in made.clips for _, n in read_numbers(Path(c.location or ""))]
    assert shown == [n for n in range(60) if n != 40]
    left_out = "1 frame with the timestamp of another left out"
    assert [c.errors for c in made.clips] == [(), (left_out,), ()]


def test_lossless_clips_hash_like_the_source(make: Make, tmp_path: Path) -> None:
    """At quality 0 the clips' decoded frames are the source's, bit for bit."""
    counter_video(tmp_path / "in.mp4", *steady(72, 24), options={"bf": "2", "g": "24"})
    made = make(tmp_path / "in.mp4", clip_len_s=1, clip_stride_s=0.5, quality=0)
    source = frame_hashes(tmp_path / "in.mp4")
    for record in made.clips:
        expected = source[record.clip.start_frame : record.clip.end_frame]
        assert frame_hashes(Path(record.location or "")) == expected


def frame_hashes(path: Path) -> list[str]:
    """A hash of every decoded picture."""
    passthrough = ["-fps_mode", "passthrough"]
    text = ffmpeg("-i", path, "-map", "0:v", *passthrough, "-f", "framemd5", "-").decode()
    return [x.rsplit(",", 1)[1].strip() for x in text.splitlines() if not x.startswith("#")]


def test_openh264(make: Make, tmp_path: Path) -> None:
    """The other software encoder cuts as exactly, at a bit rate that fits the picture."""
    frames = counter_video(tmp_path / "in.mp4", *steady(100, 25))
    made = make(tmp_path / "in.mp4", encoder="libopenh264", clip_len_s=1, clip_stride_s=0.5)
    assert_exact(made, frames, 1, "0.5")
    assert all(c.encoder == "libopenh264" for c in made.clips)


def test_openh264_spends_the_sources_bit_rate_at_a_variable_rate(
    make: Make, tmp_path: Path
) -> None:
    """It counts frames; ffmpeg tells it the highest rate that occurs, here twice the average."""
    pts = [2 * i + (i % 30 == 29) for i in range(300)]
    counter_video(
        tmp_path / "in.mp4", pts, Fraction(1, 60), options={"g": "30"}, size=(320, 192)
    )  # fmt: skip
    made = make(tmp_path / "in.mp4", encoder="libopenh264", use_input_bit_rate=True)
    video = made.source.video
    assert video.guessed_rate == 60
    assert video.frame_rate == pytest.approx(30, rel=0.01)
    spent = sum(c.bytes for c in made.clips) * 8 / video.duration
    assert float(spent) == pytest.approx(video.bit_rate, rel=0.1)


def test_clips_that_span_runs_and_chunks(make: Make, tmp_path: Path) -> None:
    """Small batches and chunks change how the work is cut, not what comes out."""

    frames = counter_video(tmp_path / "in.mp4", *steady(200, 25))
    small = Execution(encode_batch_size=2, num_clips_per_chunk=5)
    made = make(tmp_path / "in.mp4", execution=small, cpus=2, clip_len_s=1.5, clip_stride_s=0.5)
    assert len(made.chunks) > 2
    assert_exact(made, frames, "1.5", "0.5")


def test_gaps_are_not_encoded(make: Make, tmp_path: Path) -> None:
    """Frames between clips cost no encoding, whether the run goes on or a new one begins."""
    frames = counter_video(tmp_path / "in.mp4", *steady(400, 25), options={"g": "25"})
    made = make(tmp_path / "in.mp4", clip_len_s=0.5, clip_stride_s=4)
    assert_exact(made, frames, "0.5", 4)
    assert sum(c.encoded_frames for c in made.chunks) == sum(c.frames for c in made.clips) < 60


def test_a_clip_is_a_plain_mp4(make: Make, tmp_path: Path) -> None:
    """The index stands first (faststart), and the first frame at 0."""
    counter_video(tmp_path / "in.mp4", *steady(50, 25))
    made = make(tmp_path / "in.mp4", clip_len_s=1, clip_stride_s=1)
    for record in made.clips:
        data = Path(record.location or "").read_bytes()
        assert data.index(b"moov") < data.index(b"mdat")
        assert read_numbers(Path(record.location or ""))[0][0] == 0


@pytest.mark.parametrize("seed", range(int(os.environ.get("CLIPPING_TEST_SEEDS", "6"))))
def test_anything_at_random(make: Make, tmp_path: Path, seed: int) -> None:
    """Rates, GOPs, reordering, lengths, strides, splits, all drawn at random."""
    rng = random.Random(seed)
    ticks = rng.choice([1000, 90_000, 24_000, 600])
    unit = ticks // rng.choice([24, 25, 30])
    steps = rng.choice([[unit], [unit, unit, 2 * unit], [unit // 3, unit, 7 * unit, 30 * unit]])
    pts = [rng.randrange(5000)]
    for _ in range(rng.randrange(1, 260)):
        pts.append(pts[-1] + max(1, rng.choice(steps)))
    options = {
        "g": str(rng.choice([1, 7, 40, 999])),
        "bf": str(rng.randrange(4)),
        "x264-params": f"open-gop={rng.randrange(2)}:b-adapt=0",
    }
    name = rng.choice(["in.mp4", "in.mkv", "in.mov"]) if ticks == 1000 else "in.mp4"
    frames = counter_video(tmp_path / name, pts, Fraction(1, ticks), options=options)
    length, stride = (Fraction(rng.randrange(1, 400), 100) for _ in range(2))
    stride = max(stride, Fraction(round(frames[-1][0] * 2), 100))  # some fifty clips at most
    small = Execution(
        encode_batch_size=rng.randrange(1, 9), num_clips_per_chunk=rng.randrange(1, 12)
    )
    made = make(
        tmp_path / name,
        execution=small,
        cpus=rng.randrange(1, 4),
        preset=rng.choice(["ultrafast", "superfast", "medium"]),
        clip_len_s=float(length),
        clip_stride_s=float(stride),
    )
    assert_exact(made, frames, length, stride)
