"""What a chunk needs in memory: by the length of its video, and by the number of its clips.

    uv run python -m benchmarks.memory

Peak resident memory of the process tree (MiB) that probes a video and makes its last chunk.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from benchmarks.inputs import VIDEOS, made
from benchmarks.measuring import run

# What is made of it: minutes of video, seconds a clip, clips a chunk.
CASES = (
    *((minutes, 2.0, 16) for minutes in (1, 10, 120)),
    *((10, 2.0, clips) for clips in (4, 64, 256)),
)


def main() -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--videos", type=Path, default=Path("benchmarks/videos"))
    options = parser.parse_args()
    root = str(Path(__file__).parent.parent)
    print("| video | clips in the chunk | peak MiB |\n| --- | ---: | ---: |")
    for minutes, length, clips in CASES:
        video = replace(
            VIDEOS["200 files of 5 s"], name=f"{minutes}min_360p.mp4", times=minutes * 12, files=1
        )
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            work = {
                "input": str(made(video, options.videos)[0].absolute()),
                "output": str(Path(folder) / "out"),
                "length": length,
                "stride": length,
                "cpus": 1,
                "preset": "ultrafast",
                "quality": 23,
                "clips_per_chunk": clips,
                "only_last": True,
            }
            cost = run(
                [sys.executable, "-m", "benchmarks.ours", json.dumps(work)],
                Path(folder),
                {**os.environ, "PYTHONPATH": root},
            )
        print(f"| {minutes} min of 360p | {clips} | {cost.peak_mib:.0f} |", flush=True)


if __name__ == "__main__":
    main()
