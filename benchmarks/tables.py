"""What was measured, as Markdown: a table for each case, and one over all of them."""

from __future__ import annotations

from typing import Any

from benchmarks.contenders import OURS

__all__ = ["FIGURES", "summary", "table"]

FIGURES = ("wall s", "CPU s", "peak MiB", "clips", "frames", "exact clips", "MB", "VMAF")
_COUNTS = ("clips", "frames", "exact clips")


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
    """Every case in a line for each contender: CPU, wall and memory as ratios to ours."""
    lines = [
        "| work | | CPU | wall | memory | exact clips |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for result in results:
        rows, title = result["rows"], _title(result)
        ours = rows.get(OURS)
        if ours is None:
            continue
        for name, row in rows.items():
            exact = row["exact clips"]
            exactness = "–" if exact is None else f"{exact:.0f} of {result['planned']}"
            if name == OURS:
                cpu, wall = f"{row['CPU s']:.1f} s", f"{row['wall s']:.1f} s"
                memory = f"{row['peak MiB']:.0f} MiB"
            else:
                cpu, wall, memory = (
                    f"{row[f] / ours[f]:.2f} x" for f in ("CPU s", "wall s", "peak MiB")
                )
            lines.append(f"| {title} | {name} | {cpu} | {wall} | {memory} | {exactness} |")
            title = ""
    return "\n".join(lines)


def _title(result: dict[str, Any]) -> str:
    case, (preset, quality) = result["case"], result["encoder"]
    encoder = f", {preset} {quality:g}" if case["encoder"] else ""
    runs = f", medians of {result['runs']} runs in turn" if result["runs"] > 1 else ""
    return f"{case['name']}, {case['video']}{encoder}: {result['planned']} clips{runs}"
