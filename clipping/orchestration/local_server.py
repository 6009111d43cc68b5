"""A Prefect server of our own, for a machine that has none configured.

It records into Prefect's usual database, so that a later `prefect server start` shows every
run. It is started as the first thing, before Prefect is even imported here: both take seconds.
"""

import importlib
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from clipping.errors import ClippingError
from clipping.ffmpeg.process import die_with_parent

__all__ = ["LocalServer", "api", "shared_with_workers"]

_START_SECONDS = 180.0
_STOP_SECONDS = 5.0


class LocalServer:
    """A server process on a free port of the loopback address."""

    def __init__(self) -> None:
        self.answered = False
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        serve = ["--factory", "prefect.server.api.server:create_app", "--lifespan", "on"]
        self._process = subprocess.Popen(
            [
                *[sys.executable, "-m", "uvicorn", *serve],
                *["--host", "127.0.0.1", "--port", str(self.port), "--log-level", "error"],
            ],
            # What Prefect's own temporary server gets: no pages, no scheduling services.
            env={
                **os.environ,
                "PREFECT_UI_ENABLED": "0",
                "PREFECT_SERVER_ANALYTICS_ENABLED": "0",
                "PREFECT__SERVER_EPHEMERAL": "1",
                "PREFECT__SERVER_FINAL": "1",
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            process_group=0,  # Ctrl-C is for us; the server has still to record the end
            preexec_fn=die_with_parent,  # noqa: PLW1509  a single system call, loaded before
        )

    @property
    def url(self) -> str:
        """What PREFECT_API_URL must be."""
        return f"http://127.0.0.1:{self.port}/api"

    def wait(self) -> None:
        """Return when it answers. Raises ClippingError with its last words if it does not."""
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.url}/health", timeout=5):  # noqa: S310
                    self.answered = True
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        ended = self._process.poll() is not None
        words = ""
        if ended and self._process.stderr:
            words = self._process.stderr.read().decode(errors="replace").strip()[-400:]
        self.stop()
        why = f"it ended: {words}" if ended else f"no answer in {_START_SECONDS:g} s"
        raise ClippingError(f"Prefect's local server does not start ({why})")

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.wait(timeout=_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stderr:
            self._process.stderr.close()


def _places() -> Iterator[Path]:
    """Files in which Prefect looks for its settings."""
    home = Path(os.environ.get("PREFECT_HOME") or Path.home() / ".prefect")
    yield Path(os.environ.get("PREFECT_PROFILES_PATH") or home / "profiles.toml")
    yield from (Path(".env"), Path("prefect.toml"), Path("pyproject.toml"))


def _may_be_configured() -> bool:
    """Whether an API may have been configured somewhere; found out without Prefect."""
    if os.environ.get("PREFECT_API_URL"):
        return True
    for place in _places():
        try:
            text = place.read_text(errors="replace")
        except OSError:
            continue
        if "PREFECT_API_URL" in text or "[tool.prefect" in text or "[api]" in text:
            return True
    return False


def _import_quietly(module: str) -> None:
    """Import for later; what goes wrong here goes wrong again where it is used."""
    with suppress(Exception):
        importlib.import_module(module)


@contextmanager
def api(meanwhile: Callable[[], None]) -> Generator[None]:
    """A Prefect API to record in: the one that is configured, else a server of our own.

    Without either, Prefect would start a temporary server in every Ray worker. While the
    server starts, `meanwhile` is called and the flow is imported. The server is left running:
    Prefect's clients send their last logs and events when the process exits, and the kernel
    ends it right after.
    """
    server = None if _may_be_configured() else LocalServer()
    importing = threading.Thread(
        target=_import_quietly, args=("clipping.orchestration.flow",), daemon=True
    )
    importing.start()
    try:
        meanwhile()
        importing.join()
        from prefect.settings import PREFECT_API_URL, temporary_settings

        if PREFECT_API_URL.value():
            yield
            return
        server = server or LocalServer()
        server.wait()
        with temporary_settings({PREFECT_API_URL: server.url}):
            yield
    except BaseException:
        # No client of ours will miss it.
        if server is not None and not server.answered:
            server.stop()
        raise


@contextmanager
def shared_with_workers(hosts: Iterable[str]) -> Generator[None]:
    """Have workers on this machine record in the API of this process, whatever that is.

    Where none is configured and nobody called `api`, as in a notebook, Prefect has started a
    temporary server for this process; each worker would start another one, over the same file.
    hosts: where workers run; one on another machine could not reach that server.
    """
    from prefect.settings import PREFECT_API_URL, temporary_settings

    is_near = set(hosts) <= {os.uname().nodename}
    url = None if PREFECT_API_URL.value() or not is_near else _temporary_server()
    if url is None:
        yield
        return
    with temporary_settings({PREFECT_API_URL: url}):
        yield


def _temporary_server() -> str | None:
    """The address of Prefect's temporary server, if there is one.

    Prefect has no public call for it; without an answer, workers start servers of their own.
    """
    with suppress(ImportError, AttributeError):
        from prefect.server.api.server import SubprocessASGIServer

        server = SubprocessASGIServer()
        return server.api_url if server.running else None
    return None
