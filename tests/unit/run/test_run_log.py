"""The log of a run in its output: in order, with times, bounded."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from clipping.run import run_log
from clipping.run.progress import Snapshot
from clipping.run.run_log import LoggedView, RunLog
from clipping.storage.outputs import open_output

BEGAN = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


class Said:
    """A view that keeps what it is told."""

    def __init__(self) -> None:
        self.shown: list[Snapshot] = []
        self.lines: list[str] = []

    def show(self, snapshot: Snapshot) -> None:
        """Keep it."""
        self.shown.append(snapshot)

    def say(self, lines: list[str]) -> None:
        """Keep them."""
        self.lines += lines


def test_it_lies_in_the_output_under_its_time(tmp_path: Path) -> None:
    """Written anew as often as asked, whole each time."""
    log = RunLog("3ec5a729-1234", BEGAN)
    log.add("one\ntwo")
    log.write(open_output(str(tmp_path)))
    log.add("ü “three”")
    log.write(open_output(str(tmp_path)))
    (file,) = (tmp_path / "logs").iterdir()
    assert file.name == "2026-03-04T05-06-07Z-3ec5a729.log"
    lines = file.read_text(encoding="utf-8").splitlines()
    assert [line[21:] for line in lines] == ["one", "two", "ü “three”"]
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  ", line) for line in lines)


def test_it_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first and the last lines are kept, and what is left out is told."""
    monkeypatch.setattr(run_log, "_FIRST", 3)
    log = RunLog("x")
    for number in range(10_000):
        log.add(f"line {number}")
    lines = log.text().splitlines()
    assert [line[21:] for line in lines[:3]] == ["line 0", "line 1", "line 2"]
    assert lines[3] == "… 1997 lines are left out here …"
    assert lines[4].endswith("line 2000")
    assert lines[-1].endswith("line 9999")


def test_an_output_that_takes_nothing_stops_nothing(tmp_path: Path) -> None:
    """A log is a courtesy."""
    (tmp_path / "file").write_text("x")
    RunLog("x").write(open_output(str(tmp_path / "file" / "out")))


def test_the_view_notes_progress_and_last_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """And shows all of it as before."""
    monkeypatch.setattr(run_log, "_PROGRESS_EVERY", 0.0)
    said, log = Said(), RunLog("x")
    view = LoggedView(said, log)
    view.show(Snapshot(done=3, planned=4, share=0.75))
    view.say(["4 clips from 1 video"])
    assert len(said.shown) == 1
    assert said.lines == ["4 clips from 1 video"]
    assert [line[21:] for line in log.text().splitlines()] == [
        " 75%  3 of 4 clips",
        "4 clips from 1 video",
    ]
