"""`python flows/clip_flow.py` as a person runs it, in a new HOME: Ctrl-C, SIGKILL, again."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.support.command_line import command
from tests.support.media import FFMPEG, counter_video, ffmpeg, read_numbers, steady
from tests.support.processes import RAY_ENDS_AFTER_SIGKILL_S, left_over, wait_until

NVENC_STAND_IN = Path(__file__).parent.parent / "support" / "nvenc_stand_in.py"


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """An environment like a new user's: no Prefect settings, no ffmpeg."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT", "CLIPPING", "RAY"))}
    (tmp_path / "home").mkdir()
    return {**kept, "HOME": str(tmp_path / "home"), "PATH": "/usr/bin:/bin"}


@pytest.fixture
def used(home: dict[str, str], used_home: Path) -> dict[str, str]:
    """The same environment after a first run."""
    shutil.copytree(used_home, home["HOME"], dirs_exist_ok=True)
    return home


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three videos that take some seconds to encode."""
    folder = tmp_path_factory.mktemp("videos")
    small = tmp_path_factory.mktemp("media") / "small.mp4"
    counter_video(small, *steady(300, 25))
    big = ["-vf", "scale=640:384:flags=neighbor", "-preset", "ultrafast"]
    ffmpeg("-i", small, *big, folder / "0.mp4")
    for i in (1, 2):
        shutil.copy(folder / "0.mp4", folder / f"{i}.mp4")
    return folder


@pytest.fixture(scope="module")
def long_video(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video that takes minutes to encode."""
    path = tmp_path_factory.mktemp("media") / "in.mp4"
    ffmpeg("-stream_loop", "40", "-i", videos / "0.mp4", "-c", "copy", path)
    return path


@pytest.fixture
def short_folder() -> Iterator[str]:
    """A folder whose name is short enough for Ray's sockets."""
    with tempfile.TemporaryDirectory(prefix="c-", dir="/tmp") as folder:
        yield folder


@pytest.fixture
def started(home: dict[str, str]) -> Iterator[list[subprocess.Popen[str]]]:
    """Processes to end whatever happens."""
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


def check_clips(out: Path) -> None:
    """Every clip of the manifest is there and exact; no other file has a clip's name."""
    rows = pq.read_table(out / "manifest.parquet").to_pylist()
    assert {p.name for p in (out / "clips").iterdir()} == {f"{r['clip']}.mp4" for r in rows}
    for row in rows:
        shown = [n for _, n in read_numbers(out / row["file"])]
        assert shown == list(range(row["start_frame"], row["end_frame"]))


def check_events(events: list[dict[str, Any]], out: Path) -> None:
    """What `--json` tells: phases, a share that never falls, the words of the end, the result."""
    progress = [event for event in events if event["event"] == "progress"]
    assert [event["event"] for event in events[len(progress) :]] == ["summary", "result"]
    assert progress[0]["phase"] == "looking for videos"
    assert progress[-1]["phase"] == "clipping"
    shares = [event["share"] for event in progress]
    assert shares == sorted(shares)
    result = events[-1]
    assert result["written"] == result["clips"] == progress[-1]["clips_planned"]
    assert result["made"] + result["reused"] == result["written"]
    assert (result["manifest"], result["failures"]) == (str(out / "manifest.parquet"), [])


FLAGS = [
    *("--clip-len-s", "2", "--clip-stride-s", "1", "--preset", "medium"),
    *("--encode-batch-size", "2"),
]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_stopped_in_the_middle_and_run_again(
    how: signal.Signals,
    videos: Path,
    used: dict[str, str],
    tmp_path: Path,
    started: list[subprocess.Popen[str]],
) -> None:
    """Nothing half-written, no process left, and the same command goes on."""
    out = tmp_path / "out"
    line = command("--input", videos, "--output", out, *FLAGS)
    run = subprocess.Popen(
        line, env=used, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    )
    started.append(run)
    wait_until(lambda: len(list(out.glob("clips/*.mp4"))) >= 3, 120, "three clips")
    os.kill(run.pid, how)
    _, errors = run.communicate(timeout=30)
    if how is signal.SIGINT:
        assert run.returncode == 130
        assert "run the same command again to go on" in errors
        assert "Traceback" not in errors
    within = 20 if how is signal.SIGINT else RAY_ENDS_AFTER_SIGKILL_S
    wait_until(lambda: not left_over(used), within, lambda: f"processes end: {left_over(used)}")
    survivors = {p.name: p.stat().st_mtime_ns for p in out.glob("clips/*.mp4")}
    assert survivors
    if how is signal.SIGINT:
        (log,) = out.glob("logs/*.log")
        assert "Ended early: KeyboardInterrupt" in log.read_text()
    for name in survivors:
        assert read_numbers(out / "clips" / name)
    again = subprocess.run(
        [*line, "--json"],
        env=used, capture_output=True, text=True, cwd=tmp_path, timeout=200, check=False,
    )  # fmt: skip
    assert again.returncode == 0, again.stderr
    assert "were there already" in again.stdout
    check_events([json.loads(event) for event in again.stdout.splitlines()], out)
    kept = [n for n, t in survivors.items() if (out / "clips" / n).stat().st_mtime_ns == t]
    # Of each of the two chunks at work, one may have been published without its record.
    assert len(kept) >= len(survivors) - 2
    assert not list(out.glob(".partial/*"))
    check_clips(out)
    wait_until(lambda: not left_over(used), 20, "processes end")
    with sqlite3.connect(Path(used["HOME"]) / ".prefect/prefect.db") as database:
        states = database.execute("SELECT state_type FROM flow_run ORDER BY created").fetchall()
    assert states == [("CRASHED",), ("COMPLETED",)]


