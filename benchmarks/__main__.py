"""Everybody does the same work, in turn, on the same machine; one table comes out.

    uv run python -m benchmarks                      # all of it, for hours
    uv run python -m benchmarks --only overlap --repeats 3
    uv run python -m benchmarks --with-nemo --with-pyscenedetect

Ratios are to ours: the chunk function with the same CPUs.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import sys
import tempfile
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from benchmarks import others
from benchmarks.contenders import CONTENDERS, FFMPEG, NEEDS, Work, command
from benchmarks.inputs import VIDEOS, made
from benchmarks.judging import Verdict, judge
from benchmarks.measuring import Cost, run

OURS = "ours: chunk function"
_FIGURES = ("wall s", "CPU s", "peak MiB", "clips", "frames", "exact clips", "MB", "VMAF")


@dataclass(frozen=True)
class Case:
    """A line of work: which video, and clips of `length` s every `stride` s."""

    name: str
    video: str
    length: str
    stride: str


CASES = {
    "plain": Case("10 s every 10 s", "720p, GOP 2 s", "10", "10"),
    "overlap": Case("10 s every 5 s", "720p, GOP 2 s", "10", "5"),
    "much-overlap": Case("10 s every 2 s", "720p, GOP 2 s", "10", "2"),
    "short-clips": Case("2 s every 2 s", "720p, GOP 2 s", "2", "2"),
    "gaps": Case("5 s every 30 s", "10 min", "5", "30"),
    "one-gop": Case("2 s every 2 s", "720p, one GOP", "2", "2"),
    "short-gops": Case("10 s every 10 s", "720p, GOP 0.5 s", "10", "10"),
    "1080p": Case("10 s every 5 s", "1080p, GOP 2 s", "10", "5"),
    "hevc": Case("10 s every 10 s", "1080p HEVC 10 bit", "10", "10"),
    "long": Case("10 s every 10 s", "10 min", "10", "10"),
    "tiny": Case("10 s every 10 s", "5 s", "10", "10"),
}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=[])
    others.add_flags(parser)
    parser.add_argument("--media", type=Path, help="a video to use instead of the made ones")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--cpus", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--no-vmaf", action="store_true")
    parser.add_argument("--videos", type=Path, default=Path("benchmarks/videos"))
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results"))
    options = parser.parse_args()
    options.contenders = others.chosen(options.contenders, CONTENDERS, NEEDS, options.packages)
    results = [_measured(CASES[name], options) for name in options.only]
    options.results.mkdir(parents=True, exist_ok=True)
    text = "\n\n".join([_machine(options), *map(_table, results)])
    (options.results / "table.md").write_text(text + "\n")
    (options.results / "table.json").write_text(json.dumps(results, indent=1))
    print(text)


def _machine(options: argparse.Namespace) -> str:
    from clipping.chunk_work import ffmpeg_version

    return (
        f"{options.cpus} CPUs used of {os.cpu_count()}, {platform.platform()}, Python"
        f" {platform.python_version()}, ffmpeg {ffmpeg_version(FFMPEG)};"
        f" medians of {options.repeats} runs in turn"
    )


def _measured(case: Case, options: argparse.Namespace) -> dict[str, Any]:
    """All contenders on one case, interleaved, so that a slow hour hits everybody."""
    video = VIDEOS[case.video]
    path = options.media or made(video, options.videos)
    work = Work(
        path.absolute(), video.seconds, Fraction(case.length), Fraction(case.stride), options.cpus
    )
    costs: dict[str, list[Cost]] = {}
    verdicts: dict[str, Verdict] = {}
    for turn in range(options.repeats):
        for name in options.contenders:
            with tempfile.TemporaryDirectory(prefix="bench-") as folder:
                out = Path(folder) / "out"
                out.mkdir()
                argv = command(name, work, out)
                if argv is None:
                    continue
                print(f"{case.name}, {case.video}: {name}, run {turn + 1}", file=sys.stderr)
                costs.setdefault(name, []).append(run(argv, Path(folder), _environment(folder)))
                if turn == 0:
                    verdicts[name] = judge(
                        work, out, with_vmaf=not options.no_vmaf,
                        is_one_file=name.startswith("bound"),
                    )  # fmt: skip
                shutil.rmtree(out)
    rows = {name: _row(costs[name], verdicts[name]) for name in costs}
    return {"case": asdict(case), "planned": len(work.spans), "rows": rows}


def _environment(folder: str) -> dict[str, str]:
    """Each run has a HOME of its own; modules are those of this folder, ffmpeg is ours."""
    tools = Path(folder) / "tools"
    tools.mkdir()
    (tools / "ffmpeg").symlink_to(FFMPEG)
    root = str(Path(__file__).parent.parent)
    path = f"{tools}:{os.environ['PATH']}"
    return {**os.environ, "HOME": folder, "PYTHONPATH": root, "PATH": path}


def _row(costs: list[Cost], verdict: Verdict) -> dict[str, float | None]:
    def middle(name: str) -> float:
        return statistics.median(getattr(cost, name) for cost in costs)

    values = (
        *(middle("wall"), middle("cpu"), middle("peak_mib")),
        *(verdict.clips, verdict.frames, verdict.exact, verdict.bytes / 1e6, verdict.vmaf),
    )
    return dict(zip(_FIGURES, values, strict=True))


def _table(result: dict[str, Any]) -> str:
    case, rows = result["case"], result["rows"]
    head = f"**{case['name']}, {case['video']}: {result['planned']} clips**"
    lines = [head, "", f"| | {' | '.join(_FIGURES)} |", "| --- |" + " ---: |" * len(_FIGURES)]
    ours = rows.get(OURS)
    for name, row in rows.items():
        cells: list[str] = []
        for figure in _FIGURES:
            value = row[figure]
            if value is None:
                cells.append("–")
            elif figure in ("clips", "frames", "exact clips"):
                cells.append(f"{value:.0f}")
            else:
                ratio = ""
                if ours and ours[figure] and figure != "VMAF" and name != OURS:
                    ratio = f" ({value / ours[figure]:.2f} x)"
                cells.append(f"{value:.1f}{ratio}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
