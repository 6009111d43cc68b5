"""Why a server ended, and a HOME that cannot be written."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
from pathlib import Path

import psutil
import pytest

from clipping.errors import ClippingError, FailureKind
from clipping.orchestration import local_server
from clipping.orchestration.local_server import (
    LocalServer,
    require_answer,
    why_ended,
    writable_home,
)

# What a real server said, shortened: the database of a newer version, none at all, no room.
NEWER = """
    raise util.CommandError(resolution) from re
alembic.util.exc.CommandError: Can't locate revision identified by 'ffffffffffff'

Application startup failed. Exiting.
"""
BROKEN = """
sqlalchemy.exc.DatabaseError: (sqlite3.DatabaseError) file is not a database
(Background on this error at: https://sqlalche.me/e/20/4xp6)
Application startup failed. Exiting.
"""
TAKEN = """
10:00:00.897 | ERROR   | uvicorn.error - [Errno 98] error while attempting to bind on address \
('127.0.0.1', 39999): address already in use
AssertionError: Reactive triggers not started
10:00:00.937 | ERROR   | uvicorn.error - Application shutdown failed. Exiting.
"""
FULL = """
sqlalchemy.exc.OperationalError: (sqlite3.OperationalError) database or disk is full
"""


@pytest.mark.parametrize(
    ("said", "code", "words"),
    [
        (NEWER, 3, "/home/x/prefect was made by another version of Prefect; set PREFECT_HOME"),
        (BROKEN, 3, "/home/x/prefect is broken; move prefect.db away"),
        (FULL, 3, "no room in /home/x/prefect"),
        ("", -9, "it was killed by SIGKILL, perhaps since memory ran out"),
        (TAKEN, 3, "('127.0.0.1', 39999): address already in use"),
        ("", 3, "exit status 3 and said nothing"),
        ("\nStarted\nWaiting.\n", 3, "exit status 3; its last line: Waiting."),
        ("Trace\nValueError: a setting is wrong\nExiting.\n", 1, "ValueError: a setting is wrong"),
    ],
)
def test_why_a_server_ended_is_told(
    said: str, code: int, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What its last words mean and what to do; never nothing."""
    monkeypatch.setenv("PREFECT_HOME", "/home/x/prefect")
    assert words in why_ended(said.splitlines(), code)


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's temporary folder."""
    monkeypatch.setenv("PREFECT_HOME", "")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_home_that_can_be_written_is_used(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Prefect does by itself."""
    monkeypatch.setenv("HOME", str(temporary))
    assert writable_home() is None
    assert (temporary / ".prefect").is_dir()


@pytest.mark.parametrize("home", ["/dev/null", "/proc/1"])
def test_where_home_cannot_be_written_a_temporary_folder_takes_its_place(
    home: str, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each time the same one, for its owner alone; a line says so and what to do."""
    monkeypatch.setenv("HOME", home)
    line = writable_home()
    other = Path(os.environ["PREFECT_HOME"])
    assert line is not None
    assert f"records this run in {other}; set PREFECT_HOME" in line
    assert other.parent == temporary
    assert other.stat().st_mode & 0o777 == 0o700
    monkeypatch.setenv("PREFECT_HOME", "")
    writable_home()
    assert Path(os.environ["PREFECT_HOME"]) == other


def test_a_configured_server_that_is_not_there_is_told_before_ray_is_started() -> None:
    """With its address and the way round it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}/api"
    with pytest.raises(ClippingError, match=r"does not answer: .*refused") as raised:
        require_answer(url)
    assert url in raised.value.message
    assert "unset PREFECT_API_URL" in raised.value.message


def test_a_server_without_an_answer_is_started_once_more(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A busy machine may need the second try; after that one line says so, and none is left."""
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    monkeypatch.setattr(local_server, "_START_SECONDS", 0.05)
    started: list[int] = []
    begin = LocalServer._start  # pyright: ignore[reportPrivateUsage]

    def start(self: LocalServer) -> subprocess.Popen[str]:
        process = begin(self)
        started.append(process.pid)
        return process

    monkeypatch.setattr(LocalServer, "_start", start)
    with pytest.raises(ClippingError, match=r"no answer in 0.05 s, twice") as caught:
        LocalServer().wait()
    assert caught.value.kind is FailureKind.TIMED_OUT
    assert len(set(started)) == 2
    assert not any(psutil.pid_exists(pid) for pid in started)
