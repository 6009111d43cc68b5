"""What a run says at its end, and whether it failed. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from clipping.config.execution import allowed_failures
from clipping.config.run_config import RunConfig
from clipping.dataset.coverage import Holding
from clipping.dataset.layout import CLIPS, FAILURES, MANIFEST, VIDEO_RECORDS
from clipping.models import Failure
from clipping.run.tally import Tally
from clipping.wording import count

__all__ = [
    "about",
    "absent",
    "closing_lines",
    "outcome",
    "summary_lines",
    "summary_markdown",
    "verdict",
]

_FAILURES_SAID = 10
_KNOWN_SAID = 3
_WARNINGS_SAID = 5


def about(config: RunConfig, ffmpeg: str) -> list[tuple[str, str]]:
    """What the summary says of the settings."""
    return [
        (
            "Recipe",
            f"{config.recipe.span_source.describe()}, {config.recipe.encoder},"
            f" digest {config.recipe.digest()}",
        ),
        ("ffmpeg", ffmpeg),
    ]


def closing_lines(tally: Tally, config: RunConfig) -> list[str]:
    """What a person reads at the end."""
    lines = [*summary_lines(tally, config.output)]
    if tally.empty:
        why = config.recipe.span_source.why_none()
        lines.append(f"{count(tally.empty, 'video')} gave no clip: {why} (see {FAILURES})")
    if tally.absent:
        lines.append(absent(tally.absent, tally.stretches))
    if tally.damaged:
        lines.append(
            f"{count(tally.damaged, 'clip')} with damage of the source (see the errors there)"
        )
    if tally.passed_over:
        lines.append(f"{count(tally.passed_over, 'other file')} passed over by extension")
    lines += holding_lines(tally.holding)
    if tally.crashes:
        lines.append(
            f"{count(tally.crashes, 'worker')} died (killed, out of memory, or with their node);"
            " what they held was submitted again"
        )
    if tally.warnings:
        lines.append("Noticed in the sources:")
        lines += [f"  {warning}" for warning in tally.warnings[:_WARNINGS_SAID]]
        more = tally.warnings_total - _WARNINGS_SAID
        if more > 0:
            lines.append(f"  … and {more} more, in the records in {VIDEO_RECORDS}/")
    if tally.new_failures:
        lines.append(f"{_new_failures(tally)} failed:")
        alike = _alike(tally.failures)[:_FAILURES_SAID]
        for name, failure, others in alike:
            words = f" (and {others} more like this)" if others else ""
            lines.append(f"  {_named(name, failure)}{words}")
            if config.execution.verbose and failure.command:
                lines.append(f"    command: {failure.command}")
        more = sum(tally.kinds.values()) - sum(1 + others for _, _, others in alike)
        if more > 0:
            lines.append(f"  … and {more} more, in {FAILURES}")
    if tally.known:
        said = [_named(name, failure) for name, failure in tally.known_failures[:_KNOWN_SAID]]
        more = [f"and {tally.known - len(said)} more"] if tally.known > len(said) else []
        lines.append(
            f"{tally.known} failed before ({'; '.join([*said, *more])}), {tally.new_failures} new;"
            " --retry-failed tries again what failed before"
        )
    return [*lines, tally.report] if tally.report else lines


def holding_lines(holding: Holding) -> list[str]:
    """What the output holds besides this run's clips."""
    lines: list[str] = []
    if holding.elsewhere:
        lines.append(
            f"{MANIFEST} has {count(holding.clips, 'clip')}, {holding.elsewhere} of them of videos"
            " that are not among the inputs of this run"
        )
    if len(holding.recipes) > 1:
        shown = ", ".join(f"{digest} ({n})" for digest, n in holding.recipes.most_common(5))
        more = " …" if len(holding.recipes) > 5 else ""
        lines.append(f"they were made with {len(holding.recipes)} recipes: {shown}{more}")
    if holding.removed:
        lines.append(f"{count(holding.removed, 'stale clip')} removed")
    if stale := sum(holding.stale.values()):
        lines.append(
            f"{count(stale, 'clip')} stale ({_by_reason(holding)}): see the column `stale` in"
            f" {MANIFEST}; --prune removes them"
        )
    if holding.replaced:
        lines.append(
            f"{count(holding.replaced, 'clip')} failed or absent now, with a file that was made"
            " earlier; --prune removes it"
        )
    if holding.lost:
        lines.append(
            f"{count(holding.lost, 'recorded clip')} no longer there, or of another size; a run"
            " over their videos makes them again"
        )
    if holding.unrecorded:
        lines.append(
            f"{count(holding.unrecorded, 'file')} in {CLIPS}/ without a record, not in {MANIFEST}"
        )
    return lines


