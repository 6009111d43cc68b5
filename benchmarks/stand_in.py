"""The flow with tasks that answer at once."""

import time
from collections.abc import Generator
from contextlib import contextmanager
from fractions import Fraction
from typing import Any

import psutil
from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from clipping.config.execution import Execution
from clipping.config.load import resolve
from clipping.config.recipe import Recipe
from clipping.config.run_config import RunConfig
from clipping.models import (
    Chunk,
    ChunkRecord,
    ClipRecord,
    ClipStatus,
    ProbedSource,
    Source,
    SourceFile,
    VideoFacts,
)
from clipping.orchestration.attempts import Attempted
from clipping.orchestration.logging import flow_run_view
from clipping.orchestration.run import ClipRun
from clipping.orchestration.scheduler import Scheduler
from clipping.orchestration.task_window import ConnectedRayTaskRunner
from clipping.plan.frame_times import FrameTimes, pack
from clipping.run.progress import current_view
from clipping.run.tally import Tally

__all__ = ["idle_flow"]

_RATE, _SECONDS = 25, 10
_SAMPLE_EVERY = 2.0


@task(name="probe stand-in", cache_policy=NO_CACHE)
def probe(files: list[SourceFile], execution: Execution, **_rest: Any) -> Attempted:
    """As many ten-second clips as `stall_timeout_s` says, which has no other use here."""
    return Attempted([_probed(file, int(execution.stall_timeout_s)) for file in files], 1)


def _probed(file: SourceFile, chunks: int) -> ProbedSource:
    frames = chunks * _SECONDS * _RATE
    times = FrameTimes.of(range(frames), range(0, frames, 50), 1, Fraction(1, _RATE))
    video = VideoFacts(
        container="mov,mp4", stream=0, codec="h264", profile=None, coded_width=640,
        coded_height=360, width=640, height=360, rotation=0, pixel_format="yuv420p", bit_depth=8,
        color_range=None, color_space=None, color_primaries=None, color_transfer=None,
        field_order="progressive", sample_aspect_ratio=None, time_base=Fraction(1, _RATE),
        average_rate=Fraction(_RATE), nominal_rate=Fraction(_RATE), bit_rate=1_000_000,
        bit_rate_estimated=False, first_pts=0, end_pts=frames, frame_count=frames,
        nominal_duration=1, index="packets", seekable=True, seeks_exactly=True,
    )  # fmt: skip
    return ProbedSource(
        file=file,
        source=Source(file=file, video=video, audio=()),
        frame_pts=pack(times.pts),
        keyframes=pack(times.keyframes),
    )


@task(name="chunk stand-in", cache_policy=NO_CACHE)
def transcode(chunks: list[Chunk], config: RunConfig, **_rest: Any) -> Attempted:
    """Records as of chunks that were made, without making them."""
    digest = config.recipe.digest()
    made = [
        ChunkRecord(
            source_key=chunk.source.file.key,
            chunk=chunk.number,
            recipe_digest=digest,
            fingerprint=chunk.source.file.fingerprint,
            clips=tuple(
                ClipRecord(clip=c, status=ClipStatus.WRITTEN, bytes=1) for c in chunk.clips
            ),
        )
        for chunk in chunks
    ]
    return Attempted(made, 1)


@contextmanager
def _memory_noted() -> Generator[list[int]]:
    """The driver's resident size in MB, every two seconds while chunks are scheduled."""
    me, noted, last, show = psutil.Process(), list[int](), 0.0, Scheduler._show

    def noting(scheduler: Scheduler) -> None:
        nonlocal last
        show(scheduler)
        if time.monotonic() - last > _SAMPLE_EVERY:
            last = time.monotonic()
            noted.append(me.memory_info().rss // 1_000_000)

    Scheduler._show = noting  # type: ignore[method-assign]
    yield noted
    noted.append(me.memory_info().rss // 1_000_000)


@flow(name="orchestration benchmark", task_runner=ConnectedRayTaskRunner())
def idle_flow(
    videos: str, output: str, recipe: Recipe, execution: Execution, chunks_per_video: int
) -> tuple[list[int], Tally]:
    """A run whose tasks do nothing."""
    config = resolve(
        recipe, execution, input=[videos], output=output, stall_timeout_s=chunks_per_video
    )
    run = ClipRun(config, probe, transcode, current_view() or flow_run_view())
    with _memory_noted() as noted:
        run.run()
    return noted, run.tally