@pytest.mark.parametrize(
    ("seconds", "how", "status"),
    [
        (0.3, signal.SIGINT, 130),
        (2, signal.SIGTERM, 143),
        (4, signal.SIGINT, 130),
        (7, signal.SIGHUP, 129),
        (10, signal.SIGTERM, 143),
    ],
)
def test_stopped_while_it_starts(
    seconds: float,
    how: signal.Signals,
    status: int,
    long_video: Path,
    home: dict[str, str],
    tmp_path: Path,
    short_folder: str,
    started: list[subprocess.Popen[str]],
) -> None:
    """Stopped whatever is being imported or started: no traceback, no process, no scratch file."""
    run = subprocess.Popen(
        command("--input", long_video, "--output", tmp_path / "out", *FLAGS),
        env={**home, "TMPDIR": short_folder},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path,
    )  # fmt: skip
    started.append(run)
    time.sleep(seconds)
    os.kill(run.pid, how)
    _, errors = run.communicate(timeout=20)
    assert run.returncode in (status, -how), errors  # the latter before anything is imported
    assert "Traceback" not in errors
    wait_until(lambda: not left_over(home), 10, lambda: f"processes end: {left_over(home)}")
    assert not list(Path(short_folder).glob("clipping-*"))


def test_a_folder_that_ray_cannot_use_is_told(home: dict[str, str], tmp_path: Path) -> None:
    """Sockets have short names: where the temporary folder's is too long, one line says so."""
    counter_video(tmp_path / "in.mp4", *steady(75, 25))
    far = tmp_path / ("long" * 30)
    far.mkdir()
    done = subprocess.run(
        command("--input", tmp_path / "in.mp4", "--output", tmp_path / "out"),
        env={**home, "TMPDIR": str(far)},
        capture_output=True, text=True, cwd=tmp_path, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "RAY_TMPDIR" in done.stderr
    assert "Traceback" not in done.stderr
    wait_until(lambda: not left_over(home), 10, lambda: f"processes end: {left_over(home)}")


def test_without_an_input_it_clips_a_sample(home: dict[str, str], tmp_path: Path) -> None:
    """The first command works with nothing at hand, and a second run has nothing to do."""
    line = command("--output", tmp_path / "out", "--preset", "ultrafast")
    first = subprocess.run(
        line, env=home, capture_output=True, text=True, cwd=tmp_path, timeout=200, check=False
    )
    assert first.returncode == 0, first.stderr
    assert "3 clips from 1 video" in first.stdout
    assert "Traceback" not in first.stderr
    assert len(list((tmp_path / "out" / "clips").glob("*.mp4"))) == 3
    second = subprocess.run(
        line, env=home, capture_output=True, text=True, cwd=tmp_path, timeout=200, check=False
    )
    assert second.returncode == 0
    assert "nothing was encoded" in second.stdout
    assert len(second.stderr.splitlines()) <= 3, second.stderr


def test_a_terminal_gets_a_bar(videos: Path, used: dict[str, str], tmp_path: Path) -> None:
    """On a terminal: one moving line, then the closing ones; no chatter of Prefect or Ray."""
    ours, theirs = pty.openpty()
    line = command("--input", videos / "0.mp4", "--output", tmp_path / "out", *FLAGS)
    run = subprocess.Popen(
        line, env={**used, "TERM": "xterm", "COLUMNS": "120"}, stdout=theirs, stderr=theirs,
        stdin=theirs, cwd=tmp_path,
    )  # fmt: skip
    os.close(theirs)
    text = b""
    while True:
        try:
            block = os.read(ours, 65536)
        except OSError:
            break
        if not block:
            break
        text += block
    assert run.wait(timeout=60) == 0
    os.close(ours)
    shown = text.decode(errors="replace")
    assert "━" in shown
    assert "clips" in shown
    assert "11 clips from 1 video" in shown
    shown = shown.replace("starting Prefect's server and Ray", "").replace("joining Ray", "")
    for chatter in ("Flow run", "INFO", "WARNING", "raylet", "Ray "):
        assert chatter not in shown


def test_a_dry_run_writes_nothing(videos: Path, home: dict[str, str], tmp_path: Path) -> None:
    """It says what would be done, in a second or two, and leaves no trace."""
    line = command("--input", videos, "--output", tmp_path / "out", "--dry-run", *FLAGS)
    done = subprocess.run(
        line, env=home, capture_output=True, text=True, cwd=tmp_path, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "3 videos found" in done.stdout
    assert "33 clips, 0 of them there already, 33 to make in 3 chunks" in done.stdout
    assert "36.0 s of video to encode" in done.stdout
    assert not (tmp_path / "out").exists()


def test_nvenc_where_there_is_none_ends_before_ray_is_started(
    home: dict[str, str], tmp_path: Path
) -> None:
    """One line with the reason and what to do; no Ray has left its files."""
    counter_video(tmp_path / "in.mp4", *steady(75, 25))
    stand_in = tmp_path / "ffmpeg"
    stand_in.write_text(
        f'#!/bin/sh\nexec "{sys.executable}" -SE "{NVENC_STAND_IN}" "{tmp_path}" "{FFMPEG}" "$@"\n'
    )
    stand_in.chmod(0o755)
    (tmp_path / "ray").mkdir()
    done = subprocess.run(
        command(
            *("--input", tmp_path / "in.mp4", "--output", tmp_path / "out"),
            *("--encoder", "h264_nvenc", "--ffmpeg-binary", stand_in),
        ),
        env={**home, "RAY_TMPDIR": str(tmp_path / "ray")},
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "h264_nvenc does not work on this machine: no device that encodes" in done.stderr
    assert "--encoder auto or libx264" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not list((tmp_path / "ray").iterdir())
    assert not left_over(home)
