"""What goes wrong stays small: a bad clip alone fails, damage is told, nothing is left behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import psutil
import pytest

from clipping.config.execution import Execution
from clipping.config.recipe import Recipe
from clipping.dataset.layout import meta_name
from clipping.dataset.manifest import Origin, clip_row
from clipping.errors import FailureKind, FfmpegError, VerificationError
from clipping.ffmpeg import process
from clipping.ffmpeg.commands import input_url
from clipping.ffmpeg.encoders import ENCODERS
from clipping.media.method import Job
from clipping.media.methods.encode_once import EncodeOnce
from clipping.media.transcode import transcode
from clipping.media.verify import verify_clip
from clipping.models import Chunk, ClipRecord, ClipStatus, SourceFile
from clipping.plan.time_line import TimeLine
from clipping.run.chunk import plan_chunks, probe_file
from clipping.storage.source import Reading
from tests.media.conftest import Make
from tests.support.media import FFMPEG, counter_video, ffmpeg, read_numbers, steady


@pytest.fixture
def chunk(tmp_path: Path) -> Chunk:
    """Eight overlapping clips of a 4.5 s video."""
    path = tmp_path / "in.mp4"
    counter_video(path, *steady(112, 25))
    file = SourceFile(key="in.mp4", uri=str(path), size=1, fingerprint="x")
    recipe = Recipe(clip_len_s=1, clip_stride_s=0.5, min_clip_length_s=1)
    return plan_chunks(probe_file(file, Execution()), recipe, 32)[0]


def outcome(
    chunk: Chunk,
    tmp_path: Path,
    run: process.Runner,
    execution: Execution = Execution(),  # noqa: B008
    **options: Any,
) -> dict[int, str]:
    """How each clip of a chunk ends when ffmpeg is run by `run`."""
    scratch = tmp_path / "scratch"
    scratch.mkdir(exist_ok=True)
    recipe = Recipe(clip_len_s=1, clip_stride_s=0.5, preset="ultrafast")
    file = chunk.source.file
    reading = Reading(file, input_url(file.uri), run)
    job = Job(
        recipe=recipe,
        execution=execution,
        reading=reading,
        binary=FFMPEG,
        scratch=scratch,
        encoder=ENCODERS["libx264"],
        **options,
    )  # type: ignore[arg-type]
    published: list[int] = []

    def publish(draft: ClipRecord, path: Path, _preview: Path | None) -> ClipRecord:
        assert read_numbers(path)[0][1] == draft.clip.start_frame
        published.append(draft.clip.number)
        return draft

    records = {
        r.clip.number: r
        for r in transcode(chunk, chunk.clips, EncodeOnce(chunk, job), job, publish)
    }
    assert len(records) == len(chunk.clips)
    assert sorted(published) == sorted(
        n for n, r in records.items() if r.status is ClipStatus.WRITTEN
    )
    return {n: r.status.value for n, r in records.items()}


def failing_at(pts: int, kind: FailureKind, seen: list[int] | None = None) -> process.Runner:
    """An ffmpeg that fails whenever it is to encode the frame with that PTS."""

    def run(command: list[str], **options: object) -> process.Finished:
        if seen is not None:
            seen.append(1)
        found = re.search(r"trim=start_pts=(\d+):end_pts=(\d+)", " ".join(command))
        if found and "-c:v" in command and int(found[1]) <= pts < int(found[2]):
            raise FfmpegError("it hurts here", kind)
        return process.run(command, **options)  # type: ignore[arg-type]

    return run


@pytest.mark.parametrize("kind", [FailureKind.BAD_INPUT, FailureKind.CRASHED])
@pytest.mark.parametrize("cpus", [1, 2])
def test_a_failed_run_is_narrowed_down_to_the_bad_clips(
    chunk: Chunk, tmp_path: Path, cpus: int, kind: FailureKind
) -> None:
    """Only the clips that hold the frame at fault fail; all their neighbours are written."""
    bad = chunk.clips[3].start_pts + 1
    statuses = outcome(chunk, tmp_path, failing_at(bad, kind), cpus=cpus)
    holding = {c.number for c in chunk.clips if c.start_pts <= bad < c.end_pts}
    assert {n for n, status in statuses.items() if status == "failed"} == holding
    assert len(holding) == 2


@pytest.mark.parametrize("kind", [FailureKind.DISK_FULL, FailureKind.NO_ENCODER])
def test_what_is_no_clips_fault_is_not_narrowed_down(
    chunk: Chunk, tmp_path: Path, kind: FailureKind
) -> None:
    """A full disk or a missing encoder fails every clip alike: it is raised at once."""
    seen: list[int] = []
    with pytest.raises(FfmpegError) as caught:
        outcome(chunk, tmp_path, failing_at(chunk.clips[0].start_pts, kind, seen))
    assert caught.value.kind is kind
    assert len(seen) == 1


def test_a_seek_that_comes_too_late_is_noticed_and_mended(chunk: Chunk, tmp_path: Path) -> None:
    """Frames lost to a bad seek are not taken for damage: the run starts over from frame 0."""
    late = chunk.model_copy(update={"clips": chunk.clips[4:]})

    def run(command: list[str], **options: object) -> process.Finished:
        if "-ss" in command and "-c:v" in command:
            command[command.index("-ss") + 1] = "4.0"
        return process.run(command, **options)  # type: ignore[arg-type]

    key = late.clips[0].start_pts
    from clipping.plan.frame_times import pack

    late = late.model_copy(update={"keyframes": pack([key])})
    assert set(outcome(late, tmp_path, run).values()) == {"written"}


def test_what_the_gpu_does_not_decode_is_decoded_by_the_cpu(
    chunk: Chunk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The chunk is made all the same, and says so once."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    notes: list[str] = []
    done = outcome(
        chunk,
        tmp_path,
        process.run,
        use_hwaccel=True,
        note=notes.append,
        execution=Execution(encode_batch_size=3),
    )
    assert set(done.values()) == {"written"}
    assert len(notes) == 1
    assert notes[0].startswith("in.mp4#0: decoded by the CPU: ")


def test_a_gpu_chunk_takes_one_encoder_session(chunk: Chunk, tmp_path: Path) -> None:
    """However many CPUs it has, its runs follow each other."""
    running, most = 0, 0

    def run(command: list[str], **options: object) -> process.Finished:
        nonlocal running, most
        running, most = running + 1, max(most, running + 1)
        try:
            return process.run(command, **options)  # type: ignore[arg-type]
        finally:
            running -= 1

    row = replace(ENCODERS["libx264"], on_gpu=True)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    file = chunk.source.file
    job = Job(
        recipe=Recipe(clip_len_s=1, clip_stride_s=0.5), binary=FFMPEG, scratch=scratch,
        reading=Reading(file, input_url(file.uri), run), encoder=row, cpus=4,
        execution=Execution(encode_batch_size=2),
    )  # fmt: skip
    records = list(
        transcode(chunk, chunk.clips, EncodeOnce(chunk, job), job, lambda draft, *_: draft)
    )
    assert {r.status for r in records} == {ClipStatus.WRITTEN}
    assert most == 1


def test_lost_frames_are_told_and_bounded(make: Make, tmp_path: Path) -> None:
    """Damage within the limit is written and reported; beyond it the clip fails, alone."""
    counter_video(tmp_path / "in.mp4", *steady(200, 25), options={"g": "10", "bf": "0"})
    data = bytearray((tmp_path / "in.mp4").read_bytes())
    start = data.index(b"mdat") + 4
    middle = start + (len(data) - start) // 2
    data[middle : middle + 3000] = bytes(3000)
    (tmp_path / "hole.mp4").write_bytes(data)
    loose = make(tmp_path / "hole.mp4", clip_len_s=2, clip_stride_s=2, max_damage=1.0)
    hurt = [c for c in loose.clips if c.errors]
    assert 1 <= len(hurt) < len(loose.clips)
    assert all("lost or damaged" in c.errors[0] for c in hurt)
    strict = make(tmp_path / "hole.mp4", clip_len_s=2, clip_stride_s=2, max_damage=0.0)
    failed = [c for c in strict.clips if c.status is ClipStatus.FAILED]
    assert [c.clip.number for c in failed] == [c.clip.number for c in hurt]
    assert all(c.failure and c.failure.kind is FailureKind.DAMAGED for c in failed)
    for record in strict.clips:
        if record.status is ClipStatus.WRITTEN:
            shown = [n for _, n in read_numbers(Path(record.location or ""))]
            assert shown == list(range(record.clip.start_frame, record.clip.end_frame))


def test_a_clip_whose_first_frames_are_lost_begins_with_the_first_that_is_not(
    make: Make, tmp_path: Path
) -> None:
    """Its record, its JSON and the file agree on where it begins, and how long it lasts."""
    counter_video(tmp_path / "in.mp4", *steady(75, 25), options={"g": "1"})
    data = bytearray((tmp_path / "in.mp4").read_bytes())
    with av.open(str(tmp_path / "in.mp4")) as container:
        packets = [p for p in container.demux(video=0) if p.size]
    for packet in packets[25:30]:
        assert packet.pos is not None
        data[packet.pos : packet.pos + packet.size] = bytes(packet.size)
    (tmp_path / "hole.mp4").write_bytes(data)
    made = make(tmp_path / "hole.mp4", clip_len_s=1, clip_stride_s=1, max_damage=1)
    record = made.clips[1]
    assert [n for _, n in read_numbers(Path(record.location or ""))] == list(range(30, 50))
    time_base = made.source.video.time_base
    assert record.start_pts * time_base == Fraction(30, 25)
    assert record.clip.start_pts * time_base == 1
    meta = json.loads((tmp_path / "out" / meta_name(record.clip.id)).read_text())
    assert (meta["start_pts"], meta["num_frames"]) == (record.start_pts, 20)
    assert meta["framerate"] == 25
    row = clip_row(record, Origin.of(made.source.file, made.source.video), "")
    assert row["start_pts"] == record.start_pts
    assert ClipRecord.model_validate_json(record.model_dump_json()) == record
    assert all(c.start_pts == c.clip.start_pts for c in made.clips if c is not record)


def test_a_wrong_clip_does_not_pass_verification(make: Make, tmp_path: Path) -> None:
    """Each property that is verified is one that can fail."""
    counter_video(tmp_path / "in.mp4", *steady(75, 25))
    made = make(tmp_path / "in.mp4", clip_len_s=1, clip_stride_s=1)
    record = made.clips[1]
    path, video = Path(record.location or ""), made.source.video
    pts = [round((25 + i) / 25 / video.time_base) for i in range(25)]
    size, row = (record.width, record.height), ENCODERS["libx264"]

    def line(frames: list[int]) -> TimeLine:
        return TimeLine.of(record.clip, frames, video)

    verify_clip(path, line(pts), size, row)
    with pytest.raises(VerificationError, match="frames instead of"):
        verify_clip(path, line(pts[:-1]), size, row)
    with pytest.raises(VerificationError, match="is shown at tick"):
        verify_clip(path, line([*pts[:3], pts[3] + 1, *pts[4:]]), size, row)
    with pytest.raises(VerificationError, match="the picture is"):
        verify_clip(path, line(pts), (64, 64), row)
    longer = replace(line(pts), end_pts=record.clip.end_pts + 1)
    with pytest.raises(VerificationError, match="it lasts"):
        verify_clip(path, longer, size, row)
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(VerificationError):
        verify_clip(cut, line(pts), size, row)
    late = tmp_path / "late.mp4"
    ffmpeg("-i", path, "-c", "copy", "-bsf:v", "noise=drop=key", late)
    with pytest.raises(VerificationError):
        verify_clip(late, line(pts), size, row)
    other = replace(row, mp4_tag="hvc1")
    with pytest.raises(VerificationError, match="sample entry"):
        verify_clip(path, line(pts), size, other)


def test_decoding_is_verified_on_request(make: Make, tmp_path: Path) -> None:
    """`verify=decode` decodes every clip; good ones pass."""
    counter_video(tmp_path / "in.mp4", *steady(50, 25))
    made = make(tmp_path / "in.mp4", execution=Execution(verify="decode"), clip_len_s=1)
    assert {c.status for c in made.clips} == {ClipStatus.WRITTEN}


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_orphan_is_left(how: signal.Signals) -> None:
    """Whatever ends the parent, ends ffmpeg."""
    code = (
        "from clipping.ffmpeg.process import run\n"
        f"run([{FFMPEG!r}, '-loglevel', 'error', '-re', '-f', 'lavfi', '-i', 'testsrc',"
        " '-f', 'null', '-'], what='x')"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 20
    children: list[psutil.Process] = []
    while not children and time.monotonic() < deadline:
        children = psutil.Process(parent.pid).children()
        time.sleep(0.05)
    assert children
    os.kill(parent.pid, how)
    parent.wait(timeout=20)
    gone, alive = psutil.wait_procs(children, timeout=10)
    assert gone
    assert not alive