def _by_reason(holding: Holding) -> str:
    return ", ".join(f"{n} {reason}" for reason, n in holding.stale.most_common())


def absent(clips: int, stretches: int) -> str:
    """What is said of clips in whose spans no frame lies."""
    return f"{count(clips, 'clip')} absent: {count(stretches, 'stretch')} without a frame"


def outcome(tally: Tally, config: RunConfig) -> str:
    """What Prefect says of a run that did not fail, in one line."""
    line = summary_lines(tally, config.output)[0]
    return f"{line}; {tally.known} failed before, {tally.new_failures} new" if tally.known else line


def _new_failures(tally: Tally) -> str:
    clips = tally.failed - tally.failed_before
    videos = tally.failed_sources - tally.failed_sources_before
    return f"{count(clips, 'clip')} and {count(videos, 'video')}"


def verdict(tally: Tally, config: RunConfig) -> str | None:
    """Why the run failed, or None.

    What an earlier run had told of, and is as it was, makes no run fail again.
    """
    if problems := tally.problems():
        return "; ".join(problems)
    failures = tally.new_failures
    allowed = allowed_failures(
        config.execution.allow_failures, tally.with_frames + tally.failed_sources
    )
    if failures > allowed:
        before = f", {tally.known} failed before" if tally.known else ""
        return (
            f"{_new_failures(tally)} failed ({allowed} allowed){before};"
            f" everything else is in {config.output}"
        )
    if tally.written or failures:
        return None
    if tally.empty > tally.empty_before:
        why = config.recipe.span_source.why_none()
        return f"0 clips: {count(tally.empty, 'video')} gave none, {why}"
    if not (tally.empty or tally.known):
        return "0 clips: the input holds no videos"
    return None


def _alike(failures: Iterable[tuple[str, Failure]]) -> list[tuple[str, Failure, int]]:
    """Each reason once, with the first it happened to, and how many more had it."""
    found: dict[tuple[str, str], tuple[str, Failure, int]] = {}
    for name, failure in failures:
        key = (failure.kind.value, failure.message)
        first, kept, others = found.get(key, (name, failure, -1))
        found[key] = (first, kept, others + 1)
    return list(found.values())


def _named(name: str, failure: Failure) -> str:
    """A failure's message; those of a source begin with its name already."""
    return failure.message if failure.message.startswith(name) else f"{name}: {failure.message}"


def summary_lines(tally: Tally, output: str) -> list[str]:
    """A few lines for a terminal: what was done, how fast, what is missing."""
    made = tally.written - tally.reused
    parts = [f"{count(tally.written, 'clip')} from {count(tally.clipped, 'video')} in {output}"]
    if made and tally.reused:
        parts.append(f"{made} made now, {tally.reused} were there already")
    elif tally.reused and not made:
        parts.append("all of them were there already: nothing was encoded")
    if made:
        parts.append(
            f"{tally.made_seconds:.0f} s of clips in {tally.seconds:.1f} s"
            f" ({tally.speed():.1f}x real time,"
            f" {tally.frames_encoded / max(tally.seconds, 0.001):.0f} frames/s)"
        )
    if len(tally.encoders) > 1:
        parts.append(f"clips: {_by_encoder(tally)}")
    return [*parts, *tally.cluster_notes]


