"""Sources whose pictures change in mid-stream: one answer, right proportions, whatever the split.

Every picture shows its number in stripes, and below them a square; both are read back from the
clips, so that a squeezed, cropped or turned picture is found by what it shows.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from clipping.config.execution import Execution
from clipping.models import ClipStatus
from tests.media.conftest import Made, Make
from tests.support.media import ffmpeg

RATE, FIRST, SECOND = 25, 40, 45  # frames/s, and how many frames lie before and after the change
SPLITS = [
    Execution(),
    Execution(num_clips_per_chunk=1),
    Execution(num_clips_per_chunk=3, encode_batch_size=2),
]
BITS, DARK, BAR = 8, 60, 40
X264 = ["-c:v", "libx264", "-preset", "veryfast", "-g", "20", "-bf", "2", "-crf", "18"]
X265 = ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "keyint=20:log-level=none"]
MPEG2 = ["-c:v", "mpeg2video", "-q:v", "3", "-g", "12", "-bf", "2", "-flags", "+cgop"]
MPEG2 += ["-sc_threshold", "1000000000"]
VP8 = ["-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "1M", "-g", "20"]
VP9 = ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "1M", "-g", "20"]
AV1 = ["-c:v", "libsvtav1", "-preset", "12", "-crf", "25", "-g", "20", "-svtav1-params", "lp=1"]
MJPEG = ["-c:v", "mjpeg", "-q:v", "3"]
MPEG4 = ["-c:v", "mpeg4", "-q:v", "3", "-g", "12"]

Size = tuple[int, int]


def picture(number: int, size: Size, aspect: Fraction = Fraction(1)) -> np.ndarray:
    """The number in stripes above, a square below, if a pixel is `aspect` as wide as high."""
    width, height = size
    image = np.full((height, width), DARK, np.uint8)
    bits = (number >> (np.arange(width) * BITS // width)) & 1
    image[: height // 2] = DARK + bits * 150
    side = height // 3
    across, top, left = round(side / aspect), height * 7 // 12, width // 2
    image[top : top + side, left - across // 2 : left - across // 2 + across] = 220
    return image


def encoded(
    path: Path,
    numbers: range,
    size: Size,
    codec: Sequence[str],
    *,
    aspect: Fraction = Fraction(1),
    turned: int = 0,
) -> Path:
    """A video of numbered pictures; stored turned by so many quarters."""
    images = [np.rot90(picture(n, size, aspect), turned) for n in numbers]
    height, width = images[0].shape
    sar = f"setsar={aspect.numerator}/{aspect.denominator},format=yuv420p"
    ffmpeg(
        *["-f", "rawvideo", "-pix_fmt", "gray", "-s", f"{width}x{height}", "-r", str(RATE)],
        *["-i", "-", "-vf", sar, *codec, path],
        feed=b"".join(np.ascontiguousarray(image).tobytes() for image in images),
    )
    return path


def joined(parts: Sequence[Path], path: Path) -> Path:
    """The packets of all parts one after the other, under the first one's header."""
    if path.suffix == ".mkv":
        listed = "".join(f"file '{part}'\n" for part in parts)
        names = path.with_suffix(".txt")
        names.write_text(listed)
        ffmpeg("-f", "concat", "-safe", "0", "-i", names, "-c", "copy", path)
        return path
    output: Any
    with av.open(str(path), "w") as output:
        stream: Any = None
        begin = Fraction(2 if path.suffix == ".ts" else 0)
        for part in parts:
            source: Any
            with av.open(str(part)) as source:
                video = source.streams.video[0]
                packets = [p for p in source.demux(video) if p.size]
                stream = stream or output.add_stream_from_template(video)
                shift = round(begin / video.time_base) - min(p.pts for p in packets)
                for packet in packets:
                    packet.pts += shift
                    packet.dts = packet.dts + shift if packet.dts is not None else None
                    packet.stream = stream
                    output.mux(packet)
                begin += Fraction(len(packets), RATE)
    return path


def number_in(stripes: np.ndarray) -> int:
    """The number that the upper part of a picture shows."""
    edges = np.linspace(0, stripes.shape[1], BITS + 1)
    means = [
        stripes[:, round(a + (b - a) / 4) : round(b - (b - a) / 4)].mean()
        for a, b in pairwise(edges)
    ]
    return sum((mean > 140) << bit for bit, mean in enumerate(means))


@dataclass(frozen=True)
class Shown:
    """What a frame of a clip shows: its number, where the picture is, the square's proportions."""

    number: int
    area: tuple[int, int, int, int]  # left, top, width, height of what is not bars
    square: float  # width to height, as it is seen


