"""Damage is told of the frames that have it, and of no other; the same however often it is asked.

Bits are flipped in single packets, and the frames that then look different are those of an
original whose packets are whole.
"""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from clipping.config.execution import Execution
from clipping.config.recipe import Recipe
from clipping.errors import FailureKind, StorageError
from clipping.ffmpeg.encoders import ENCODERS
from clipping.media.method import Job
from clipping.media.packet_check import check_frames
from clipping.models import ClipRecord, ClipStatus, SourceFile
from clipping.plan.segments import segments
from clipping.run.chunk import plan_chunks, probe_file
from clipping.storage import object_store
from clipping.storage.discover import find_sources
from clipping.storage.source import opened
from tests.media.conftest import Made, Make
from tests.support.damage import CODECS, GOP, GOPS, flip_bits, gop_video, packets, visible_damage

KEYFRAME, NEXT, MIDDLE = 0, 1, 6

# In which GOP and packet bits are flipped. The last number chooses them: decoders find nothing
# wrong with many (docs/quality.md), these they notice.
NOTICED = {
    "h264": [(1, KEYFRAME, 0), (3, NEXT, 0), (5, MIDDLE, 0)],
    "h264-open-gop": [(1, KEYFRAME, 0), (3, NEXT, 3), (5, MIDDLE, 0)],
    "h264-intra-refresh": [(1, KEYFRAME, 0), (5, MIDDLE, 0)],
    "h264-ts": [(1, KEYFRAME, 2), (3, NEXT, 2), (5, MIDDLE, 2)],
    "hevc": [(1, KEYFRAME, 2), (3, NEXT, 11), (5, MIDDLE, 1)],
    "mpeg2": [(1, KEYFRAME, 0), (3, NEXT, 0), (5, MIDDLE, 0)],
    "av1": [(1, KEYFRAME, 3), (3, NEXT, 3), (5, MIDDLE, 3)],
}


def damage_told(made: Made) -> dict[int, int]:
    """Clip number to damaged frames, of the clips that have any."""
    return {c.clip.number: c.damaged_frames for c in made.clips if c.damaged_frames}


def holding(clips: list[ClipRecord], frames: list[int]) -> dict[int, int]:
    """Clip number to how many of `frames` (PTS) it holds, of the clips that hold any."""
    counts = {
        c.clip.number: sum(c.clip.start_pts <= p < c.clip.end_pts for p in frames) for c in clips
    }
    return {number: n for number, n in counts.items() if n}


def test_every_kind_of_video_is_tried() -> None:
    """All but VP9, whose decoder complains of nothing."""
    assert set(NOTICED) == set(CODECS) - {"vp9"}


@pytest.mark.parametrize("codec", NOTICED)
def test_the_clips_told_damaged_are_those_that_look_it(
    make: Make, tmp_path: Path, codec: str
) -> None:
    """In two runs that split the work differently, and at least as many frames as look wrong."""
    original = gop_video(tmp_path, codec)
    damaged = flip_bits(original, NOTICED[codec])
    seen = visible_damage(original, damaged)
    recipe = {"clip_len_s": 1, "clip_stride_s": 1, "max_damage": 1.0}
    first = make(damaged, **recipe)
    shutil.rmtree(tmp_path / "out")
    again = make(damaged, cpus=2, execution=Execution(num_clips_per_chunk=3), **recipe)
    assert damage_told(first) == damage_told(again)
    looks = holding(first.clips, seen)
    assert looks
    assert set(damage_told(first)) == set(looks)
    for record in first.clips:
        told = record.damaged_frames
        frames = record.clip.frame_count
        assert record.errors == (
            (f"{told} of {frames} frames are lost or damaged in the source",) if told else ()
        )
    if codec.startswith("h264") and codec != "h264-ts":  # no picture that none is built on
        assert all(damage_told(first)[n] >= looks[n] for n in looks)


def test_a_clip_that_begins_in_the_middle_of_a_damaged_gop(make: Make, tmp_path: Path) -> None:
    """It counts what it holds of the damage, and `max_damage` goes by that; a gap blames nobody."""
    damaged = flip_bits(gop_video(tmp_path, "h264"), [(3, NEXT, 0)])  # 3 s + 1/12 s to 4 s
    recipe = {"clip_len_s": 0.5, "clip_stride_s": 1.25, "max_damage": 0.5}
    made = make(damaged, **recipe)
    # 2.5 to 3 s, 3.75 to 4.25 s, 5 to 5.5 s: of the second, a quarter of a second is damaged.
    assert damage_told(made) == {3: 3}
    assert {c.status for c in made.clips} == {ClipStatus.WRITTEN}
    shutil.rmtree(tmp_path / "out")
    strict = make(damaged, **{**recipe, "max_damage": 0.4})
    failed = [c for c in strict.clips if c.status is ClipStatus.FAILED]
    assert [c.clip.number for c in failed] == [3]
    assert failed[0].failure
    assert failed[0].failure.kind is FailureKind.DAMAGED
    assert failed[0].damaged_frames == 3
    shutil.rmtree(tmp_path / "out")
    # 0 to 3 s and 4.5 to 7.5 s: the damage lies between.
    assert damage_told(make(damaged, clip_len_s=3, clip_stride_s=4.5)) == {}