def _by_encoder(tally: Tally) -> str:
    return ", ".join(f"{n} by {name}" for name, n in sorted(tally.encoders.items()))


def summary_markdown(tally: Tally, output: str, about: Iterable[tuple[str, str]]) -> str:
    """The run's summary for Prefect's page."""
    made = tally.written - tally.reused
    rows = [
        (
            "Videos",
            f"{tally.sources}: {tally.clipped} clipped, {tally.empty} without clips,"
            f" {tally.failed_sources} failed",
        ),
        ("Clips planned", f"{tally.planned}, {tally.with_frames} of them with frames"),
        (
            "Clips written",
            f"{tally.written} ({made} made now, {tally.reused} there already)",
        ),
        ("Clips failed", f"{tally.failed}"),
        ("Failed before", f"{tally.known} of the failed clips and videos, not tried again"),
        (
            "Clips absent",
            f"{tally.absent}, in {count(tally.stretches, 'stretch')}" if tally.absent else "0",
        ),
        ("Clips with damage in the source", f"{tally.damaged}"),
        ("Clips in the manifest", f"{tally.holding.clips}"),
        ("Clips stale", f"{sum(tally.holding.stale.values())} {_in_brackets(tally.holding)}"),
        ("Stale clips removed", f"{tally.holding.removed}"),
        ("Chunks", f"{tally.chunks} ({tally.chunks_done_before} done before)"),
        ("Seconds of clips made", f"{tally.made_seconds:.1f}"),
        ("Speed", f"{tally.speed():.2f}x real time"),
        (
            "Frames encoded",
            f"{tally.frames_encoded}"
            f" ({tally.frames_encoded / max(tally.seconds, 0.001):.0f} a second)",
        ),
        ("Bytes of clips", f"{tally.bytes_written}"),
        ("Retries", f"{tally.retries}"),
        ("Workers lost", f"{tally.crashes}"),
        ("Encoded", _by_encoder(tally)),
        ("Wall time", f"{tally.seconds:.1f} s"),
        ("Output", f"`{output}`"),
        *(("Cluster", note) for note in tally.cluster_notes),
        *about,
    ]
    text = ["# Clips", "", "| | |", "| --- | --- |"]
    text += [f"| {name} | {_cell(value)} |" for name, value in rows]
    if tally.problems():
        text += ["", "## It does not add up", "", *(f"- {p}" for p in tally.problems())]
    if tally.failures:
        text += [
            "",
            "## What failed, and why",
            "",
            "| what | kind | why |",
            "| --- | --- | --- |",
        ]
        text += [
            f"| {_cell(name)} | {f.kind.value} | {_cell(f.message)} |" for name, f in tally.failures
        ]
        total = sum(tally.kinds.values())
        if total > len(tally.failures):
            text += [
                "",
                f"The first {len(tally.failures)} of {total}; {FAILURES} has all.",
            ]
    if tally.known_failures:
        text += ["", "## What failed before", ""]
        text += [f"- {_named(name, f)}" for name, f in tally.known_failures]
        if tally.known > len(tally.known_failures):
            text += [f"- … {tally.known - len(tally.known_failures)} more"]
    if tally.reasons_empty:
        text += ["", "## Videos without clips", ""]
        text += [f"- {n} x {reason}" for reason, n in tally.reasons_empty.most_common(10)]
    if tally.slowest:
        text += ["", "## Slowest chunks", "", "| chunk | seconds |", "| --- | --- |"]
        text += [f"| {_cell(name)} | {s:.1f} |" for s, name in sorted(tally.slowest, reverse=True)]
    if tally.warnings:
        text += [
            "",
            "## Noticed in the sources",
            "",
            *(f"- {w}" for w in tally.warnings),
        ]
        if tally.warnings_total > len(tally.warnings):
            text += [f"- … {tally.warnings_total - len(tally.warnings)} more"]
    return "\n".join(text)


def _in_brackets(holding: Holding) -> str:
    return f"({_by_reason(holding)})" if holding.stale else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
