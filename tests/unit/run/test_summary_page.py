"""What a run's page shows: failures first, names as text, a table that fits."""

from __future__ import annotations

from typing import Any

from clipping.config.load import resolve
from clipping.errors import FailureKind
from clipping.models import Failure
from clipping.run.summary import state_message, verdict
from clipping.run.summary_page import of_many_videos, summary_markdown, table_rows
from clipping.run.tally import Tally


def failed_run() -> Tally:
    """Two videos, one of which is no video; two clips of the other, one failed."""
    tally = Tally(sources=2, clipped=1, planned=2, written=1, failed=1)
    tally.add_failed_source(
        "page.mp4", Failure(kind=FailureKind.BAD_INPUT, message="page.mp4: an HTML page"),
        before=False,
    )  # fmt: skip
    reason = Failure(kind=FailureKind.TIMED_OUT, message="no progress for 300 s")
    tally.add_failure("talk.mp4 clip 1", reason, source="talk.mp4")
    return tally


def row(source: str, number: int, **more: Any) -> dict[str, Any]:
    """A row of the manifest, of a written clip unless `more` says else."""
    start = 10.0 * number
    return {
        "source": source, "number": number, "count": 1, "status": "written", "start_s": start,
        "end_s": start + 10, "frames": 250, "bytes": 1_234_567, "encoder": "libx264",
        "clip": f"{number}2345678-90ab-cdef", "file": f"clips/{number}.mp4", "errors": None, **more,
    }  # fmt: skip


def test_the_summary_leads_with_what_failed() -> None:
    """The heading counts it, the first table names it; numbers come after."""
    text = summary_markdown(failed_run(), "`/clips`", [("Recipe", "10 s every 10 s")])
    lines = [line for line in text.splitlines() if line]
    assert lines[0] == "# 1 video and 1 clip failed; 1 clip from 1 video"
    assert lines[1].startswith("| what failed")
    assert lines[3:5] == [
        "| page.mp4: an HTML page | bad input |",
        "| talk.mp4 clip 1: no progress for 300 s | timed out |",
    ]
    assert "| Output | `/clips` |" in lines
    assert "| Recipe | 10 s every 10 s |" in lines
    assert not [line for line in lines if line.startswith(("| Clips stale", "| Workers lost"))]


def test_a_good_run_has_no_failures_to_lead_with() -> None:
    """What there is none of is not listed."""
    text = summary_markdown(Tally(sources=1, clipped=1, planned=3, written=3), "`/clips`", [])
    assert text.startswith("# 3 clips from 1 video\n\n## In numbers\n")


def test_a_run_that_ended_early_says_why_on_top() -> None:
    """And does not complain that its numbers do not add up yet."""
    tally = Tally(sources=9, clipped=1, planned=5, written=3)
    text = summary_markdown(tally, "`/clips`", [], ended_early="there is no room for a.parquet")
    lines = [line for line in text.splitlines() if line]
    assert lines[:2] == [
        "# Ended early, with 3 clips from 1 video",
        "**there is no room for a.parquet**",
    ]
    assert "add up" not in text


def test_names_are_text() -> None:
    """A file's name may hold what Markdown or HTML would take for its own."""
    tally = Tally(sources=1)
    name = "<script>`a|b`*[x](y)_z_.mp4"
    failure = Failure(kind=FailureKind.BAD_INPUT, message=f"{name}: is empty")
    tally.add_failed_source(name, failure, before=False)
    line = summary_markdown(tally, "`/clips`", []).splitlines()[4]
    escaped = r"\<script\>\`a\|b\`\*\[x\](y)\_z\_.mp4"
    assert line == f"| {escaped}: is empty | bad input |"


def test_the_state_message_begins_with_the_first_reason_and_its_file() -> None:
    """One look at a list of runs tells what happened; the numbers follow."""
    tally, config = failed_run(), resolve(output="/clips")
    failed = verdict(tally, config)
    assert failed
    assert state_message(tally, failed) == (
        "page.mp4: an HTML page (and 1 more). 1 clip and 1 video failed (0 allowed); everything"
        " else is in /clips"
    )
    tally.failures[0] = ("a.mp4", Failure(kind=FailureKind.UNKNOWN, message="x" * 999))
    assert len(state_message(tally, failed)) < 420


def test_the_table_fits_a_page() -> None:
    """Short ids, sizes with a unit, reasons cut short, video by video; links where there are."""
    long = row("a.mp4", 1, status="failed", errors="e" * 500, file=None, bytes=0)
    link = "https://example.org/0.mp4"
    rows = table_rows([long, row("b.mp4", 0), row("a.mp4", 0)], {"02345678-90ab-cdef": link})
    assert [(r["video"], r["clip"]) for r in rows] == [
        ("a.mp4", "0"), ("a.mp4", "1"), ("b.mp4", "0"),
    ]  # fmt: skip
    assert rows[0] == {
        "video": "a.mp4", "clip": "0", "seconds": "0-10", "frames": 250, "size": "1.23 MB",
        "status": "written", "encoder": "libx264", "id": f"[02345678]({link})", "why": "",
    }  # fmt: skip
    assert rows[1]["id"] == "12345678"
    assert len(rows[1]["why"]) <= 120
    assert "why" not in table_rows([row("a.mp4", 0)], {})[0]


def test_pictures_are_of_as_many_videos_as_there_is_room_for() -> None:
    """The first clip of each before the second one of any; failed clips have no picture."""
    rows = [row("a.mp4", n) for n in range(5)] + [row("b.mp4", 7), row("c.mp4", 0, file=None)]
    chosen = of_many_videos(rows, 3)
    assert [(r["source"], r["number"]) for r in chosen] == [
        ("a.mp4", 0), ("a.mp4", 1), ("b.mp4", 7),
    ]  # fmt: skip
