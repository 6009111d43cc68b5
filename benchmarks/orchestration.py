"""What Prefect and Ray cost a chunk, and what the driver needs, with work that does nothing.

    uv run python -m benchmarks.orchestration --chunks 2000
    PREFECT_API_DATABASE_CONNECTION_URL=postgresql+asyncpg://… uv run python -m …

Everything is the product's own (sources found, windows, records, manifest, artifacts) but for
the probe and the transcoding, which answer at once. Prints one line of figures.
"""

import argparse
import os
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console

from clipping.orchestration.local_server import api
from clipping.run.progress import shown_on

CLIP_SECONDS = 10
RATE = 25


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chunks", type=int, default=1000)
    parser.add_argument("--chunks-per-video", type=int, default=100)
    arguments = parser.parse_args()
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    os.environ.setdefault("PREFECT_SERVER_LOGGING_LEVEL", "CRITICAL")
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        videos = Path(folder) / "videos"
        videos.mkdir()
        count = max(1, arguments.chunks // arguments.chunks_per_video)
        for i in range(count):
            (videos / f"{i:05d}.mp4").write_bytes(b"x")
        stack.enter_context(shown_on(Console(stderr=True)))
        stack.enter_context(api(meanwhile=_start_ray))
        print(_measure(videos, Path(folder) / "out", arguments.chunks_per_video), flush=True)


def _start_ray() -> None:
    from clipping.cluster import ray_session

    ray_session.start("")


def _measure(videos: Path, output: Path, chunks_per_video: int) -> str:
    from benchmarks.stand_in import idle_flow
    from clipping.config.execution import Execution
    from clipping.config.recipe import Recipe

    driver = psutil.Process()
    before = _cpu_seconds()
    began = time.monotonic()
    peak, tally = idle_flow(
        str(videos),
        str(output),
        Recipe(clip_len_s=CLIP_SECONDS, clip_stride_s=CLIP_SECONDS),
        Execution(num_clips_per_chunk=1),
        chunks_per_video,
    )
    wall = time.monotonic() - began
    after = _cpu_seconds()
    spent = {name: after[name] - before.get(name, 0.0) for name in after}
    database = os.environ.get("PREFECT_API_DATABASE_CONNECTION_URL", "sqlite").partition(":")[0]
    first, *_, last = peak
    parts = {
        "database": database,
        "chunks": tally.chunks,
        "wall s": f"{wall:.0f}",
        "chunks/s": f"{tally.chunks / wall:.1f}",
        "driver MB first..last": f"{first}..{last}",
        "driver MB peak": f"{max(peak)}",
        "driver CPU s": f"{driver.cpu_times().user + driver.cpu_times().system:.0f}",
        **{f"{name} CPU s": f"{seconds:.0f}" for name, seconds in sorted(spent.items())},
    }
    return " | ".join(f"{name} {value}" for name, value in parts.items())


def _cpu_seconds() -> dict[str, float]:
    """CPU seconds of what descends from this process, by kind."""
    found: dict[str, float] = {}
    for process in psutil.Process().children(recursive=True):
        try:
            words = " ".join(process.cmdline())
            times: Any = process.cpu_times()
        except psutil.Error:
            continue
        kind = "server" if "uvicorn" in words else "workers" if "ray::" in words else "ray"
        found[kind] = found.get(kind, 0.0) + times.user + times.system
    return found


if __name__ == "__main__":
    main()
