"""What Prefect's page of a run shows: a summary that leads with what failed, and a table. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from clipping.dataset.layout import FAILURES, MANIFEST
from clipping.run.summary import by_encoder, by_reason, named, shortened
from clipping.run.tally import Tally
from clipping.wording import count, size

__all__ = ["of_many_videos", "summary_markdown", "table_rows"]

_SHORT_ID = 8
_WHY_LONGEST = 120
# An underscore between letters is text in any case.
_MARKUP = re.compile(r"[\\`*\[\]<>|]|(?<!\w)_|_(?!\w)")


def summary_markdown(
    tally: Tally, output: str, about: Iterable[tuple[str, str]], *, ended_early: str = ""
) -> str:
    """The run's summary.

    output: where its clips are, as Markdown. ended_early: why it came to no end.
    """
    return "\n".join(
        [
            f"# {_headline(tally, ended_early)}",
            *_problems(tally, ended_early),
            *_failures(tally),
            *_numbers(tally, output, about),
            *_known_failures(tally),
            *_details(tally),
        ]
    )


def table_rows(rows: Iterable[dict[str, Any]], links: dict[str, str]) -> list[dict[str, Any]]:
    """Rows of the manifest as a table that fits a page, video by video.

    links: clip id to where a browser finds the clip; the others' ids are text.
    """
    shown = sorted(rows, key=lambda row: (row["source"], row["number"]))
    has_why = any(row["errors"] for row in shown)
    return [
        {
            "video": row["source"],
            "clip": _number(row),
            "seconds": f"{row['start_s']:g}-{row['end_s']:g}",
            "frames": row["frames"],
            "size": size(row["bytes"]) if row["bytes"] else "",
            "status": row["status"],
            "encoder": row["encoder"] or "",
            "id": _linked(row["clip"][:_SHORT_ID], links.get(row["clip"])),
            **({"why": shortened(row["errors"] or "", _WHY_LONGEST)} if has_why else {}),
        }
        for row in shown
    ]


def of_many_videos(rows: Iterable[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    """Up to `most` rows of written clips: the first clip of each video, then the second ones."""
    turns: dict[str, int] = {}
    ranked: list[tuple[int, str, int, dict[str, Any]]] = []
    for row in sorted(rows, key=lambda row: (row["source"], row["number"])):
        if row["file"]:
            turn = turns[row["source"]] = turns.get(row["source"], 0) + 1
            ranked.append((turn, row["source"], row["number"], row))
    chosen = sorted(sorted(ranked, key=lambda r: r[:3])[:most], key=lambda r: r[1:3])
    return [row for *_, row in chosen]


def _headline(tally: Tally, ended_early: str) -> str:
    clips = f"{count(tally.written, 'clip')} from {count(tally.clipped, 'video')}"
    if ended_early:
        return f"Ended early, with {clips}"
    if not tally.new_failures:
        return clips
    failed = [
        count(number, noun)
        for number, noun in (
            (tally.failed_sources - tally.failed_sources_before, "video"),
            (tally.failed - tally.failed_before, "clip"),
        )
        if number
    ]
    return f"{' and '.join(failed)} failed; {clips}"


def _problems(tally: Tally, ended_early: str) -> Iterator[str]:
    if ended_early:
        yield from ("", f"**{_cell(ended_early)}**", "", "What follows is what was done by then.")
    elif tally.problems():
        yield from ("", "## It does not add up", "", *(f"- {p}" for p in tally.problems()))


def _failures(tally: Tally) -> Iterator[str]:
    if not tally.failures:
        return
    yield from ("", "| what failed, and why | kind |", "| --- | --- |")
    for name, failure in tally.failures:
        yield f"| {_cell(named(name, failure))} | {failure.kind.value} |"
    total = sum(tally.kinds.values())
    if total > len(tally.failures):
        yield from ("", f"The first {len(tally.failures)} of {total}; {FAILURES} has all.")


def _numbers(tally: Tally, output: str, about: Iterable[tuple[str, str]]) -> Iterator[str]:
    made, holding = tally.written - tally.reused, tally.holding
    stale = sum(holding.stale.values())
    rate = tally.frames_encoded / max(tally.seconds, 0.001)
    only_if_any = [
        ("Failed before", tally.known, "of the failed clips and videos, not tried again"),
        ("Clips absent", tally.absent, f"in {count(tally.stretches, 'stretch')}"),
        ("Clips with damage in the source", tally.damaged, ""),
        ("Clips stale", stale, f"({by_reason(holding)})"),
        ("Stale clips removed", holding.removed, ""),
        ("Workers lost", tally.crashes, ""),
    ]
    rows = [
        (
            "Videos",
            f"{tally.sources}: {tally.clipped} clipped, {tally.empty} without clips,"
            f" {tally.failed_sources} failed",
        ),
        ("Clips planned", f"{tally.planned}, {tally.with_frames} of them with frames"),
        ("Clips written", f"{tally.written} ({made} made now, {tally.reused} there already)"),
        ("Clips failed", f"{tally.failed}"),
        *((name, f"{number} {words}".rstrip()) for name, number, words in only_if_any if number),
        (f"Clips in {MANIFEST}", f"{holding.clips}"),
        ("Size of the clips", size(tally.bytes_written)),
        *([("Encoded", by_encoder(tally))] if tally.encoders else []),
        ("Seconds of clips made", f"{tally.made_seconds:.1f}"),
        ("Frames encoded", f"{tally.frames_encoded} ({rate:.0f} a second)"),
        ("Speed", f"{tally.speed():.2f}x real time"),
        ("Wall time", f"{tally.seconds:.1f} s"),
        ("Chunks", f"{tally.chunks} ({tally.chunks_done_before} done before)"),
        ("Retries", f"{tally.retries}"),
        *(("Cluster", note) for note in tally.cluster_notes),
        *about,
    ]
    yield from ("", "## In numbers", "", "| | |", "| --- | --- |", f"| Output | {output} |")
    yield from (f"| {name} | {_cell(value)} |" for name, value in rows)


def _known_failures(tally: Tally) -> Iterator[str]:
    if not tally.known_failures:
        return
    yield from ("", "## What failed before", "")
    yield from (f"- {_cell(named(name, f))}" for name, f in tally.known_failures)
    if tally.known > len(tally.known_failures):
        yield f"- … {tally.known - len(tally.known_failures)} more"


def _details(tally: Tally) -> Iterator[str]:
    if tally.reasons_empty:
        yield from ("", "## Videos without clips", "")
        yield from (f"- {n} x {reason}" for reason, n in tally.reasons_empty.most_common(10))
    if tally.slowest:
        yield from ("", "## Slowest chunks", "", "| chunk | seconds |", "| --- | --- |")
        for seconds, name in sorted(tally.slowest, reverse=True):
            yield f"| {_cell(name)} | {seconds:.1f} |"
    if tally.warnings:
        yield from ("", "## Noticed in the sources", "", *(f"- {_cell(w)}" for w in tally.warnings))
        if tally.warnings_total > len(tally.warnings):
            yield f"- … {tally.warnings_total - len(tally.warnings)} more"


def _number(row: dict[str, Any]) -> str:
    first, last = row["number"], row["number"] + (row.get("count") or 1) - 1
    return f"{first}" if first == last else f"{first}-{last}"


def _linked(text: str, address: str | None) -> str:
    return f"[{text}]({address})" if address else text


def _cell(text: str) -> str:
    """Text of a file name or a program in a cell: nothing of it is markup."""
    return " ".join(_MARKUP.sub(r"\\\g<0>", text).split())
