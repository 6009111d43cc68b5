"""Recordings joined in one file, each with its own clock: clips of each, and none across a seam.

Frames bear numbers that go on from one recording to the next; the sound of each is its own noise.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import pytest

from clipping.config.execution import Execution
from clipping.config.recipe import Recipe
from clipping.config.run_config import RunConfig
from clipping.dataset.manifest import Origin, clip_row
from clipping.models import ClipStatus, ProbedSource, SourceRecord, SourceStatus
from clipping.run.chunk import probe_file
from clipping.run.dry_run import describe
from clipping.storage import object_store
from clipping.storage.discover import find_sources
from tests.media.conftest import Made, Make
from tests.support.media import (
    RATE,
    add_sound,
    ffmpeg,
    heard,
    lag,
    noise,
    picture,
    read_numbers,
)

H264 = ["-c:v", "libx264", "-preset", "veryfast", "-g", "25", "-bf", "2", "-c:a", "aac"]
MPEG2 = ["-c:v", "mpeg2video", "-q:v", "4", "-g", "15", "-bf", "2", "-c:a", "mp2"]
HEVC = [
    *["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error:keyint=25"],
    *["-c:a", "ac3"],
]
WRAP = Fraction(2**33, 90_000)


def recording(
    path: Path, frames: int, first: int, clock: float, ending: str = "ts", *options: str
) -> Path:
    """Frames from number `first` on, at 25 a second, by a clock that begins at `clock` seconds."""
    plain, sounding = path / "plain.mp4", path / "sounding.mkv"
    with av.open(str(plain), "w") as output:
        stream = output.add_stream("libx264", rate=25, options={"crf": "10"})
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(picture(first + number), format="gray")
            frame = frame.reformat(format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    add_sound(plain, noise(frames / 25, seed=first + 1), sounding, "-c:a", "pcm_s16le")
    made = path / f"from-{first}.{ending}"
    ffmpeg("-i", sounding, *(options or H264), "-output_ts_offset", f"{clock}", made)
    return made


def joined(path: Path, parts: Sequence[Path]) -> Path:
    """One file behind the other."""
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def probed(video: Path) -> ProbedSource:
    """What opening it gives."""
    return probe_file(find_sources([str(video)], Execution().extensions).sources[0], Execution())


def assert_laid_end_to_end(made: Made, lengths: Sequence[int], length: Fraction) -> None:
    """Clips of `length`, one after the other, of recordings of so many frames each."""
    begins = [sum(lengths[:i]) for i in range(len(lengths) + 1)]
    assert [c.clip.number for c in made.clips] == list(range(len(made.clips)))
    assert made.source.video.frame_count == begins[-1]
    shown: list[int] = []
    for record in made.clips:
        clip = record.clip
        assert record.status is ClipStatus.WRITTEN, record.errors
        assert not record.errors
        assert clip.stretch is not None
        begin, end = begins[clip.stretch : clip.stretch + 2]
        assert begin <= clip.start_frame < clip.end_frame <= end
        # Spans begin anew with each recording, where the one before has ended.
        within = clip.span.start - Fraction(begin, 25)
        assert within % length == 0
        numbers = [n for _, n in read_numbers(Path(record.location or ""))]
        assert numbers == list(range(clip.start_frame, clip.end_frame))
        shown += numbers
        # By the recording's own clock.
        stretch = made.source.stretches[clip.stretch]
        assert clip.start_pts == stretch.first_pts + (clip.start_frame - begin) * 3600
    assert shown == list(range(begins[-1]))


def assert_sound(made: Made, lengths: Sequence[int], tolerance: int = 2) -> None:
    """Each clip has the noise of its own recording, in time with its frames."""
    for record in made.clips:
        clip = record.clip
        if clip.frame_count < 12:
            continue
        assert record.audio, record.errors
        assert clip.stretch is not None
        first = sum(lengths[: clip.stretch])
        start = (clip.start_frame - first) * RATE // 25
        wanted = noise(lengths[clip.stretch] / 25, seed=first + 1)[start:]
        wanted = wanted[: clip.frame_count * RATE // 25]
        assert abs(lag(wanted, heard(Path(record.location or "")))) <= tolerance


# Of each recording: how many frames, and where its clock begins, in seconds.
JOINS: dict[str, list[tuple[int, float]]] = {
    "back": [(100, 0), (75, 0)],
    "back by minutes": [(60, 400), (75, 5)],
    "back by less than a second": [(60, 5), (50, 6.6)],
    "forward by minutes": [(60, 0), (75, 100)],
    "forward by hours": [(60, 0), (75, 20_000)],
    "three": [(60, 100), (50, 50), (75, 0)],
    "over the end of the clock": [(75, float(WRAP) - 3.4), (60, 1000)],
    "the same clock": [(75, 3), (75, 3), (75, 3)],
}


@pytest.mark.parametrize("join", JOINS)
def test_clips_of_each_recording(make: Make, tmp_path: Path, join: str) -> None:
    """Laid end to end, with their sound, however the work is split; the source says so."""
    lengths = [frames for frames, _ in JOINS[join]]
    parts = [
        recording(tmp_path, frames, sum(lengths[:i]), clock)
        for i, (frames, clock) in enumerate(JOINS[join])
    ]
    video = joined(tmp_path / "joined.ts", parts)
    for at_most, length in ((32, Fraction(3, 2)), (1, Fraction(1))):
        made = make(
            video,
            execution=Execution(num_clips_per_chunk=at_most),
            clip_len_s=length,
            clip_stride_s=length,
        )
        assert_laid_end_to_end(made, lengths, length)
        assert_sound(made, lengths)
        (warning,) = made.source.warnings
        assert f"{len(lengths)} recordings laid end to end" in warning
        assert f"at {lengths[0] / 25:.3f} s" in warning
        assert [s.frame_count for s in made.source.stretches] == lengths
        shutil.rmtree(tmp_path / "out")


@pytest.mark.parametrize(
    ("ending", "options"),
    [("ts", HEVC), ("ts", MPEG2), ("m2ts", H264), ("mpg", MPEG2)],
    ids=["hevc", "mpeg2", "m2ts", "program stream"],
)
def test_other_codecs_and_containers(
    make: Make, tmp_path: Path, ending: str, options: list[str]
) -> None:
    """Whatever has no header and no index is joined that way."""
    parts = [recording(tmp_path, 75, n * 75, 0, ending, *options) for n in range(2)]
    video = joined(tmp_path / f"joined.{ending}", parts)
    made = make(video, clip_len_s=1, clip_stride_s=1)
    assert_laid_end_to_end(made, [75, 75], Fraction(1))
    # What becomes AAC goes through a resampler, in a container that rounds.
    assert_sound(made, [75, 75], tolerance=600 if "mp2" in options else 2)


def test_recordings_of_different_sizes(make: Make, tmp_path: Path) -> None:
    """A clip has the size of its own recording, and its row says so, in later runs too."""
    first, second = (recording(tmp_path, 75, n * 75, 0) for n in range(2))
    small = tmp_path / "small.ts"
    ffmpeg("-i", second, "-vf", "scale=96:64", *H264, small)
    made = make(joined(tmp_path / "joined.ts", [first, small]), clip_len_s=1, clip_stride_s=1)
    sizes = [(160, 96)] * 3 + [(96, 64)] * 3
    assert [(c.width, c.height) for c in made.clips] == sizes
    file = made.source.file
    record = SourceRecord(
        key=file.key, uri=file.uri, fingerprint="", recipe_digest="", source=made.source,
        status=SourceStatus.CLIPPED,
    )  # fmt: skip
    stored = SourceRecord.model_validate_json(record.model_dump_json())
    rows = [clip_row(c, Origin.recorded(file, stored), "") for c in made.clips]
    assert [(r["source_width"], r["source_height"]) for r in rows] == sizes


def test_a_recording_that_begins_without_its_tables(make: Make, tmp_path: Path) -> None:
    """And in mid-GOP: what it holds is read by the tables before it, from its first keyframe on."""
    first, second = (recording(tmp_path, 100, n * 100, 0) for n in range(2))
    content = second.read_bytes()
    packets = [content[at : at + 188] for at in range(0, len(content), 188)]
    is_table = [int.from_bytes(p[1:3], "big") & 0x1FFF in (0, 17, 4096) for p in packets]
    kept = [p for p, table in zip(packets, is_table, strict=True) if not table]
    begun = b"".join(kept[len(kept) // 5 :])
    second.write_bytes(b"".join(packets[:3]) + begun)
    alone = [n for _, n in read_numbers(second)]
    assert 100 < alone[0] <= 150
    second.write_bytes(begun)
    made = make(joined(tmp_path / "joined.ts", [first, second]), clip_len_s=1, clip_stride_s=1)
    shown = [n for c in made.clips for _, n in read_numbers(Path(c.location or ""))]
    assert shown == [*range(100), *alone]


def test_overlapping_clips_and_a_limit(make: Make, tmp_path: Path) -> None:
    """A limit counts the clips of all recordings."""
    parts = [recording(tmp_path, 75, n * 75, 0) for n in range(2)]
    video = joined(tmp_path / "joined.ts", parts)
    made = make(video, clip_len_s=2, clip_stride_s=1)
    spans = [(0, 50), (25, 75), (50, 75), (75, 125), (100, 150), (125, 150)]
    assert [(c.clip.start_frame, c.clip.end_frame) for c in made.clips] == spans
    shutil.rmtree(tmp_path / "out")
    made = make(video, clip_len_s=2, clip_stride_s=1, limit_clips=4)
    assert [(c.clip.start_frame, c.clip.end_frame) for c in made.clips] == spans[:4]


def test_a_recording_that_is_no_video_is_left_out(make: Make, tmp_path: Path) -> None:
    """With a warning; the others are clipped."""
    first, second = (recording(tmp_path, 75, n * 75, 0) for n in range(2))
    content = bytearray(second.read_bytes())
    for at in range(0, len(content), 188):  # of the pictures, no more than the times
        pid = int.from_bytes(content[at + 1 : at + 3], "big")
        if pid & 0x1FFF == 256 and not pid & 0x4000:
            content[at + 12 : at + 188] = bytes(176)
        elif pid & 0x1FFF == 256:
            content[at + 60 : at + 188] = bytes(128)
    second.write_bytes(content)
    made = make(joined(tmp_path / "joined.ts", [first, second]), clip_len_s=1, clip_stride_s=1)
    assert [c.frames for c in made.clips] == [25, 25, 25]
    (warning,) = made.source.warnings
    assert warning.startswith("recording 2 of 2 in it is left out: ")


def test_a_pause_is_no_seam(make: Make, tmp_path: Path) -> None:
    """Where one recording's frames stay away for a while, its clock tells how long."""
    whole = recording(tmp_path, 100, 0, 0)
    paused = tmp_path / "paused.ts"
    later = ":".join(f"{x}='if(gte(N,50),{x.upper()}+20/TB,{x.upper()})'" for x in ("pts", "dts"))
    ffmpeg("-i", whole, "-map", "0:v", "-c", "copy", "-bsf:v", f"setts={later}", paused)
    made = make(paused, clip_len_s=1, clip_stride_s=1)
    assert not made.source.stretches
    assert [c.clip.count for c in made.clips] == [1, 1, 20, 1, 1]


