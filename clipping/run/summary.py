"""What a run says at its end, and whether it failed. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

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
    "by_encoder",
    "by_reason",
    "closing_lines",
    "last_line",
    "listed",
    "named",
    "outcome",
    "shortened",
    "state_message",
    "summary_lines",
    "verdict",
]

_FAILURES_SAID = 10
_KNOWN_SAID = 3
_WARNINGS_SAID = 5
_NAMED = 3
_REASON_LONGEST = 300


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
        lines.append(
            f"{count(tally.empty, 'video')} gave no clip, {why}"
            f"{listed(tally.empty_named, tally.empty)} (all in {FAILURES})"
        )
    if tally.absent:
        without = " or without a keyframe to cut at" if config.recipe.copies else ""
        lines.append(f"{absent(tally.absent, tally.stretches)}{without}")
    lines += _of_clips(tally)
    if tally.damaged:
        lines.append(
            f"{count(tally.damaged, 'clip')} with damage of the source, told in their records"
            f"{listed(tally.damaged_named, tally.damaged)}"
        )
    if tally.passed_over:
        lines.append(
            f"{count(tally.passed_over, 'other file')} passed over by name"
            f"{listed(tally.passed_over_named[:_NAMED], tally.passed_over)}"
        )
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
            lines.append(f"  {named(name, failure)}{words}")
            if config.execution.verbose and failure.command:
                lines.append(f"    command: {failure.command}")
        more = sum(tally.kinds.values()) - sum(1 + others for _, _, others in alike)
        if more > 0:
            lines.append(f"  … and {more} more, in {FAILURES}")
    if tally.known:
        said = [named(name, failure) for name, failure in tally.known_failures[:_KNOWN_SAID]]
        more = [f"and {tally.known - len(said)} more"] if tally.known > len(said) else []
        lines.append(
            f"{tally.known} failed before ({'; '.join([*said, *more])}), {tally.new_failures} new;"
            " --retry-failed tries again what failed before"
        )
    return [*lines, tally.report] if tally.report else lines


def _of_clips(tally: Tally) -> Iterator[str]:
    """What a person should know of how clips came to be."""
    if tally.moves:
        yield _moved(tally.moves)
    if tally.uneven:
        yield (
            f"{count(tally.uneven, 'video')} of variable frame rate, which clips keep: readers that"
            " find a frame by its number may give a neighbour; --fps makes the rate constant"
        )


def _moved(moves: Counter[int]) -> str:
    """By how much edges of copied clips moved to a keyframe."""
    half, so_far, middle = moves.total() / 2, 0, 0
    for milliseconds in sorted(moves):
        so_far += moves[milliseconds]
        middle = milliseconds
        if so_far >= half:
            break
    return (
        f"clips begin and end at keyframes: edges moved by {middle / 1000:g} s (median),"
        f" {max(moves) / 1000:g} s at most"
    )


def listed(names: Sequence[str], number: int) -> str:
    """To stand behind a number of things: the names there are, and how many more."""
    if not names:
        return ""
    more = number - len(names)
    return f": {', '.join(names)}{f' and {more} more' if more > 0 else ''}"


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
            f"{count(stale, 'clip')} stale ({by_reason(holding)}): see the column `stale` in"
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


def by_reason(holding: Holding) -> str:
    """How many clips are stale, reason by reason."""
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
    told = [count(n, noun) for n, noun in ((clips, "clip"), (videos, "video")) if n]
    return " and ".join(told) or "nothing"


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


def last_line(tally: Tally, config: RunConfig, failed: str) -> str:
    """The last line of a run that failed, below `closing_lines`, which have named the failures.

    failed: its `verdict`.
    """
    if not tally.new_failures or tally.problems():
        return f"Failed: {failed}"
    allowed = config.execution.allow_failures
    return f"Failed: --allow-failures is {allowed}; everything else is in {config.output}"


def state_message(tally: Tally, failed: str) -> str:
    """What Prefect says of a run that failed: the first reason with its file, then the numbers.

    failed: its `verdict`.
    """
    if not tally.failures or tally.problems():
        return failed
    first = named(*tally.failures[0])
    more = sum(tally.kinds.values()) - 1
    others = f" (and {more} more)" if more else ""
    return f"{shortened(first)}{others}. {failed}"


def shortened(text: str, most: int = _REASON_LONGEST) -> str:
    """One line of a text, with its end left out if it is long."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1].rstrip()}…"


def _alike(failures: Iterable[tuple[str, Failure]]) -> list[tuple[str, Failure, int]]:
    """Each reason once, with the first it happened to, and how many more had it."""
    found: dict[tuple[str, str], tuple[str, Failure, int]] = {}
    for name, failure in failures:
        key = (failure.kind.value, failure.message)
        first, kept, others = found.get(key, (name, failure, -1))
        found[key] = (first, kept, others + 1)
    return list(found.values())


def named(name: str, failure: Failure) -> str:
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
        parts.append(f"clips: {by_encoder(tally)}")
    return [*parts, *tally.cluster_notes]


def by_encoder(tally: Tally) -> str:
    """How many clips each encoder made."""
    return ", ".join(f"{n} by {name}" for name, n in sorted(tally.encoders.items()))
