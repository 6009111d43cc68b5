"""What was measured, as Markdown: a table for each case, and one over all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.contenders import BOUND, BOUND_WITH_KEYFRAMES, OURS, WHOLE

__all__ = ["FIGURES", "legend", "paste", "summary", "table"]

FIGURES = ("wall s", "CPU s", "peak MiB", "clips", "frames", "exact clips", "MB", "VMAF")
_COUNTS = ("clips", "frames", "exact clips")

# The summary's columns, and what stands below a name that is too long for one.
_SHOWN = {
    WHOLE: "whole command",
    BOUND: "bound",
    BOUND_WITH_KEYFRAMES: "bound, keyframes",
    "16 in, 16 out (NeMo Curator's ffmpeg)": "16 in, 16 out",
    "ffmpeg's segment muxer": "segment muxer",
    "PySceneDetect": "PySceneDetect",
    "NeMo Curator 1.1.0, stages in-process": "NeMo Curator, in-process",
    "NeMo Curator 1.1.0, pipeline": "NeMo Curator, pipeline",
}


def table(result: dict[str, Any]) -> str:
    """A case: each contender's figures, with ratios to ours."""
    rows = result["rows"]
    lines = [f"**{_title(result)}**", "", f"| | {' | '.join(FIGURES)} |"]
    lines.append("| --- |" + " ---: |" * len(FIGURES))
    ours = rows.get(OURS)
    for name, row in rows.items():
        cells: list[str] = []
        for figure in FIGURES:
            value = row[figure]
            if value is None:
                cells.append("–")
            elif figure in _COUNTS:
                cells.append(f"{value:.0f}")
            else:
                ratio = ""
                if ours and ours[figure] and figure != "VMAF" and name != OURS:
                    ratio = f" ({value / ours[figure]:.2f} x)"
                cells.append(f"{value:.1f}{ratio}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def summary(results: list[dict[str, Any]]) -> str:
    """Every case in a line: ours, and of each contender the ratios to ours in one cell."""
    columns = [name for name in _SHOWN if any(name in result["rows"] for result in results)]
    lines = [
        f"| work | ours | {' | '.join(_SHOWN[name] for name in columns)} |",
        "| --- | --- |" + " --- |" * len(columns),
    ]
    for result in results:
        rows = result["rows"]
        ours = rows.get(OURS)
        if ours is None:
            continue
        first = f"{ours['CPU s']:.1f} s / {ours['wall s']:.1f} s / {ours['peak MiB']:.0f} MiB"
        cells = [_cell(rows.get(name), ours, result["planned"]) for name in columns]
        first += _inexact(ours, result["planned"])
        lines.append(f"| {_title(result)} | {first} | {' | '.join(cells)} |")
    return "\n".join(lines)


def legend(results: list[dict[str, Any]]) -> str:
    """How to read the summary."""
    preset, quality = next(r["encoder"] for r in results if not r["case"]["encoder"])
    return (
        "CPU / wall / memory at its peak: ours as measured, the others as ratios to ours (above 1:"
        " more than ours takes). Every file's frames were counted; a cell says so where a clip"
        f" has not those of its span. libx264 `{preset}` {quality:g} for all where nothing else"
        " is said."
    )


def paste(path: Path, begin: str, end: str, text: str) -> None:
    """Put `text` into a document, between the lines that begin and end with these comments."""
    whole = path.read_text(encoding="utf-8")
    before, rest = whole.split(begin, 1)
    first_line, rest = rest.split("\n", 1)
    after = rest.split(end, 1)[1]
    path.write_text(f"{before}{begin}{first_line}\n\n{text}\n\n{end}{after}", encoding="utf-8")


def _cell(row: dict[str, Any] | None, ours: dict[str, Any], planned: int) -> str:
    if row is None:
        return "–"
    ratios = " / ".join(f"{row[f] / ours[f]:.2f}" for f in ("CPU s", "wall s", "peak MiB"))
    return ratios + _inexact(row, planned)


def _inexact(row: dict[str, Any], planned: int) -> str:
    exact = row["exact clips"]
    return "" if exact is None or exact == planned else f" ({exact:.0f} of {planned} exact)"


def _title(result: dict[str, Any]) -> str:
    case, (preset, quality) = result["case"], result["encoder"]
    encoder = f", {preset} {quality:g}" if case["encoder"] else ""
    runs = f", medians of {result['runs']} runs in turn" if result["runs"] > 1 else ""
    return f"{case['name']}, {case['video']}{encoder}: {result['planned']} clips{runs}"
