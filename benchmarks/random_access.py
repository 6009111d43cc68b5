"""What the distance of keyframes costs in bytes, and what it saves who reads single frames.

    uv run python -m benchmarks.random_access VIDEO [VIDEO ...] --seconds 10

A stretch of each video is encoded by the product's options at several settings of `gop`, as a
clip is. Then each clip is opened and one frame at random read, by torchcodec and decord where they
are installed (`uv sync --group readers`), in turn, with one thread. Bytes are shares of those at
the default, averaged over the videos (geometric mean); milliseconds are medians over videos and
repeats. Prints a table in Markdown.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import math
import random
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imageio_ffmpeg

from clipping.config.execution import Execution
from clipping.config.recipe import Recipe
from clipping.ffmpeg.encoders import DEFAULT
from clipping.run.chunk import probe_file
from clipping.storage.discover import find_sources

FFMPEG: str = imageio_ffmpeg.get_ffmpeg_exe()
GOPS = ("10s", "2s", "1s", "8", "2", "1")
REPEATS = 15


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("videos", nargs="+", type=Path)
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    sizes: dict[str, list[int]] = {gop: [] for gop in GOPS}
    taken: dict[tuple[str, str], list[float]] = {}
    chance = random.Random(1)  # noqa: S311
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        for number, video in enumerate(options.videos):
            clips = {g: Path(folder) / f"{number}-{g}.mp4" for g in GOPS}
            for gop, clip in clips.items():
                encode(video, options.seconds, gop, clip)
                sizes[gop].append(clip.stat().st_size)
            frames = count_frames(clips[GOPS[0]])
            for _ in range(REPEATS):
                index = chance.randrange(frames)
                for gop, clip in clips.items():
                    for name, read in readers().items():
                        began = time.perf_counter()
                        read(str(clip), index)
                        spent = 1000 * (time.perf_counter() - began)
                        taken.setdefault((gop, name), []).append(spent)
    names = list(readers())
    print(f"| `gop` | bytes | {' | '.join(names)} |")
    print(f"| --- | ---: |{' ---: |' * len(names)}")
    base = sizes[Recipe().gop]
    for gop in GOPS:
        share = math.exp(
            statistics.mean(math.log(a / b) for a, b in zip(sizes[gop], base, strict=True))
        )
        times = " | ".join(f"{statistics.median(taken[gop, n]):.1f} ms" for n in names)
        print(f"| {gop} | {share:.2f} | {times} |")


def encode(path: Path, seconds: float, gop: str, clip: Path) -> None:
    """The middle of a video as a clip."""
    (file,) = find_sources([str(path)], Execution().extensions).sources
    source = probe_file(file, Execution()).source
    if source is None:
        raise SystemExit(f"{path}: cannot be read")
    recipe, video = Recipe(gop=gop), source.video
    start = max(0.0, (float(video.duration) - seconds) / 2)
    rate = recipe.rate(video, video.width, video.height, video.frame_rate)
    coded = DEFAULT.options(None, rate, recipe.gop_for(video.exact_rate), 1)
    subprocess.run(
        [
            *[FFMPEG, "-hide_banner", "-loglevel", "error", "-y", "-ss", f"{start}"],
            *["-t", f"{seconds}", "-i", f"file:{path}", "-map", "0:V:0", "-pix_fmt", "yuv420p"],
            *["-fps_mode", "passthrough", "-c:v", DEFAULT.name, *coded],
            *["-movflags", "+faststart", str(clip)],
        ],
        check=True,
    )


def count_frames(clip: Path) -> int:
    """How many frames a clip has."""
    import av

    with av.open(str(clip)) as container:
        return sum(1 for packet in container.demux(video=0) if packet.size)


def readers() -> dict[str, Callable[[str, int], Any]]:
    """What opens a clip and reads one frame, for each loader that is installed."""
    found: dict[str, Callable[[str, int], Any]] = {}
    if importlib.util.find_spec("torchcodec"):
        torchcodec: Any = importlib.import_module("torchcodec.decoders")
        found["torchcodec"] = lambda clip, i: torchcodec.VideoDecoder(clip, num_ffmpeg_threads=1)[i]
    if importlib.util.find_spec("decord"):
        decord: Any = importlib.import_module("decord")
        found["decord"] = lambda clip, i: decord.VideoReader(clip, num_threads=1)[i].asnumpy()
    return found


if __name__ == "__main__":
    main()
