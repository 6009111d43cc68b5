"""What came out: clips, frames, bytes, and how the picture compares with the source."""

from __future__ import annotations

import json
import statistics
import subprocess
import tempfile
from bisect import bisect_left
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from pathlib import Path

import av

from benchmarks.contenders import FFMPEG, Work

__all__ = ["Verdict", "judge"]

_SECONDS = 5.0


@dataclass(frozen=True)
class Verdict:
    """clips: files; exact: those with as many frames as the source shows in their span."""

    clips: int
    frames: int
    exact: int | None
    bytes: int
    vmaf: float | None


def judge(work: Work, out: Path, *, with_vmaf: bool, is_one_file: bool) -> Verdict:
    """Look at every file; VMAF of the first and the middle clip, at most five seconds of each."""
    files = _in_order(out)
    counts = [_frames(path) for path in files]
    shown = sorted(_times(work.videos[0]))  # copies, where there are several
    if work.fps:
        rate = float(Fraction(work.fps))
        each = [ceil(b * rate - 1e-6) - ceil(a * rate - 1e-6) for a, b in work.spans]
    else:
        each = [bisect_left(shown, b - 1e-6) - bisect_left(shown, a - 1e-6) for a, b in work.spans]
    expected = each * len(work.videos)
    exact = None
    if not is_one_file:
        exact = sum(a == b for a, b in zip(counts, expected, strict=False))
    vmaf = None
    if (
        with_vmaf
        and not work.short_side
        and not work.fps
        and not is_one_file
        and len(files) == len(expected)
    ):
        chosen = sorted({0, len(work.spans) // 2})
        vmaf = statistics.mean(_vmaf(files[i], work, *work.spans[i]) for i in chosen)
    return Verdict(len(files), sum(counts), exact, sum(f.stat().st_size for f in files), vmaf)


def _in_order(out: Path) -> list[Path]:
    """The clips, in the order of their spans: ours are named by id."""
    records = sorted(out.glob("processed_clip_chunks/**/*.json"))
    if not records:
        return sorted(out.glob("*.mp4"))
    parts = [json.loads(r.read_text()) for r in records]
    clips = [
        (p["source_key"], c["clip"]["number"], c["location"]) for p in parts for c in p["clips"]
    ]
    return [Path(location) for _, _, location in sorted(clips)]


def _frames(path: Path) -> int:
    with av.open(str(path)) as container:
        packets = container.demux(container.streams.video[0])
        return sum(p.size > 0 and not p.is_discard for p in packets)


def _times(path: Path) -> list[float]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.time_base
        times = [p.pts * stream.time_base for p in container.demux(stream) if p.pts is not None]
        return [float(t - min(times)) for t in times]


def _vmaf(clip: Path, work: Work, start: float, end: float) -> float:
    with tempfile.NamedTemporaryFile(suffix=".json") as log:
        graph = (
            "[0:v]setpts=PTS-STARTPTS[a];[1:v]setpts=PTS-STARTPTS,format=yuv420p[b];"
            f"[a][b]libvmaf=log_fmt=json:log_path={log.name}:n_threads=2"
        )
        subprocess.run(
            [
                *[
                    FFMPEG,
                    "-hide_banner",
                    "-loglevel",
                    "error",
                    "-t",
                    f"{_SECONDS}",
                    "-i",
                    str(clip),
                ],
                *[
                    "-ss",
                    f"{start}",
                    "-to",
                    f"{min(end, start + _SECONDS)}",
                    "-i",
                    str(work.videos[0]),
                ],
                *["-lavfi", graph, "-f", "null", "-"],
            ],
            check=True,
        )
        return float(json.loads(Path(log.name).read_text())["pooled_metrics"]["vmaf"]["mean"])
