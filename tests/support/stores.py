"""Stores on loopback for tests: S3 (moto's server) and a web server, both with faults to order."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["S3", "Seen", "s3_server", "web_server"]

KEY_ID, SECRET = "AKIATESTKEYIDENTITY", "s3cr3t/THAT+must/NEVER+leave/the+env"


@dataclass
class Seen:
    """A request that reached a server."""

    method: str
    path: str
    range: str


# Says what to do with a request: "" to serve it, "503", "slow", or "drop" in mid-body.
Fault = Callable[[Seen], str]


@dataclass
class S3:
    """A running S3 server; `fault` decides what happens to each request."""

    url: str
    fault: Fault = lambda _seen: ""
    seen: list[Seen] = field(default_factory=list)

    def __call__(self, app: Any, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ.get("RAW_URI") or environ["PATH_INFO"]
        seen = Seen(environ["REQUEST_METHOD"], path, environ.get("HTTP_RANGE", ""))
        self.seen.append(seen)
        fault = self.fault(seen)
        if fault == "503":
            body = (
                b"<Error><Code>SlowDown</Code><Message>Reduce your request rate</Message></Error>"
            )
            headers = [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))]
            start_response("503 Slow Down", headers)
            return [body]
        answer = app(environ, start_response)
        return _spoiled(answer, fault) if fault else answer


def _spoiled(answer: Iterable[bytes], fault: str) -> Iterator[bytes]:
    body = b"".join(answer)
    if fault == "drop":
        yield body[: len(body) // 2]
        raise ConnectionError("the test drops this connection")
    for start in range(0, len(body), 64 * 1024):
        time.sleep(0.02)
        yield body[start : start + 64 * 1024]


@contextmanager
def s3_server() -> Iterator[S3]:
    """moto's S3 server on a free port."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    app = DomainDispatcherApplication(create_backend_app)
    store = S3("")
    server = make_server("127.0.0.1", 0, lambda e, r: store(app, e, r), threaded=True)
    store.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield store
    finally:
        server.shutdown()
        thread.join()


@contextmanager
def web_server(
    files: dict[str, bytes], *, ranges: bool = True, query: str | None = ""
) -> Iterator[tuple[str, list[Seen]]]:
    """A plain web server and the requests that reach it.

    ranges: whether it knows byte ranges; query: what has to stand behind the `?`, else 403;
    None: anything.
    """
    seen: list[Seen] = []

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def answer(self, *, body: bool) -> None:
            path, _, given = self.path.partition("?")
            asked = self.headers.get("Range", "")
            seen.append(Seen(self.command, self.path, asked))
            if query is not None and given != query:
                self.send_error(403)
                return
            content = files.get(path.lstrip("/"))
            if content is None:
                self.send_error(404)
                return
            start, end, status = 0, len(content), 200
            if ranges and asked.startswith("bytes="):
                first, _, last = asked.removeprefix("bytes=").partition("-")
                start, end = int(first), min(len(content), int(last or len(content)) + 1)
                status = 206
            self.send_response(status)
            self.send_header("Content-Length", str(end - start))
            if ranges:
                self.send_header("Accept-Ranges", "bytes")
            if status == 206:
                self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(content)}")
            self.end_headers()
            if body:
                self.wfile.write(content[start:end])

        def log_message(self, *_args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
