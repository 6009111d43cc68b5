"""Runs without ffmpeg: the product's own listing, planning, records and tables; tiny clips.

A video is a file whose length in bytes is its length in seconds; one called `bad…` fails. Of each
video's clips the second is damaged, and the third has a note about its sound.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from clipping.config.execution import Execution
from clipping.config.recipe import Recipe
from clipping.config.run_config import RunConfig
from clipping.dataset.coverage import Coverage, Holding
from clipping.dataset.mp4_files import Mp4Files
from clipping.dataset.resume import EarlierWork
from clipping.dataset.sink import Effort
from clipping.errors import FailureKind
from clipping.models import (
    AudioTrack,
    Chunk,
    ChunkRecord,
    ClipRecord,
    ClipStatus,
    Failure,
    ProbedSource,
    SourceFile,
)
from clipping.plan.frame_times import pack
from clipping.run.preparation import from_anywhere, prepared
from clipping.run.report import report_run
from clipping.run.summary import verdict
from clipping.run.tally import Tally
from clipping.run.tracker import Tracker
from clipping.storage.outputs import Output
from tests.support.sources import source_of, times_of

__all__ = ["Killed", "made_up_config", "made_up_run", "probed", "rows_of", "videos"]

_TEN_A_SECOND = 100  # ms
_SOUND = {"codec": "aac", "sample_rate": 48_000, "channels": 2, "copied": True}


class Killed(BaseException):
    """Where a test has a run end without its last words."""


def videos(folder: Path, **seconds: int) -> Path:
    """Write videos `name=seconds`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, length in seconds.items():
        (folder / f"{name}.mp4").write_bytes(b"v" * length)
    return folder


def made_up_config(
    inputs: Sequence[Path | str],
    output: Path | str,
    execution: dict[str, Any] | None = None,
    **recipe: Any,
) -> RunConfig:
    """Clips of 1 s each unless the recipe says else, four in a chunk."""
    return RunConfig(
        Recipe(**{"clip_len_s": 1, "clip_stride_s": 1, "min_clip_length_s": 1, **recipe}),
        Execution(**{"num_clips_per_chunk": 4, **(execution or {})}),
        tuple(map(str, inputs)),
        str(output),
    )


def made_up_run(
    inputs: Sequence[Path | str],
    output: Path | str,
    scratch: Path,
    *,
    before_chunk: Callable[[Chunk], None] = lambda _chunk: None,
    before_publish: Callable[[], None] = lambda: None,
    execution: dict[str, Any] | None = None,
    fails: bool = False,
    failing: Collection[int] = (),
    **recipe: Any,
) -> tuple[Tally, Holding]:
    """One run over `inputs`, as the flow does it. failing: numbers of clips that fail."""
    config = from_anywhere(made_up_config(inputs, output, execution, **recipe))
    tally = Tally()
    with prepared(config) as work:
        assert work.earlier.tables is not None
        with Coverage(work.earlier.tables, work.earlier.recipe_digest) as manifest:
            tracker = Tracker(config, work.earlier, tally, manifest)
            for file in tracker.sort_out(work.found):
                if fails or file.key.startswith("bad"):
                    failure = Failure(kind=FailureKind.BAD_INPUT, message=f"{file.key}: no video")
                    tracker.fail_source(file, failure, is_verdict=True)
                    continue
                for waiting in tracker.plan(probed(file)):
                    before_chunk(waiting.chunk)
                    record = _made(waiting.chunk, config, work.earlier.output, scratch, failing)
                    tracker.take_chunk(waiting.chunk, record, None)
            before_publish()
            tally.holding = manifest.publish(
                [file.uri for file in work.found.sources],
                config.input,
                prune=config.execution.prune and verdict(tally, config) is None,
            )
            report_run(manifest, tally, config)
    return tally, tally.holding


def probed(file: SourceFile) -> ProbedSource:
    """A video's frame times, ten a second, and facts."""
    times = times_of([_TEN_A_SECOND] * (10 * file.size - 1))
    sound = AudioTrack(stream=1, codec="aac", sample_rate=48_000, channels=2)
    source = source_of(times).model_copy(update={"file": file, "audio": (sound,)})
    return ProbedSource(
        file=file, source=source, frame_pts=pack(times.pts), keyframes=pack(times.keyframes)
    )


def _made(
    chunk: Chunk, config: RunConfig, output: Output, scratch: Path, failing: Collection[int]
) -> ChunkRecord:
    sink = Mp4Files(chunk, EarlierWork.of_chunk(config, output, chunk))
    wanted = [clip for clip in chunk.clips if clip.id not in sink.existing()]
    sink.begin()
    made: list[ClipRecord] = []
    for clip in wanted:
        if clip.number in failing:
            failure = Failure(kind=FailureKind.BAD_INPUT, message="cannot be decoded")
            draft = ClipRecord(
                clip=clip,
                status=ClipStatus.FAILED,
                failure=failure,
                encoder=config.recipe.encoder,
            )
            made.append(sink.add(draft, None))
            continue
        file = scratch / "made-up.mp4"
        # Another recipe gives another size; a clip of another place too.
        file.write_bytes(f"{config.recipe.digest()} {clip.number}".encode()[clip.number % 7 :])
        draft = ClipRecord(
            clip=clip, status=ClipStatus.WRITTEN, frames=clip.frame_count, width=64, height=48,
            video_codec="h264", encoder=config.recipe.encoder,
            damaged_frames=int(clip.number == 1),
            audio=None if clip.number == 2 else _SOUND,
            errors={1: ("1 of 10 frames is damaged",), 2: ("without sound",)}.get(clip.number, ()),
        )  # fmt: skip
        made.append(sink.add(draft, file))
    return sink.commit(made, Effort(0.1, sum(r.frames for r in made), float(len(made))))


def rows_of(output: Path, name: str = "manifest.parquet") -> list[dict[str, Any]]:
    """The rows of a table, by video and number."""
    rows = pq.read_table(output / name).to_pylist()
    return sorted(rows, key=lambda r: (r["source"], r.get("number", 0), r["recipe_digest"]))
