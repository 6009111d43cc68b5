"""A Prefect server of our own, for a machine that has none configured.

It records into Prefect's usual database, so that a later `prefect server start` shows every
run. It is started as the first thing, before Prefect is even imported here: both take seconds.
One that is killed during the work is started again, on the same port: Prefect's clients repeat
what they could not say meanwhile.
"""

import errno
import importlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from clipping.errors import ClippingError, FailureKind
from clipping.ffmpeg.process import die_with_parent

__all__ = [
    "LocalServer",
    "api",
    "require_answer",
    "shared_with_workers",
    "why_ended",
    "writable_home",
]

_START_SECONDS = 180.0
_STOP_SECONDS = 5.0
_ANSWER_SECONDS = 15.0
_TAIL_LINES = 60
_MOST_RESTARTS = 3


class LocalServer:
    """A server process on a free port of the loopback address.

    on_lost: called in a thread of ours with the reason when the server has ended too often.
    """

    def __init__(self, on_lost: Callable[[str], None] | None = None) -> None:
        self._on_lost = on_lost
        self._begin()

    def _begin(self) -> None:
        self.answered = False
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._stopping = threading.Event()
        self._said: deque[str] = deque(maxlen=_TAIL_LINES)
        self._process = self._start()
        self._watching = threading.Thread(target=self._watch, daemon=True, name="server")
        self._watching.start()

    def _start(self) -> subprocess.Popen[str]:
        serve = ["--factory", "prefect.server.api.server:create_app", "--lifespan", "on"]
        return subprocess.Popen(
            [
                *[sys.executable, "-m", "uvicorn", *serve],
                *["--host", "127.0.0.1", "--port", str(self.port)],
                *["--log-level", "info", "--no-access-log"],
            ],
            # What Prefect's own temporary server gets: no pages, no scheduling services.
            env={
                **os.environ,
                "PREFECT_UI_ENABLED": "0",
                "PREFECT_SERVER_ANALYTICS_ENABLED": "0",
                "PREFECT_SERVER_LOGGING_LEVEL": "INFO",  # read here, and told if it ends
                "PREFECT__SERVER_EPHEMERAL": "1",
                "PREFECT__SERVER_FINAL": "1",
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            process_group=0,  # Ctrl-C is for us; the server has still to record the end
            preexec_fn=die_with_parent,  # noqa: PLW1509  a single system call, loaded before
        )

    def _watch(self) -> None:
        """Read what it says, so that it never waits for a reader; start it again if it ends."""
        restarts = 0
        while True:
            assert self._process.stderr is not None
            with self._process.stderr as lines:
                self._said.extend(lines)
            code = self._process.wait()
            if self._stopping.is_set() or not self.answered:
                return
            if restarts == _MOST_RESTARTS:
                if self._on_lost:
                    times = f"{restarts + 1} times during the work"
                    why = why_ended(list(self._said), code)
                    self._on_lost(f"Prefect's local server ended {times}: {why}")
                return
            restarts += 1
            self._said.clear()
            self._process = self._start()  # it dies with this thread, which is the process's end

    @property
    def url(self) -> str:
        """What PREFECT_API_URL must be."""
        return f"http://127.0.0.1:{self.port}/api"

    def wait(self) -> None:
        """Return when it answers; one that ends or is silent for too long is started once more.

        Another process may have taken its port, or locked the database for a moment. What will not
        pass by itself is told at once.

        Raises ClippingError with its last words if it ended, or gave no answer twice.
        """
        for last_try in (False, True):
            if self._answers():
                return
            code = self._process.poll()
            self.stop()
            self._watching.join(timeout=_STOP_SECONDS)
            if code is not None and (last_try or _lasting_end(self._said)):
                why = why_ended(list(self._said), code)
                raise ClippingError(f"Prefect's local server does not start: {why}")
            if not last_try:
                self._begin()
        raise ClippingError(
            f"Prefect's local server does not start: no answer in {_START_SECONDS:g} s, twice;"
            " the machine may be too busy: try again",
            FailureKind.TIMED_OUT,
        )

    def _answers(self) -> bool:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.url}/health", timeout=5):  # noqa: S310
                    self.answered = True
                    return True
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        return False

    def stop(self) -> None:
        """End it."""
        self._stopping.set()
        self._process.terminate()
        try:
            self._process.wait(timeout=_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


# What the server's last words mean where a second try would end alike, and what to do.
_LASTING_ENDS = (
    (
        r"Can't locate revision",
        "the database in {home} was made by another version of Prefect; set PREFECT_HOME to another"
        " folder, or PREFECT_API_URL to a server of that version",
    ),
    (
        r"readonly database|unable to open database file|Permission denied",
        "{home} cannot be written; set PREFECT_HOME to a folder that can",
    ),
    (
        r"No space left|disk is full|disk I/O error",
        "there is no room in {home}; free some, or set PREFECT_HOME to a folder with room",
    ),
    (
        r"database disk image is malformed|file is not a database",
        "the database in {home} is broken; move prefect.db away, or set PREFECT_HOME to another"
        " folder",
    ),
)


def _lasting_end(said: Iterable[str]) -> str | None:
    """What its last words mean if a second try would end alike."""
    text = "\n".join(said)
    for pattern, meaning in _LASTING_ENDS:
        if re.search(pattern, text):
            return meaning.format(home=_home())
    return None


def why_ended(said: Sequence[str], code: int) -> str:
    """Why a server ended, for a person: what its last words mean, or the words. Pure but for HOME.

    said: the last lines of its log; code: its exit status as `subprocess` gives it.
    """
    lines = [line.strip() for line in said if line.strip()]
    errors = [line for line in lines if re.match(r"[\w.]*(?:Error|Exception)\b", line)]
    errors = [line for line in lines if "address already in use" in line] or errors
    words = errors[-1] if errors else next(reversed(lines), "")
    if meaning := _lasting_end(lines):
        return f"{meaning} ({words[:200]})"
    if code < 0:
        name = signal.Signals(-code).name
        reason = ", perhaps since memory ran out" if code == -signal.SIGKILL else ""
        return f"it was killed by {name}{reason}"
    if not words:
        return f"it ended with exit status {code} and said nothing"
    words = words[:400]
    return words if errors else f"it ended with exit status {code}; its last line: {words}"


def _home() -> Path:
    """Where Prefect keeps its settings and its database."""
    return Path(os.environ.get("PREFECT_HOME") or os.path.expanduser("~/.prefect"))


def writable_home() -> str | None:
    """Make sure that Prefect has a folder to write to, before it is imported; a line if it moved.

    In a container with a user id that nobody knows, HOME is often `/`, or not set at all. The
    folder that takes its place is the same for each run of a user, and nobody else's.
    """
    home = _home()
    try:
        if not home.is_absolute():
            raise FileNotFoundError(errno.ENOENT, "there is no HOME")
        home.mkdir(parents=True, exist_ok=True)
        if os.access(home, os.W_OK):
            return None
        reason = "cannot be written"
    except OSError as error:
        reason = f"cannot be made ({error.strerror})"
    other = Path(tempfile.gettempdir()) / f"prefect-{os.getuid()}"
    with suppress(FileExistsError):
        other.mkdir(mode=0o700)
    if other.is_symlink() or other.stat().st_uid != os.getuid():
        other = Path(tempfile.mkdtemp(prefix="prefect-"))
    os.environ["PREFECT_HOME"] = str(other)
    if os.path.expanduser("~") == "~":  # libraries ask for it, and some end without an answer
        os.environ["HOME"] = str(other)
    return (
        f"{home} {reason}: Prefect records this run in {other}; set PREFECT_HOME to a folder that"
        " lasts to keep its records"
    )


def _places() -> Iterator[Path]:
    """Files in which Prefect looks for its settings."""
    yield Path(os.environ.get("PREFECT_PROFILES_PATH") or _home() / "profiles.toml")
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


def require_answer(url: str) -> None:
    """Raise ClippingError if nobody is at a configured address: Ray need not be started for that.

    Any answer will do; what it says is for Prefect's client, which may know more of it.
    """
    try:
        with urllib.request.urlopen(f"{url.rstrip('/')}/health", timeout=_ANSWER_SECONDS):  # noqa: S310
            return
    except urllib.error.HTTPError:
        return
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, (ConnectionRefusedError, TimeoutError, socket.gaierror, ValueError)):
            raise ClippingError(
                f"Prefect's server at {url} (PREFECT_API_URL) does not answer: {reason}. Start it,"
                " or unset PREFECT_API_URL to have a server for this run alone",
                FailureKind.IO,
            ) from None


def _import_quietly(module: str) -> None:
    """Import for later; what goes wrong here goes wrong again where it is used."""
    with suppress(Exception):
        importlib.import_module(module)


@contextmanager
def api(
    meanwhile: Callable[[], None], on_lost: Callable[[str], None] | None = None
) -> Generator[None]:
    """A Prefect API to record in: the one that is configured, else a server of our own.

    Without either, Prefect would start a temporary server in every Ray worker. While the
    server starts, `meanwhile` is called and the flow is imported. The server is left running:
    Prefect's clients send their last logs and events when the process exits, and the kernel
    ends it right after. on_lost: takes the reason if that server cannot be kept running.
    """
    configured = os.environ.get("PREFECT_API_URL")
    if configured:
        require_answer(configured)
    server = None if _may_be_configured() else LocalServer(on_lost)
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
        server = server or LocalServer(on_lost)
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
