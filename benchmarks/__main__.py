"""Everybody does the same work, in turn, on the same machine; one table comes out.

    uv run python -m benchmarks                      # all of it: 80 minutes on two CPUs
    uv run python -m benchmarks --only overlap --repeats 3
    uv run python -m benchmarks --with-nemo --with-pyscenedetect
    uv run python -m benchmarks --only --paste       # nothing but that

Ratios are to ours: the chunk function with the same CPUs. `--only` replaces those cases in the
tables that are there; `--paste` puts the tables into README.md and docs/performance.md.
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
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from benchmarks import others
from benchmarks.contenders import (
    BOUND,
    BOUND_WITH_KEYFRAMES,
    CONTENDERS,
    FFMPEG,
    NEEDS,
    WHOLE,
    Work,
    command,
)
from benchmarks.inputs import VIDEOS, made
from benchmarks.judging import Verdict, judge
from benchmarks.measuring import Cost, run
from benchmarks.tables import FIGURES, legend, paste, summary, table
from clipping.ffmpeg.encoders import ENCODERS

_NEMO = ("medium", 23.0)


@dataclass(frozen=True)
class Case:
    """A line of work: which video, and clips of `length` s every `stride` s.

    repeats: at most so many (once where a contender takes minutes); encoder: preset and quality if
    not the product's defaults; short_side, fps: of clips that are made smaller.
    """

    name: str
    video: str
    length: str
    stride: str
    repeats: int = 9
    encoder: tuple[str, float] | None = None
    short_side: str = ""
    fps: str = ""


CASES = {
    "plain": Case("10 s every 10 s", "720p, GOP 2 s", "10", "10"),
    "overlap": Case("10 s every 5 s", "720p, GOP 2 s", "10", "5"),
    "much-overlap": Case("10 s every 2 s", "720p, GOP 2 s", "10", "2"),
    "short-clips": Case("2 s every 2 s", "720p, GOP 2 s", "2", "2"),
    "one-gop": Case("2 s every 2 s", "720p, one GOP", "2", "2", repeats=1),
    "short-gops": Case("10 s every 10 s", "720p, GOP 0.5 s", "10", "10", repeats=1),
    "1080p": Case("10 s every 5 s", "1080p, GOP 2 s", "10", "5", repeats=1),
    "smaller": Case(
        "10 s every 10 s, 480p", "1080p, GOP 2 s", "10", "10", repeats=3, short_side="480p"
    ),
    "smaller-fewer": Case(
        "10 s every 10 s, 480p at 16 frames/s",
        "1080p, GOP 2 s",
        "10",
        "10",
        repeats=3,
        short_side="480p",
        fps="16",
    ),
    "hevc": Case("10 s every 10 s", "1080p HEVC 10 bit", "10", "10", repeats=1),
    "nemo": Case("10 s every 5 s", "720p, GOP 2 s", "10", "5", repeats=1, encoder=_NEMO),
    "gaps": Case("5 s every 30 s", "10 min of 720p", "5", "30", repeats=1),
    "files": Case("5 s every 5 s", "200 files of 5 s", "5", "5", repeats=1),
    "long": Case("10 s every 10 s", "10 min of 720p", "10", "10", repeats=1),
}
# What cannot be expected to add anything in a case that takes minutes a contender.
_LEFT_OUT = {
    "long": (
        *("16 in, 16 out (NeMo Curator's ffmpeg)", "PySceneDetect"),
        *("ffmpeg's segment muxer", BOUND_WITH_KEYFRAMES),
    ),
}
_MADE_SMALLER = ("PySceneDetect", BOUND_WITH_KEYFRAMES)
_LEFT_OUT |= dict.fromkeys(("smaller", "smaller-fewer"), _MADE_SMALLER)
_ON_ONE = ("plain", "much-overlap")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="*", choices=CASES, default=list(CASES))
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=[])
    others.add_flags(parser)
    parser.add_argument("--media", type=Path, help="a video to use instead of the made ones")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--cpus", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--preset", default=ENCODERS["libx264"].default_preset)
    parser.add_argument("--quality", type=float, default=ENCODERS["libx264"].default_quality)
    parser.add_argument("--no-vmaf", action="store_true")
    parser.add_argument("--paste", action="store_true", help="put the tables into the documents")
    parser.add_argument("--videos", type=Path, default=Path("benchmarks/videos"))
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results"))
    options = parser.parse_args()
    options.contenders = others.chosen(options.contenders, CONTENDERS, NEEDS, options.packages)
    options.results.mkdir(parents=True, exist_ok=True)
    saved = options.results / "table.json"
    results: dict[str, Any] = json.loads(saved.read_text())[1] if saved.exists() else {}
    with tempfile.TemporaryDirectory(prefix="bench-") as home:
        if options.only and WHOLE in options.contenders:
            _warm(options, Path(home))
        for name in options.only:
            results[name] = _measured(name, options, Path(home))
            # After each, so that an hour is not lost with the last one.
            saved.write_text(json.dumps([_machine(options), results], indent=1))
            print(table(results[name]), flush=True)
    if options.paste:
        _paste(saved)


def _paste(saved: Path) -> None:
    """What was measured, as the documents show it."""
    machine, results = json.loads(saved.read_text())
    shown = [results[case] for case in CASES if case in results]
    root = Path(__file__).parent.parent
    short = "\n\n".join([f"{legend(shown)} {machine}.", summary(shown)])
    paste(root / "README.md", "<!-- benchmark", "<!-- /benchmark -->", short)
    full = "\n\n".join([f"{machine}.", *map(table, shown)])
    paste(root / "docs" / "performance.md", "<!-- results", "<!-- /results -->", full)


def _machine(options: argparse.Namespace) -> str:
    from clipping.ffmpeg.binary import ffmpeg_version

    return (
        f"{options.cpus} CPUs used of {os.cpu_count()}, {platform.platform()}, Python"
        f" {platform.python_version()}, ffmpeg {ffmpeg_version(FFMPEG)}"
    )


def _measured(name: str, options: argparse.Namespace, home: Path) -> dict[str, Any]:
    """All contenders on one case, interleaved, so that a slow hour hits everybody."""
    case = CASES[name]
    video = VIDEOS[case.video]
    paths = [options.media] if options.media else made(video, options.videos)
    preset, quality = case.encoder or (options.preset, options.quality)
    work = Work(
        tuple(path.absolute() for path in paths), _seconds(paths[0]),
        Fraction(case.length), Fraction(case.stride), options.cpus, preset, quality,
        case.short_side, case.fps,
    )  # fmt: skip
    costs: dict[str, list[Cost]] = {}
    verdicts: dict[str, Verdict] = {}
    for turn in range(min(options.repeats, case.repeats)):
        for contender in _who(name, options.contenders):
            with tempfile.TemporaryDirectory(prefix="bench-") as folder:
                out = Path(folder) / "out"
                out.mkdir()
                argv = command(contender, work, out)
                if argv is None:
                    continue
                print(f"{case.name}, {case.video}: {contender}, run {turn + 1}", file=sys.stderr)
                cost = run(argv, Path(folder), _environment(Path(folder), home))
                costs.setdefault(contender, []).append(cost)
                if turn == 0:
                    verdicts[contender] = judge(
                        work, out, with_vmaf=not options.no_vmaf,
                        is_one_file=contender.startswith(BOUND),
                    )  # fmt: skip
                shutil.rmtree(out)
    return {
        "case": asdict(case),
        "planned": len(work.spans) * len(work.videos),
        "encoder": [preset, quality],
        "runs": min(options.repeats, case.repeats),
        "rows": {name: _row(costs[name], verdicts[name]) for name in costs},
    }


def _who(case: str, contenders: Sequence[str]) -> list[str]:
    left_out = _LEFT_OUT.get(case, ())
    return [c for c in contenders if c not in left_out and ("1 CPU" not in c or case in _ON_ONE)]


def _seconds(path: Path) -> int:
    with av.open(str(path)) as container:
        return int((container.duration or 0) / 1e6)


def _warm(options: argparse.Namespace, home: Path) -> None:
    """Prefect makes its database in a HOME that has none: once, not in what is measured."""
    (video,) = made(replace(VIDEOS["200 files of 5 s"], files=1), options.videos)
    work = Work(
        (video.absolute(),), 5, Fraction(5), Fraction(5), options.cpus, "ultrafast", 23
    )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        argv = command(WHOLE, work, Path(folder) / "out")
        assert argv is not None
        run(argv, Path(folder), _environment(Path(folder), home))


def _environment(folder: Path, home: Path) -> dict[str, str]:
    """Modules are those of this project, ffmpeg is the bundled one, HOME is the benchmark's."""
    tools = folder / "tools"
    tools.mkdir()
    (tools / "ffmpeg").symlink_to(FFMPEG)
    root = str(Path(__file__).parent.parent)
    path = f"{tools}:{os.environ['PATH']}"
    return {**os.environ, "HOME": str(home), "PYTHONPATH": root, "PATH": path}


def _row(costs: list[Cost], verdict: Verdict) -> dict[str, float | None]:
    def middle(name: str) -> float:
        return statistics.median(getattr(cost, name) for cost in costs)

    values = (
        *(middle("wall"), middle("cpu"), middle("peak_mib")),
        *(verdict.clips, verdict.frames, verdict.exact, verdict.bytes / 1e6, verdict.vmaf),
    )
    return dict(zip(FIGURES, values, strict=True))


if __name__ == "__main__":
    main()
