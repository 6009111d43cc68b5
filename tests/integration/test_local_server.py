"""The Prefect server that a run starts for itself, killed while it works."""

from __future__ import annotations

import socket
import subprocess
import urllib.request
from pathlib import Path

import psutil
import pytest

from clipping.errors import ClippingError
from clipping.orchestration.local_server import LocalServer
from tests.support.processes import wait_until


def healthy(server: LocalServer) -> bool:
    """Whether it answers."""
    try:
        with urllib.request.urlopen(f"{server.url}/health", timeout=5):
            return True
    except OSError:
        return False


def test_a_server_that_is_killed_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the same address, so that what Prefect's clients repeat arrives; it ends when told."""
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    lost: list[str] = []
    server = LocalServer(lost.append)
    try:
        server.wait()
        (first,) = (p for p in psutil.Process().children() if str(server.port) in p.cmdline())
        first.kill()
        wait_until(lambda: not first.is_running() and healthy(server), 120, "an answer")
        assert not lost
    finally:
        server.stop()
    assert not healthy(server)


def test_a_port_that_is_taken_in_between_is_given_up_for_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between our choice of a free port and the server's use of it seconds go by."""
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    taken: list[socket.socket] = []
    start = LocalServer._start  # pyright: ignore[reportPrivateUsage]

    def start_too_late(self: LocalServer) -> subprocess.Popen[str]:
        if not taken:
            taken.append(socket.create_server(("127.0.0.1", self.port)))
        return start(self)

    monkeypatch.setattr(LocalServer, "_start", start_too_late)
    server = LocalServer()
    try:
        server.wait()
        assert healthy(server)
        assert server.port != taken[0].getsockname()[1]
    finally:
        server.stop()
        taken[0].close()


def test_what_will_not_pass_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broken database would be as broken at the second try."""
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    (tmp_path / "prefect.db").write_bytes(b"no database" * 1000)
    starts: list[int] = []
    start = LocalServer._start  # pyright: ignore[reportPrivateUsage]

    def counted(self: LocalServer) -> subprocess.Popen[str]:
        starts.append(self.port)
        return start(self)

    monkeypatch.setattr(LocalServer, "_start", counted)
    with pytest.raises(ClippingError, match=r"is broken; move prefect.db away"):
        LocalServer().wait()
    assert len(starts) == 1
