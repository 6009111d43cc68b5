"""What a person, or a program, is told of a run's progress."""

from __future__ import annotations

import io
import json
import time

import pytest
from rich.console import Console

from clipping.run.progress import JsonLines, Lines, Screen, Snapshot


def working(**more: object) -> Snapshot:
    """A run in the middle."""
    facts: dict[str, object] = {
        "done": 1234, "planned": 5678, "failed": 3, "videos": 400, "videos_opened": 120,
        "frames": 99_000.0, "share": 0.43, "seconds_left": 3725.0,
        "began": time.monotonic() - 300, **more,
    }  # fmt: skip
    return Snapshot(**facts)  # pyright: ignore[reportArgumentType]


def test_all_of_it_where_there_is_room() -> None:
    """What matters most comes first."""
    assert working().text() == (
        "1234 of 5678+ clips, 3 failed, 1:02:05 left, 330 frames/s, 120 of 400 videos opened"
    )


@pytest.mark.parametrize("width", range(20, 100, 7))
def test_a_line_is_as_long_as_there_is_room(width: int) -> None:
    """Parts are left out whole, the least important first."""
    text = working().text(width)
    assert len(text) <= width
    assert text.startswith("1234 of 5678+ clips")


def test_before_the_first_clip_the_phase_is_told() -> None:
    """No percentage of nothing: `23 of 23 clips` is not said while others are unknown."""
    assert Snapshot("starting Ray").text() == "starting Ray"
    opening = Snapshot("opening videos", videos=9, videos_opened=4)
    assert opening.text() == "opening videos: 4 of 9"
    assert working(done=23, planned=23).text().startswith("23 of 23+ clips")
    assert working(done=23, planned=23, videos=4, videos_opened=4).text().startswith("23 of 23 c")


@pytest.mark.parametrize("width", [60, 80, 100, 160])
def test_the_bar_is_one_line(width: int) -> None:
    """On any terminal, in every phase: nothing wraps, nothing is cut."""
    for snapshot in (Snapshot("starting Prefect's server and Ray"), working(), working(share=1)):
        console = Console(width=width, file=io.StringIO(), force_terminal=True, color_system=None)
        screen = Screen(console)
        screen.show(snapshot)
        with console.capture() as captured:
            console.print(screen._bar.get_renderable())
        lines = captured.get().rstrip("\n").split("\n")
        assert len(lines) == 1
        assert "…" not in lines[0]
        assert snapshot.text(20).split(",")[0] in lines[0]


def test_lines_for_programs() -> None:
    """One object a line; a new phase at once, the rest at most every so often."""
    written: list[str] = []
    view = JsonLines(written.append, every=3600)
    for snapshot in (Snapshot("opening videos", videos=2), working(), working(done=1300)):
        view.show(snapshot)
    view.say(["5 clips", "„ü”"])
    opening, clipping, summary = map(json.loads, written)
    assert opening["phase"] == "opening videos"
    assert (clipping["phase"], clipping["share"], clipping["seconds_left"]) == (
        "clipping", 0.43, 3725.0,
    )  # fmt: skip
    assert (clipping["clips_done"], clipping["clips_planned"]) == (1234, 5678)
    assert clipping["frames_per_second"] == pytest.approx(330, abs=1)
    assert summary == {"event": "summary", "lines": ["5 clips", "„ü”"]}


def test_plain_lines_come_every_so_often() -> None:
    """For logs and pipes; the last words go where results go."""
    shown: list[str] = []
    said: list[str] = []
    view = Lines(shown.append, said.append, every=0)
    view.show(working())
    view.say(["done"])
    assert shown == [f" 43%  {working().text()}"]
    assert said == ["done"]
