"""A PostgreSQL server of our own, on a free port, for as long as a block lasts."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

_UNPRIVILEGED = "nobody"


@dataclass(frozen=True)
class Postgres:
    """A server with a user and a database `prefect`."""

    port: int
    password: str


def binary(name: str) -> str:
    """A program of PostgreSQL, also where Debian hides those that are no clients."""
    installed = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    found = shutil.which(name) or (str(installed[-1]) if installed else None)
    if found is None:
        pytest.fail(f"PostgreSQL's {name} is not installed: apt-get install postgresql")
    return found


def free_port() -> int:
    """A port of the loopback address that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def postgres() -> Generator[Postgres]:
    """Make a database cluster in a temporary folder and serve it."""
    # PostgreSQL refuses to run as root.
    user = _UNPRIVILEGED if os.geteuid() == 0 else None
    made = Postgres(free_port(), secrets.token_hex(16))
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    server = None
    try:
        password_file = folder / "password"
        password_file.write_text(made.password)
        if user:
            shutil.chown(folder, user)
            shutil.chown(password_file, user)
        subprocess.run(
            [
                *[binary("initdb"), "--pgdata", folder / "data", "--username", "prefect"],
                *["--auth", "scram-sha-256", "--pwfile", password_file, "--no-sync"],
            ],
            user=user, cwd=folder, check=True, capture_output=True, timeout=60,
        )  # fmt: skip
        server = subprocess.Popen(
            [
                *[binary("postgres"), "-D", folder / "data", "-p", str(made.port), "-F"],
                *["-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={folder}"],
            ],
            user=user, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        _create_database(made, server)
        yield made
    finally:
        if server is not None:
            server.terminate()
            server.wait(timeout=20)
        shutil.rmtree(folder, ignore_errors=True)


def _create_database(made: Postgres, server: subprocess.Popen[bytes]) -> None:
    create = [binary("createdb"), "-h", "127.0.0.1", "-p", str(made.port), "-U", "prefect"]
    environment = {**os.environ, "PGPASSWORD": made.password}
    deadline = time.monotonic() + 60
    while True:
        done = subprocess.run(
            [*create, "prefect"], env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode == 0:
            return
        if server.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"PostgreSQL does not start: {done.stderr}")
        time.sleep(0.2)
