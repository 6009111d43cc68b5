"""From the command to the first published clip, and from the last one to the end.

    uv run python -m benchmarks.startup --repeats 3

Runs the command on a video of five seconds, in a HOME that has Prefect's database already, and
prints when each step was over, and which processes used the CPUs. `--first` has a new HOME.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

from benchmarks.inputs import VIDEOS, made

_KINDS = {
    "uvicorn": "Prefect's server",
    "clip_flow": "the command itself",
    "benchmarks.startup": "the command itself",
    "ray::IDLE": "workers",
    "ray::": "Ray's own",
    "/ray/": "Ray's own",
    "ffmpeg": "ffmpeg",
}


def main() -> None:
    """Measure, or be measured."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--first", action="store_true")
    parser.add_argument("--videos", type=Path, default=Path("benchmarks/videos"))
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        raise SystemExit(_child(*options.child))
    (video,) = made(replace(VIDEOS["200 files of 5 s"], files=1), options.videos)
    steps: dict[str, list[float]] = {}
    cpus: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        for turn in range(options.repeats + (not options.first)):
            home = Path(folder) / (f"home-{turn}" if options.first else "home")
            home.mkdir(exist_ok=True)
            marks, used = _run(video, Path(folder) / f"out-{turn}", home)
            if turn or options.first:
                for into, values in ((steps, marks), (cpus, used)):
                    for name, value in values.items():
                        into.setdefault(name, []).append(value)
    print("| step | over after s |\n| --- | ---: |")
    for name, values in steps.items():
        print(f"| {name} | {statistics.median(values):.1f} |")
    print("\n| processes | CPU s |\n| --- | ---: |")
    for name, values in sorted(cpus.items()):
        print(f"| {name} | {statistics.median(values):.1f} |")


def _run(video: Path, output: Path, home: Path) -> tuple[dict[str, float], dict[str, float]]:
    """When each step was over, and CPU seconds by kind of process."""
    command = [sys.executable, "-m", "benchmarks.startup", "--child", str(video), str(output)]
    began = time.time()
    process = subprocess.Popen(
        command, env={**os.environ, "HOME": str(home)}, stdout=subprocess.PIPE, text=True
    )
    seen: dict[int, tuple[str, float]] = {}
    root = psutil.Process(process.pid)
    while process.poll() is None:
        try:
            for one in [root, *root.children(recursive=True)]:
                times = one.cpu_times()
                kind = _kind(" ".join(one.cmdline()))
                seen[one.pid] = (kind, times.user + times.system)
        except psutil.Error:
            pass
        time.sleep(0.05)
    ended = time.time()
    assert process.stdout
    lines = [line for line in process.stdout.read().splitlines() if line.startswith("MARK ")]
    marks: dict[str, float] = {}
    for line in lines:
        _, at, name = line.split(" ", 2)
        marks.setdefault(name, float(at) - began)
    (clip,) = (output / "clips").iterdir()
    marks["first clip published"] = clip.stat().st_mtime - began
    marks["command ended"] = ended - began
    used: dict[str, float] = {}
    for kind, seconds in seen.values():
        used[kind] = used.get(kind, 0.0) + seconds
    return dict(sorted(marks.items(), key=lambda mark: mark[1])), used


def _kind(words: str) -> str:
    return next((kind for part, kind in _KINDS.items() if part in words), "others")


def _child(video: str, output: str) -> int:
    """The command, with a line printed after each step."""
    from clipping import cli
    from clipping.orchestration import local_server

    _mark("command line read")
    _after(local_server.LocalServer, "wait", "server answers")
    start_ray, import_quietly = cli._start_ray, local_server._import_quietly

    def starting(*arguments: Any) -> None:
        import ray

        _after(ray, "init", "Ray is up")
        start_ray(*arguments)

    def importing(module: str) -> None:
        import_quietly(module)
        from clipping.cluster import ray_session
        from clipping.orchestration import flow as clip_flow
        from clipping.orchestration.run import ClipRun
        from clipping.orchestration.scheduler import Scheduler

        _mark("flow imported")
        _after(ClipRun, "run", "work done, manifest published")
        _after(clip_flow, "publish_artifacts", "artifacts published")
        _after(ray_session, "stop", "Ray has ended")
        _after(Scheduler, "_open", "run entered, first task submitted")
        _after(Scheduler, "_take_back", "video probed")

    cli._start_ray, local_server._import_quietly = starting, importing
    return cli.main(["--input", video, "--output", output, "--clip-len-s", "5"])


def _mark(name: str) -> None:
    print("MARK", json.dumps(time.time()), name, flush=True)


def _after(owner: Any, name: str, step: str) -> None:
    inner = getattr(owner, name)

    @functools.wraps(inner)
    def outer(*arguments: Any, **options: Any) -> Any:
        try:
            return inner(*arguments, **options)
        finally:
            _mark(step)

    setattr(owner, name, outer)


if __name__ == "__main__":
    main()
