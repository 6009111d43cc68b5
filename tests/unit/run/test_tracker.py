"""What a run plans of a video whose clock jumps, and what is left in the output of it."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from clipping.config.execution import Execution
from clipping.config.recipe import Recipe
from clipping.config.run_config import RunConfig
from clipping.dataset.coverage import Coverage
from clipping.dataset.layout import MANIFEST, chunk_record_name, source_record_name
from clipping.dataset.mp4_files import Mp4Files
from clipping.dataset.resume import EarlierWork
from clipping.dataset.sink import Effort
from clipping.models import (
    Chunk,
    ChunkRecord,
    Clip,
    ClipRecord,
    ClipStatus,
    ProbedSource,
    SourceFile,
    SourceRecord,
    SourceStatus,
)
from clipping.plan.frame_times import FrameTimes, pack
from clipping.plan.spans import Span
from clipping.run.summary import closing_lines, verdict
from clipping.run.tally import Tally
from clipping.run.tracker import Tracker
from clipping.storage.discover import Found
from clipping.storage.outputs import Output, open_output
from tests.support.sources import source_of, times_of

JUMP = 1_000_000_000  # seconds


@pytest.fixture
def config(tmp_path: Path) -> RunConfig:
    """Adjacent clips of a second."""
    recipe = Recipe(clip_len_s=1, clip_stride_s=1, min_clip_length_s=0)
    return RunConfig(recipe, Execution(), output=str(tmp_path / "out"))


def probed(times: FrameTimes) -> ProbedSource:
    """What opening a video with these frames gives."""
    source = source_of(times)
    return ProbedSource(
        file=source.file, source=source, frame_pts=pack(times.pts), keyframes=pack(times.keyframes)
    )


def tracker_of(config: RunConfig, output: Output) -> Tracker:
    """A tracker of a new run."""
    earlier = EarlierWork.of(config, output)
    assert earlier.tables is not None
    coverage = ExitStack().enter_context(Coverage(earlier.tables, earlier.recipe_digest))
    return Tracker(config, earlier, Tally(), coverage)


def made(chunk: Chunk, tracker: Tracker, tmp_path: Path) -> ChunkRecord:
    """What a chunk's task leaves in the output, with four bytes for each clip."""
    sink = Mp4Files(chunk, tracker.earlier)
    records: list[ClipRecord] = []
    for clip in chunk.clips:
        if clip.frame_count:
            file = tmp_path / "clip.mp4"
            file.write_text("clip")
            records.append(sink.add(ClipRecord(clip=clip, status=ClipStatus.WRITTEN), file))
    return sink.commit(records, Effort(1.0, 1, 1.0))


def record_of(
    file: SourceFile, number: int, records: list[ClipRecord], output: Output, digest: str
) -> ChunkRecord:
    """A chunk's record, written."""
    record = ChunkRecord(
        source_key=file.key, chunk=number, recipe_digest=digest, fingerprint=file.fingerprint,
        clips=tuple(records),
    )  # fmt: skip
    output.write_text(chunk_record_name(file.key, number), record.model_dump_json())
    return record


def test_a_clock_that_jumps_is_counted_and_recorded_once(config: RunConfig, tmp_path: Path) -> None:
    """A billion absent clips are one record and one row; numbers add up; a resume is free."""
    output = open_output(config.output)
    times = times_of([40] * 49 + [JUMP * 1000] + [40] * 49)
    first = tracker_of(config, output)
    first.tally.sources = 1
    waiting = first.plan(probed(times))
    assert [len(w.chunk.clips) for w in waiting] == [3, 3]
    assert 0 < sum(w.work for w in waiting) < 110 * 64 * 48
    assert (first.tally.planned, first.tally.with_frames) == (JUMP + 4, 5)
    for w in waiting:
        first.take_chunk(w.chunk, made(w.chunk, first, tmp_path), None)
    first.manifest.publish()
    tally = first.tally
    assert (tally.written, tally.absent, tally.stretches) == (5, JUMP - 1, 1)
    assert not tally.problems()
    assert verdict(tally, config) is None
    assert f"{JUMP - 1} clips absent: 1 stretch without a frame" in closing_lines(tally, config)
    rows = pq.read_table(tmp_path / "out" / MANIFEST).to_pylist()
    assert [(r["number"], r["status"], r["start_s"], r["end_s"]) for r in rows][1:4] == [
        (1, "written", 1.0, 2.0),
        (2, "absent", 2.0, JUMP + 1.0),
        (JUMP + 1, "written", JUMP + 1.0, JUMP + 2.0),
    ]
    for folder, files in (("clips", 5), ("metas/v0", 5), ("processed_clip_chunks/a", 2)):
        assert len(list((tmp_path / "out" / folder).iterdir())) == files
    again = tracker_of(config, output)
    found = Found(sources=[source_of(times).file])
    assert again.sort_out(found) == []
    assert (again.tally.written, again.tally.absent) == (5, JUMP - 1)
    assert not again.tally.problems()
    assert len(again.tally.rows) == 6


