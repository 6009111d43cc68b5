"""The Prefect server that a run starts for itself, killed while it works."""

from __future__ import annotations

import urllib.request
from pathlib import Path

import psutil
import pytest

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
