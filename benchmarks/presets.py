"""What a preset costs and gives: CPU seconds, bytes and VMAF, on videos that you name.

    uv run python -m benchmarks.presets VIDEO [VIDEO ...] --seconds 6

Each video's stretch is encoded with every preset by the options that the product uses. CPU and
bytes are shares of libx264 medium 23, averaged over the videos (geometric mean); VMAF is a mean.
Prints a table in Markdown and saves it with the raw figures.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import imageio_ffmpeg

from clipping.config.execution import Execution
from clipping.config.recipe import Recipe
from clipping.ffmpeg.encoders import Gop, encoder
from clipping.models import VideoFacts
from clipping.run.chunk import probe_file
from clipping.storage.discover import find_sources

FFMPEG: str = imageio_ffmpeg.get_ffmpeg_exe()
BASE = ("libx264", "medium", 23.0)
CHOICES: tuple[tuple[str, str | None, float], ...] = (
    *(("libx264", "ultrafast", q) for q in (23.0, 28.0)),
    *(("libx264", "superfast", q) for q in (21.0, 23.0)),
    *(("libx264", "veryfast", q) for q in (20.0, 21.0, 23.0)),
    *(("libx264", "faster", q) for q in (22.0, 23.0)),
    ("libx264", "fast", 23.0),
    BASE,
    ("libx264", "slow", 23.0),
    ("libopenh264", None, 23.0),
    *(("libx265", "veryfast", q) for q in (24.0, 26.0)),
    *(("libsvtav1", "10", q) for q in (30.0, 35.0)),
    *(("libvpx-vp9", "5", q) for q in (30.0, 34.0)),
)


@dataclass(frozen=True)
class Figures:
    """One encode: CPU seconds, bytes, mean VMAF."""

    cpu: float
    size: int
    vmaf: float


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("videos", nargs="+", type=Path)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results"))
    options = parser.parse_args()
    measured: dict[str, dict[str, Figures]] = {}
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        for path in options.videos:
            source, video = _stretch(path, options.seconds)
            print(f"{path.name}: {video.width}x{video.height}", file=sys.stderr)
            measured[path.name] = {
                _name(choice): _encoded(source, video, choice, Path(folder)) for choice in CHOICES
            }
    text = _table(measured)
    options.results.mkdir(parents=True, exist_ok=True)
    (options.results / "presets.md").write_text(text + "\n")
    raw = {v: {n: asdict(f) for n, f in figures.items()} for v, figures in measured.items()}
    (options.results / "presets.json").write_text(json.dumps(raw, indent=1))
    print(text)


def _name(choice: tuple[str, str | None, float]) -> str:
    name, preset, quality = choice
    return f"{name} {preset} {quality:g}" if preset else name


def _stretch(path: Path, seconds: float) -> tuple[list[str], VideoFacts]:
    """How ffmpeg is told to read the video's middle, and the video's facts."""
    (file,) = find_sources([str(path)], Execution().extensions).sources
    source = probe_file(file, Execution()).source
    if source is None:
        raise SystemExit(f"{path}: cannot be read")
    start = max(0.0, (float(source.video.duration) - seconds) / 2)
    return ["-ss", f"{start}", "-t", f"{seconds}", "-i", f"file:{path}"], source.video


def _encoded(
    source: list[str], video: VideoFacts, choice: tuple[str, str | None, float], folder: Path
) -> Figures:
    name, preset, quality = choice
    recipe = Recipe(encoder=name, preset=preset, quality=quality)  # type: ignore[arg-type]
    rate = recipe.rate(video, video.width, video.height, video.frame_rate)
    out = folder / "out.mp4"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    _run(
        *["-threads", "1", *source, "-map", "0:V:0", "-fps_mode", "passthrough"],
        *["-pix_fmt", "yuv420p", "-c:v", name],
        *[*encoder(name).options(preset, rate, Gop(), 1), "-y", str(out)],
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Figures(cpu, out.stat().st_size, _vmaf(out, source, folder / "vmaf.json"))


def _vmaf(out: Path, source: list[str], log: Path) -> float:
    graph = (
        "[0:v]setpts=N/TB/25[a];[1:V]format=yuv420p,setpts=N/TB/25[b];"
        f"[a][b]libvmaf=log_fmt=json:log_path={log}:n_threads=2"
    )
    _run("-i", str(out), *source, "-lavfi", graph, "-f", "null", "-")
    return float(json.loads(log.read_text())["pooled_metrics"]["vmaf"]["mean"])


def _run(*arguments: str) -> None:
    subprocess.run([FFMPEG, "-hide_banner", "-loglevel", "error", *arguments], check=True)


def _table(measured: dict[str, dict[str, Figures]]) -> str:
    lines = ["| encoder, preset, quality | CPU | bytes | VMAF |", "| --- | ---: | ---: | ---: |"]
    base = _name(BASE)
    for choice in CHOICES:
        name = _name(choice)
        cpu = _mean([f[name].cpu / f[base].cpu for f in measured.values()])
        size = _mean([f[name].size / f[base].size for f in measured.values()])
        vmaf = statistics.mean(f[name].vmaf for f in measured.values())
        lines.append(f"| {name} | {cpu:.2f} | {size:.2f} | {vmaf:.1f} |")
    return "\n".join(lines)


def _mean(ratios: list[float]) -> float:
    return math.exp(statistics.mean(math.log(r) for r in ratios))


if __name__ == "__main__":
    main()