def test_a_share_of_failures_is_one_of_what_could_be_made(config: RunConfig) -> None:
    """Absent clips do not raise what `allow_failures` allows."""
    tally = Tally(planned=JUMP, without_frames=JUMP - 5, failed=1, written=4, absent=JUMP - 5)
    execution = Execution(allow_failures="10%")
    assert verdict(tally, RunConfig(config.recipe, execution)) is not None


def test_an_output_with_a_record_for_each_absent_clip_resumes(
    config: RunConfig, tmp_path: Path
) -> None:
    """Earlier versions wrote every absent clip by itself, in chunks of as many clips."""
    output = open_output(config.output)
    times = times_of([40] * 24 + [20_000] + [40] * 24)
    new = tracker_of(config, output)
    (waiting,) = new.plan(probed(times))
    file, digest = waiting.chunk.source.file, new.earlier.recipe_digest
    before, row, *after = made(waiting.chunk, new, tmp_path).clips
    assert row.clip.count == 19
    old = [before, *single_records(row.clip), *after]
    for number in range(0, len(old), 8):
        record_of(file, number // 8, old[number : number + 8], output, digest)
    # Its run was killed: the source has no record. Nothing is left to be made.
    again = tracker_of(config, output)
    assert again.plan(probed(times)) == []
    assert (again.tally.written, again.tally.absent) == (3, 19)
    # Its run came to its end: nothing is even opened.
    for number in range(0, len(old), 8):
        record_of(file, number // 8, old[number : number + 8], output, digest)
    ended = SourceRecord(
        key=file.key, uri=file.uri, fingerprint=file.fingerprint, recipe_digest=digest,
        status=SourceStatus.CLIPPED, chunks=3, clips=len(old),
    )  # fmt: skip
    output.write_text(source_record_name(file.key), ended.model_dump_json())
    third = tracker_of(config, output)
    assert third.sort_out(Found(sources=[file])) == []
    assert (third.tally.written, third.tally.absent) == (3, 19)
    assert not third.tally.problems()
    # A chunk that some other run has cut otherwise proves nothing.
    record_of(file, 1, old[8:12], output, digest)
    assert tracker_of(config, output).sort_out(Found(sources=[file])) == [file]


def single_records(row: Clip) -> list[ClipRecord]:
    """A row of absent clips as earlier versions recorded it."""
    records: list[ClipRecord] = []
    for i in range(row.count):
        span = Span(start=row.span.start + i, end=row.span.start + i + 1)
        values = {"id": f"absent-{i}", "number": row.number + i, "count": 1, "span": span}
        records.append(ClipRecord.absent(row.model_copy(update=values)))
    return records


def test_a_chunk_whose_record_was_lost_gets_one(config: RunConfig, tmp_path: Path) -> None:
    """All its clips are there: it is not made again, and the next run need not open the video."""
    output = open_output(config.output)
    times = times_of([40] * 24 + [7200_000] * 3)
    first = tracker_of(config, output)
    waiting = first.plan(probed(times))
    assert len(waiting) == 4, "two hours without a frame end a chunk"
    for w in waiting:
        made(w.chunk, first, tmp_path)
    name = chunk_record_name("a/b.mp4", 2)
    was = output.read_text(name)
    output.remove(name)
    assert tracker_of(config, output).plan(probed(times)) == []
    assert ChunkRecord.model_validate_json(output.read_text(name) or "").clips == (
        ChunkRecord.model_validate_json(was or "").clips
    )
    again = source_of(times).file
    assert tracker_of(config, output).sort_out(Found(sources=[again])) == []