def test_a_lost_keyframe_damages_all_that_is_built_on_it(make: Make, tmp_path: Path) -> None:
    """Its frame is lost; the others decode without a complaint, and are not what they should be."""
    original = gop_video(tmp_path, "hevc")
    data = bytearray(original.read_bytes())
    lost = [p for p in packets(original) if p.is_keyframe][2]
    data[lost.pos : lost.pos + lost.size] = bytes(lost.size)
    damaged = tmp_path / "lost.mp4"
    damaged.write_bytes(data)
    made = make(damaged, clip_len_s=1, clip_stride_s=1, max_damage=1.0)
    assert damage_told(made) == {2: GOP} == holding(made.clips, visible_damage(original, damaged))


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_a_video_of_garbage_has_one_verdict(make: Make, tmp_path: Path, codec: str) -> None:
    """As one that is encrypted and not marked so: its decoder makes up what it likes each time.

    Whatever comes out of it, every clip behind the first frame fails, the same in each run. (Of
    HEVC, the decoder finds nothing wrong with some of it.)
    """
    original = gop_video(tmp_path, codec)
    data, noise = bytearray(original.read_bytes()), random.Random(codec)
    for packet in packets(original)[1:]:  # the first one's headers, without which nothing opens
        data[packet.pos + 8 : packet.pos + packet.size] = noise.randbytes(packet.size - 8)
    garbage = tmp_path / "garbage.mp4"
    garbage.write_bytes(data)
    verdicts: list[dict[int, tuple[ClipStatus, int | None]]] = []
    for cpus, chunk in ((1, 32), (2, 3), (3, 2)):
        execution = Execution(num_clips_per_chunk=chunk)
        made = make(garbage, cpus=cpus, execution=execution, clip_len_s=1, clip_stride_s=1)
        verdicts.append({c.clip.number: (c.status, c.damaged_frames) for c in made.clips})
        shutil.rmtree(tmp_path / "out")
    assert verdicts[0] == verdicts[1] == verdicts[2]
    assert len(verdicts[0]) == GOPS
    assert {status for status, _ in list(verdicts[0].values())[1:]} == {ClipStatus.FAILED}
    assert {n for _, n in list(verdicts[0].values())[1:]} <= {GOP, GOP - (codec == "hevc")}


def test_intra_refresh_is_no_damage(make: Make, tmp_path: Path) -> None:
    """Where frames only get whole after a keyframe, decoding begins before it: all are whole."""
    intact = gop_video(tmp_path, "h264-intra-refresh")
    made = make(
        intact, execution=Execution(num_clips_per_chunk=3), clip_len_s=1, clip_stride_s=1, quality=1
    )
    assert len(made.clips) == GOPS
    assert not damage_told(made)


def test_a_remote_source_has_the_damage_of_a_local_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read by ranges; a store that breaks off is a failure of the store, and no damage."""
    damaged = flip_bits(gop_video(tmp_path, "h264"), [(3, NEXT, 0)])
    execution, recipe = Execution(), Recipe(clip_len_s=1, clip_stride_s=1)
    file = find_sources([str(damaged)], execution.extensions).sources[0]
    chunk = plan_chunks(probe_file(file, execution), recipe, 4)[0]
    (segment,) = segments(chunk, chunk.clips[2:])
    content = damaged.read_bytes()
    there = len(content)

    def fetch(_address: str, start: int, end: int, _size: int) -> bytes:
        if end > there:
            raise StorageError("the store broke off")
        return content[start:end]

    def check(file: SourceFile) -> frozenset[int]:
        with opened(file) as reading:
            job = Job(recipe, execution, reading, "ffmpeg", tmp_path, ENCODERS["libx264"])
            return check_frames(job, chunk, segment, ()).damaged

    monkeypatch.setattr(object_store, "fetch", fetch)
    stored = file.model_copy(update={"uri": "s3://bucket/video.mp4"})
    assert check(stored) == check(file)
    assert len(check(file)) == GOP - 1
    there = len(content) // 2
    with pytest.raises(StorageError, match="broke off"):
        check(stored)