def shown_in(clip: Path | str | None) -> list[Shown]:
    """Every frame of a clip."""
    assert clip is not None
    seen: list[Shown] = []
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        aspect = float(stream.sample_aspect_ratio or 1)
        for frame in container.decode(stream):
            assert not frame.rotation, "a clip has no display matrix"
            image = frame.to_ndarray(format="gray")
            rows, columns = (np.flatnonzero(image.max(axis=a) > BAR) for a in (1, 0))
            left, top = int(columns[0]), int(rows[0])
            inner = image[top : rows[-1] + 1, left : columns[-1] + 1]
            height, width = inner.shape
            below = inner[height * 13 // 24 :] > 140
            tall, wide = (int(below.any(axis=a).sum()) for a in (1, 0))
            seen.append(
                Shown(
                    number_in(inner[: height * 11 // 24]),
                    (left, top, width, height),
                    wide * aspect / tall,
                )
            )
    return seen


def assert_right(
    made: Made, sizes: tuple[Size, Size], note: str | None, lost: int | None = None
) -> list[Any]:
    """Each clip has its frames, of the size that its first one has, none squeezed.

    note: what the record of a clip across the change says; lost: a frame that no decoder gives.
    Returns what must not depend on the split.
    """
    told: list[Any] = []
    for record in made.clips:
        clip = record.clip
        assert record.status is ClipStatus.WRITTEN, record.errors
        seen = shown_in(record.location)
        expected = [n for n in range(clip.start_frame, clip.end_frame) if n != lost]
        assert [s.number for s in seen] == expected
        assert record.frames == len(seen)
        width, height = sizes[clip.start_frame >= FIRST]
        assert (record.width, record.height) == (width // 2 * 2, height // 2 * 2)
        for frame in seen:
            assert frame.square == pytest.approx(1, abs=0.15), (clip.number, frame)
        is_across = clip.start_frame < FIRST < clip.end_frame
        errors = list(record.errors)
        if lost is not None and clip.start_frame <= lost < clip.end_frame:
            assert f"1 of {clip.frame_count} frames" in errors.pop(0)
        assert bool(errors) == (is_across and note is not None), errors
        if is_across and note:
            seconds = (FIRST - clip.start_frame) / RATE
            assert f"{note} at {seconds:.3f} s: " in errors[0]
        told.append((clip.id, record.errors, [(s.number, s.area) for s in seen]))
    return told


Source = Callable[[Path], Path]


def two(
    first: Size,
    second: Size,
    codec: Sequence[str],
    name: str,
    *,
    aspects: tuple[Fraction, Fraction] = (Fraction(1), Fraction(1)),
    part: str = "",
) -> Source:
    """A source of two sizes, or two pixel aspects. part: how the halves' names end."""

    def make(folder: Path) -> Path:
        ends, after = part or Path(name).suffix, FIRST + SECOND
        a = encoded(folder / f"a{ends}", range(FIRST), first, codec, aspect=aspects[0])
        b = encoded(folder / f"b{ends}", range(FIRST, after), second, codec, aspect=aspects[1])
        return joined([a, b], folder / name)

    return make


def made_by(make: Make, path: Path, split: int, **recipe: object) -> Made:
    """All clips of 1 s every 0.5 s; `split` is a place in SPLITS."""
    span = {"clip_len_s": 1, "clip_stride_s": 0.5}
    return make(path, cpus=1 + split, execution=SPLITS[split], **{**span, **recipe})


WIDE, HIGH, HALF, TALL = (160, 96), (96, 160), (80, 48), (192, 320)
CHANGES = {
    "H.264 in TS, turned upright": (two(WIDE, HIGH, X264, "in.ts"), (WIDE, HIGH)),
    "H.264 in MP4, larger": (two(WIDE, TALL, X264, "in.mp4", part=".ts"), (WIDE, TALL)),
    "H.264 in Matroska, odd": (
        two((161, 97), HALF, [*X264, "-pix_fmt", "yuv444p"], "in.mkv", part=".ts"),
        ((161, 97), HALF),
    ),
    "HEVC in TS": (two(HIGH, WIDE, X265, "in.ts"), (HIGH, WIDE)),
    "VP8 in WebM, half the size": (two(WIDE, HALF, VP8, "in.webm"), (WIDE, HALF)),
    "VP9 in WebM": (two(HIGH, WIDE, VP9, "in.webm"), (HIGH, WIDE)),
    "AV1 in Matroska": (two((160, 128), (128, 160), AV1, "in.mkv"), ((160, 128), (128, 160))),
    "MPEG-2 in TS": (two(WIDE, HIGH, [*MPEG2, "-bf", "0"], "in.ts"), (WIDE, HIGH)),
    "MPEG-4 in AVI": (two(WIDE, HALF, MPEG4, "in.avi"), (WIDE, HALF)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_size_that_changes(make: Make, tmp_path: Path, change: str) -> None:
    """A clip has its first picture's size; what follows in another is fitted, with bars, and told.

    In every codec that can change its size, and however the work is split.
    """
    source, (first, second) = CHANGES[change]
    path = source(tmp_path)
    note = f"from {first[0]}x{first[1]} to {second[0]}x{second[1]}"
    told: list[Any] = []
    for split in range(len(SPLITS)):
        made = made_by(make, path, split)
        assert len(made.clips) == 7
        # FFmpeg's decoder of MPEG-2 gives no more of the last picture before a change of size.
        lost = FIRST - 1 if change.startswith("MPEG-2") else None
        told.append(assert_right(made, (first, second), note, lost))
        assert f"its picture changes {note} at {FIRST / RATE:.3f} s;" in made.source.warnings[0]
    assert told[0] == told[1] == told[2]


def test_a_change_that_no_header_tells_of(make: Make, tmp_path: Path) -> None:
    """Where the probe does not look into packets (Motion JPEG), encoding finds the change.

    The chunk is planned anew, with the same clips as if it had been known.
    """
    path = two(WIDE, HIGH, MJPEG, "in.mkv")(tmp_path)
    told: list[Any] = []
    for split in range(len(SPLITS)):
        made = made_by(make, path, split)
        assert not made.source.video.shapes
        told.append(assert_right(made, (WIDE, HIGH), "from 160x96 to 96x160"))
    assert told[0] == told[1] == told[2]


def aspects_in(made: Made) -> list[Fraction]:
    """The pixels' aspect that each clip tells."""
    found: list[Fraction] = []
    for record in made.clips:
        assert record.location is not None
        with av.open(record.location) as container:
            found.append(Fraction(container.streams.video[0].sample_aspect_ratio or 0))
    return found


@pytest.mark.parametrize(("codec", "name"), [(MPEG2, "in.ts"), (X264, "in.mp4")])
def test_pixels_whose_aspect_changes(
    make: Make, tmp_path: Path, codec: Sequence[str], name: str
) -> None:
    """A clip has its first frame's pixel aspect; one across is fitted by what is seen."""
    wide = Fraction(4, 3)
    size = (160, 120)
    path = two(size, size, codec, name, aspects=(Fraction(1), wide), part=".ts")(tmp_path)
    told: list[Any] = []
    for split in range(len(SPLITS)):
        made = made_by(make, path, split)
        note = "from 160x120 (pixels 1:1) to 160x120 (pixels 4:3)"
        told.append(assert_right(made, (size, size), note))
        assert aspects_in(made) == [
            wide if record.clip.start_frame >= FIRST else 1 for record in made.clips
        ]
    assert told[0] == told[1] == told[2]
    # 160x120 of 4:3 pixels are seen as 16:9: in 160x120 they are 90 lines high, with bars.
    areas = [area for _, area in told[0][2][2]]
    assert (areas[0], areas[-1]) == ((0, 0, 160, 120), (0, 14, 160, 90))


TURN = "h264_metadata=display_orientation=insert:rotate=90"


@pytest.mark.parametrize("name", ["in.mp4", "in.ts", "in.mkv"])
def test_an_orientation_told_within_the_stream(make: Make, tmp_path: Path, name: str) -> None:
    """All pictures are turned, those decoded before the message after a seek, too."""
    codec = [*X264, "-bsf:v", TURN]
    stored = encoded(tmp_path / "a.mp4", range(FIRST + SECOND), WIDE, codec, turned=3)
    path = tmp_path / name
    ffmpeg("-i", stored, "-c", "copy", path)
    ffmpeg("-i", path, *X264, tmp_path / "linear.mp4")
    assert [s.number for s in shown_in(tmp_path / "linear.mp4")] == list(range(FIRST + SECOND))
    told: list[Any] = []
    for split in range(len(SPLITS)):
        made = made_by(make, path, split)
        told.append(assert_right(made, (WIDE, WIDE), None))
        assert "say how its pictures are to be turned" in made.source.warnings[0]
    assert told[0] == told[1] == told[2]


def test_an_orientation_from_mid_stream_on(make: Make, tmp_path: Path) -> None:
    """What is shown upright in one size needs no bars, however it is stored."""
    first = encoded(tmp_path / "a.mp4", range(FIRST), WIDE, X264)
    after = range(FIRST, FIRST + SECOND)
    then = encoded(tmp_path / "b.mp4", after, WIDE, [*X264, "-bsf:v", TURN], turned=3)
    path = joined([first, then], tmp_path / "in.mkv")
    told = [assert_right(made_by(make, path, s), (WIDE, WIDE), None) for s in range(len(SPLITS))]
    assert told[0] == told[1] == told[2]
    assert {area for clip in told[0] for _, area in clip[2]} == {(0, 0, 160, 96)}


def test_a_change_in_a_video_that_its_container_turns(make: Make, tmp_path: Path) -> None:
    """A phone's rotation holds before and after the change."""
    a = encoded(tmp_path / "a.ts", range(FIRST), HIGH, X264, turned=1)
    b = encoded(tmp_path / "b.ts", range(FIRST, FIRST + SECOND), WIDE, X264, turned=1)
    flat = joined([a, b], tmp_path / "flat.mp4")
    # ffmpeg's -display_rotation counts anticlockwise.
    turn = ["-display_rotation", "-90"]
    ffmpeg(*turn, "-i", flat, "-c", "copy", tmp_path / "in.mp4")
    for split in range(len(SPLITS)):
        made = made_by(make, tmp_path / "in.mp4", split)
        assert_right(made, (HIGH, WIDE), "from 96x160 to 160x96")


def test_a_chunk_retried_alone(make: Make, tmp_path: Path) -> None:
    """What is missing is made as it was made at first."""
    path = CHANGES["H.264 in TS, turned upright"][0](tmp_path)
    before = assert_right(made_by(make, path, 0), (WIDE, HIGH), "from 160x96 to 96x160")
    files = sorted((tmp_path / "out" / "clips").iterdir())
    bytes_before = [file.read_bytes() for file in files]
    for file in files[::2]:
        file.unlink()
    after = assert_right(made_by(make, path, 0), (WIDE, HIGH), "from 160x96 to 96x160")
    assert after == before
    assert [file.read_bytes() for file in files] == bytes_before


def box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content) + 8) + name + content


def inside(data: bytes, *names: bytes) -> bytes:
    """The content of the box that these names lead to."""
    for name in names:
        at = data.index(name)
        data = data[at + 4 : at - 4 + int.from_bytes(data[at - 4 : at], "big")]
    return data


def with_box(data: bytes, names: Sequence[bytes], content: bytes) -> bytes:
    """A box's content with that of one inside it replaced, and all lengths put right."""
    if not names:
        return content
    at = data.index(names[0])
    end = at - 4 + int.from_bytes(data[at - 4 : at], "big")
    return (
        data[: at - 4]
        + box(names[0], with_box(data[at + 4 : end], names[1:], content))
        + data[end:]
    )


def with_two_sample_entries(folder: Path) -> Path:
    """An MP4 whose parameter sets stand in its sample descriptions alone, one for each half.

    ISO/IEC 14496-12, 8.5.2 and 8.7.4: a chunk of samples says which description is theirs.
    """
    strip = ["-bsf:v", "filter_units=remove_types=6-9"]
    halves = [
        encoded(folder / "a.mp4", range(FIRST), WIDE, [*X264, *strip]),
        encoded(folder / "b.mp4", range(FIRST, FIRST + SECOND), HIGH, [*X264, *strip]),
    ]
    data = joined(halves, folder / "joined.mp4").read_bytes()
    table = (b"moov", b"trak", b"mdia", b"minf", b"stbl")
    entries = [inside(half.read_bytes(), *table, b"stsd")[8:] for half in halves]
    sizes = struct.unpack(f">{FIRST + SECOND}I", inside(data, *table, b"stsz")[12:])
    (offset,) = struct.unpack(">I", inside(data, *table, b"stco")[8:])  # one chunk holds all
    offsets = struct.pack(">4I", 0, 2, offset, offset + sum(sizes[:FIRST]))
    runs = struct.pack(">8I", 0, 2, 1, FIRST, 1, 2, SECOND, 2)
    for name, content in {
        b"stsd": struct.pack(">2I", 0, 2) + b"".join(entries),
        b"stsc": runs,
        b"stco": offsets,
    }.items():
        data = with_box(data, (*table, name), content)
    (folder / "in.mp4").write_bytes(data)
    return folder / "in.mp4"


def test_an_mp4_with_two_sample_descriptions(make: Make, tmp_path: Path) -> None:
    """As editors write them that put two recordings into one track without encoding."""
    path = with_two_sample_entries(tmp_path)
    told: list[Any] = []
    for split in range(len(SPLITS)):
        made = made_by(make, path, split)
        assert len(made.source.video.shapes) == 2
        told.append(assert_right(made, (WIDE, HIGH), "from 160x96 to 96x160"))
    assert told[0] == told[1] == told[2]
