"""What Chromium and Firefox make of clips: a page asks them and sends back what they say.

The page and the clips come from a server on loopback. A browser needs no driver for that: it is
started with the page's address and ended when the answers are there.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np

PAGE = Path(__file__).with_name("browser.html")

BROWSERS = {"Chromium": ("chromium", "chromium-browser"), "Firefox": ("firefox-esr", "firefox")}

# Nothing is fetched from outside, and no window asks anything.
_CHROMIUM = [
    *["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"],
    *["--disable-background-networking", "--disable-component-update", "--disable-sync"],
]
_FIREFOX = {
    "app.normandy.enabled": False,
    "browser.aboutwelcome.enabled": False,
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "extensions.update.enabled": False,
    "media.gmp-manager.updateEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "services.settings.server": "",
    "toolkit.telemetry.reportingpolicy.firstRun": False,
}


@dataclass
class Question:
    """A clip, times to seek to in seconds, and whether its sound is asked for."""

    path: Path
    times: Sequence[float] = ()
    sound: bool = False


@dataclass
class Answer:
    """What a browser shows: first and after each seek; its sound, from time 0, at 48 kHz."""

    duration: float
    first: int
    shown: list[int]
    sound: np.ndarray | None
    error: str | None


@dataclass
class _Exchange:
    questions: list[Question]
    answers: list[dict[str, Any]] = field(default_factory=list)
    sounds: dict[int, np.ndarray] = field(default_factory=dict)
    failure: str | None = None
    done: Event = field(default_factory=Event)

    def got(self, path: str, body: bytes) -> None:
        if path.startswith("/sound/"):
            self.sounds[int(path.removeprefix("/sound/"))] = np.frombuffer(body, np.float32)
            return
        if path == "/answers":
            self.answers = json.loads(body)
        else:
            self.failure = body.decode()
        self.done.set()

    def clips(self) -> bytes:
        asked = [
            {"number": i, "url": f"/clip/{i}.mp4", "times": list(q.times), "sound": q.sound}
            for i, q in enumerate(self.questions)
        ]
        return json.dumps(asked).encode()


def ask(browser: str, questions: Sequence[Question], seconds: float = 150) -> list[Answer]:
    """Have `browser` (an executable) answer all questions within so many seconds."""
    exchange = _Exchange(list(questions))
    with _served(exchange) as url, _running(browser, url) as log:
        came = exchange.done.wait(seconds)
        assert came, f"no answer from {browser}: {log.read_text(errors='replace')[-2000:]}"
    assert exchange.failure is None, exchange.failure
    answers: list[Answer] = []
    for number, said in enumerate(exchange.answers):
        shown = said["pictures"] or {"duration": 0, "first": -1, "shown": []}
        answers.append(Answer(**shown, sound=exchange.sounds.get(number), error=said.get("error")))
    return answers


@contextmanager
def _served(exchange: _Exchange) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:
            """Quietly."""

        def handle(self) -> None:
            try:
                super().handle()
            except ConnectionError:  # a browser breaks off what it needs no more of
                self.close_connection = True

        def _send(self, body: bytes, kind: str, status: int = 200, **headers: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:  # the name that the base class calls
            clip = re.fullmatch(r"/clip/(\d+)\.mp4", self.path)
            if self.path == "/":
                self._send(PAGE.read_bytes(), "text/html")
            elif self.path == "/clips":
                self._send(exchange.clips(), "application/json")
            elif clip is None:
                self._send(b"", "text/plain", 404)
            else:
                self._send_clip(exchange.questions[int(clip[1])].path.read_bytes())

        def _send_clip(self, data: bytes) -> None:
            asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
            if asked is None:
                self._send(data, "video/mp4", Accept_Ranges="bytes")
                return
            first, last = int(asked[1]), int(asked[2] or len(data) - 1)
            part = data[first : last + 1]
            place = f"bytes {first}-{first + len(part) - 1}/{len(data)}"
            self._send(part, "video/mp4", 206, Accept_Ranges="bytes", Content_Range=place)

        def do_POST(self) -> None:
            exchange.got(self.path, self.rfile.read(int(self.headers["Content-Length"])))
            self._send(b"", "text/plain")

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@contextmanager
def _running(browser: str, url: str) -> Iterator[Path]:
    """The browser with an empty profile on `url`; where it writes what it says."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        log, profile = Path(folder, "log"), Path(folder, "profile")
        if "chrom" in Path(browser).name:
            command = [browser, *_CHROMIUM, f"--user-data-dir={profile}", url]
        else:
            profile.mkdir()
            rows = [f"user_pref({json.dumps(k)}, {json.dumps(v)});" for k, v in _FIREFOX.items()]
            (profile / "user.js").write_text("\n".join(rows))
            command = [browser, "--headless", "--no-remote", "--profile", str(profile), url]
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env={**os.environ, "HOME": folder},
            )
        try:
            yield log
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a browser with all its processes, which are a group of their own."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, how)
            process.wait(10)
        except subprocess.TimeoutExpired:
            continue
        except ProcessLookupError:
            return


def executable(name: str) -> str | None:
    """Where a browser is installed, if it is."""
    return next((found for n in BROWSERS[name] if (found := shutil.which(n))), None)