def test_damage_is_found_in_the_recording_that_has_it(make: Make, tmp_path: Path) -> None:
    """And nowhere else, though the other one has frames of the same timestamps."""
    first, second = (recording(tmp_path, 75, n * 75, 0) for n in range(2))
    content = bytearray(second.read_bytes())
    pictures = [
        at for at in range(0, len(content), 188)
        if int.from_bytes(content[at + 1 : at + 3], "big") == 256
    ]  # fmt: skip
    for at in pictures[len(pictures) // 2 :][:12]:
        content[at + 20 : at + 188] = random.Random(at).randbytes(168)
    second.write_bytes(content)
    video = joined(tmp_path / "joined.ts", [first, second])
    made = make(video, clip_len_s=1, clip_stride_s=1, max_damage=1.0)
    damaged = {c.clip.number for c in made.clips if c.damaged_frames}
    assert damaged
    assert damaged <= {3, 4, 5}


def test_a_remote_file_has_the_recordings_of_a_local_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read by ranges."""
    parts = [recording(tmp_path, 75, n * 75, 0) for n in range(2)]
    video = joined(tmp_path / "joined.ts", parts)
    content = video.read_bytes()

    def fetch(_address: str, start: int, end: int, _size: int) -> bytes:
        return content[start:end]

    monkeypatch.setattr(object_store, "fetch", fetch)
    file = find_sources([str(video)], Execution().extensions).sources[0]
    stored = file.model_copy(update={"uri": "s3://bucket/joined.ts"})
    assert len(probed(video).stretches) == 2
    assert probe_file(stored, Execution()).stretches == tuple(
        p.model_copy(update={"source": p.source.model_copy(update={"file": stored})})
        for p in probed(video).stretches
    )


def test_a_dry_run_and_the_records_tell_it(make: Make, tmp_path: Path) -> None:
    """What a dry run foresees is made; a clip's JSON names its recording."""
    videos = tmp_path / "videos"
    videos.mkdir()
    parts = [recording(tmp_path, 75, n * 75, 0) for n in range(2)]
    video = joined(videos / "joined.ts", parts)
    recipe = Recipe(clip_len_s=2, clip_stride_s=2, min_clip_length_s=0)
    config = RunConfig(recipe, Execution(), (str(videos),), str(tmp_path / "out"))
    lines = "\n".join(describe(config))
    assert "4 clips" in lines
    assert "2 recordings laid end to end" in lines
    made = make(video, clip_len_s=2, clip_stride_s=2)
    told = [
        json.loads((tmp_path / "out" / "metas" / "v0" / f"{c.clip.id}.json").read_text())
        for c in made.clips
    ]
    assert [t["stretch"] for t in told] == [0, 0, 1, 1]
    assert [t["duration_span"] for t in told] == [[0, 2], [2, 3], [3, 5], [5, 6]]
    assert told[2]["start_pts"] == told[0]["start_pts"]


def test_a_clock_that_wraps_is_no_seam(make: Make, tmp_path: Path) -> None:
    """After 26.5 hours it begins at 0 again, in the middle of a recording."""
    video = recording(tmp_path, 100, 0, float(WRAP) - 3.4)
    made = make(video, clip_len_s=1, clip_stride_s=1)
    assert not made.source.stretches
    assert [n for c in made.clips for _, n in read_numbers(Path(c.location or ""))] == list(
        range(100)
    )


def test_where_bytes_do_not_tell_it_is_refused(tmp_path: Path) -> None:
    """A container with a header cannot be cut in two."""
    parts = [recording(tmp_path, 75, n * 75, 0, "flv") for n in range(2)]
    parts[1].write_bytes(parts[1].read_bytes()[13:])  # without its header
    failure = probed(joined(tmp_path / "joined.flv", parts)).failure
    assert failure
    assert "timestamps jump back" in failure.message
