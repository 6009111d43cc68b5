"""What a run says at its end, and whether it failed. Pure."""

from __future__ import annotations

from clipping.models import Failure
from clipping.reporting import Tally, count, summary_lines
from clipping.settings import Settings, allowed_failures

__all__ = ["about", "closing_lines", "verdict"]

_FAILURES_SAID = 10


def about(settings: Settings, ffmpeg: str) -> list[tuple[str, str]]:
    """What the summary says of the settings."""
    return [
        (
            "Recipe",
            f"{settings.clip_len_s:g} s every {settings.clip_stride_s:g} s,"
            f" {settings.encoder}, digest {settings.recipe.digest()}",
        ),
        ("ffmpeg", ffmpeg),
    ]


def closing_lines(tally: Tally, settings: Settings) -> list[str]:
    """What a person reads at the end."""
    lines = [*summary_lines(tally, settings.output)]
    if tally.empty:
        lines.append(
            f"{count(tally.empty, 'video')} gave no clip: shorter than"
            f" --min-clip-length-s {settings.min_clip_length_s:g}"
        )
    if tally.absent:
        lines.append(f"{count(tally.absent, 'clip')} absent: no frame lies in that span")
    if tally.damaged:
        lines.append(
            f"{count(tally.damaged, 'clip')} with damage of the source (see the errors there)"
        )
    if tally.passed_over:
        lines.append(f"{count(tally.passed_over, 'other file')} passed over by extension")
    if tally.crashes:
        lines.append(
            f"{count(tally.crashes, 'worker')} died (killed, out of memory, or with their node);"
            " what they held was submitted again"
        )
    if tally.failed or tally.failed_sources:
        lines.append(
            f"{count(tally.failed, 'clip')} and {count(tally.failed_sources, 'video')} failed:"
        )
        shown = tally.failures[:_FAILURES_SAID]
        lines += [f"  {_named(name, failure)}" for name, failure in shown]
        more = sum(tally.kinds.values()) - len(shown)
        if more > 0:
            lines.append(f"  … and {more} more, in manifest.parquet and processed_videos/")
    return lines


def verdict(tally: Tally, settings: Settings) -> str | None:
    """Why the run failed, or None."""
    if problems := tally.problems():
        return "; ".join(problems)
    failures = tally.failed + tally.failed_sources
    allowed = allowed_failures(settings.allow_failures, tally.planned + tally.failed_sources)
    if failures > allowed:
        return (
            f"{count(tally.failed, 'clip')} and {count(tally.failed_sources, 'video')} failed"
            f" ({allowed} allowed); everything else is in {settings.output}"
        )
    if not tally.written and not failures:
        return (
            f"0 clips: no video in the input is as long as min_clip_length_s"
            f" ({settings.min_clip_length_s:g} s)"
            if tally.empty
            else "0 clips: the input holds no videos"
        )
    return None


def _named(name: str, failure: Failure) -> str:
    """A failure's message; those of a source begin with its name already."""
    return failure.message if failure.message.startswith(name) else f"{name}: {failure.message}"
