"""Remote objects for ffmpeg: an HTTP server on loopback that answers byte ranges.

ffmpeg and PyAV read what they need of an object and nothing else, from blocks that are
fetched once and kept for a while. Because ffmpeg only ever talks to this server, no
credentials or signed addresses stand in its command line, every store can be read the same
way, whether it can sign addresses or not, and a failing store is tried again in one place.
"""

from __future__ import annotations

import re
import secrets
import socket
import threading
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

from clipping.errors import ClippingError

__all__ = ["Blocks", "Holed", "served"]

_BLOCK_BYTES = 64 * 1024
_BLOCKS_KEPT = 1024
_MOST_AHEAD = 64
_SEND_BUFFER_BYTES = 32 * 1024

# Gives bytes [start, end) of an object, or raises a ClippingError.
Fetch = Callable[[int, int], bytes]


class Blocks:
    """Random reads of one object, through a bounded memory of blocks; for many threads.

    failure: the error that made a read fail for good, for those who cannot raise it (a
    connection only breaks off).
    """

    def __init__(self, fetch: Fetch, size: int) -> None:
        self.size = size
        self.failure: ClippingError | None = None
        self._fetch = fetch
        self._kept: OrderedDict[int, bytes] = OrderedDict()
        self._lock = threading.Lock()
        self._underway: dict[int, threading.Event] = {}  # set when the block is there, or failed

    def read(self, start: int, end: int, ahead: int = 1) -> bytes:
        """Bytes from `start` on, at most up to `end` and to the end of one block.

        ahead: how many blocks to fetch in one request if this one is not there. Raises what
        the fetch raises.
        """
        if start >= min(end, self.size):
            return b""
        number, offset = divmod(start, _BLOCK_BYTES)
        return self._block(number, ahead)[offset : offset + end - start]

    def _block(self, number: int, ahead: int) -> bytes:
        while True:
            with self._lock:
                block = self._kept.get(number)
                if block is not None:
                    self._kept.move_to_end(number)
                    return block
                underway = self._underway.get(number)
                if underway is None:
                    arrived, count = threading.Event(), self._missing(number, ahead)
                    self._underway.update(dict.fromkeys(range(number, number + count), arrived))
                    break
            underway.wait()  # another thread fetches it; if that fails, this one tries itself
        return self._fetch_blocks(number, count, arrived)

    def _missing(self, first: int, ahead: int) -> int:
        """How many blocks from `first` on, at most `ahead`, nobody has or is fetching."""
        for number in range(first + 1, first + ahead):
            if number in self._kept or number in self._underway:
                return number - first
        return ahead

    def _fetch_blocks(self, first: int, count: int, arrived: threading.Event) -> bytes:
        start = first * _BLOCK_BYTES
        content = b""
        try:
            content = self._fetch(start, min(self.size, start + count * _BLOCK_BYTES))
        except ClippingError as error:
            self.failure = error
            raise
        finally:
            with self._lock:
                for at in range(0, len(content), _BLOCK_BYTES):
                    self._kept[first + at // _BLOCK_BYTES] = content[at : at + _BLOCK_BYTES]
                while len(self._kept) > _BLOCKS_KEPT:
                    self._kept.popitem(last=False)
                for number in range(first, first + count):
                    del self._underway[number]
            arrived.set()
        return content[:_BLOCK_BYTES]

    def read_all(self, start: int, end: int) -> bytes:
        """Bytes from `start` up to `end` or the end of the object."""
        return b"".join(self.stream(start, end))

    def stream(self, start: int, end: int) -> Iterator[bytes]:
        """Bytes from `start` up to `end`, in pieces; requests grow as the reading goes on.

        A request asks for at most as much again as was read so far: whoever jumps about in a file
        pays for a small block each time, whoever reads on gets large ones.
        """
        ahead = 1
        while part := self.read(start, end, ahead):
            yield part
            start += len(part)
            ahead = min(_MOST_AHEAD, ahead + 1)


@dataclass(frozen=True, slots=True)
class Holed:
    """The same object with `holes` [start, end), ascending, that read as zeros, unfetched."""

    blocks: Blocks
    holes: Sequence[tuple[int, int]]

    @property
    def size(self) -> int:
        """Bytes, as if there were no holes."""
        return self.blocks.size

    def stream(self, start: int, end: int) -> Iterator[bytes]:
        """Bytes from `start` up to `end`, in pieces."""
        end = min(end, self.size)
        for hole, filled in (*self.holes, (end, end)):
            if start < hole:
                yield from self.blocks.stream(start, min(hole, end))
                start = min(hole, end)
            while start < min(filled, end):
                zeros = min(_BLOCK_BYTES, min(filled, end) - start)
                yield bytes(zeros)
                start += zeros


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    objects: ClassVar[dict[str, Blocks | Holed]] = {}

    def do_HEAD(self) -> None:
        """Answer without a body."""
        self._answer(body=False)

    def do_GET(self) -> None:
        """Answer with the range that was asked for."""
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        blocks = self.objects.get(self.path.strip("/"))
        if blocks is None:
            self.send_error(404)
            return
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "bytes=0-"))
        start = int(asked[1]) if asked else 0
        end = min(blocks.size, int(asked[2]) + 1) if asked and asked[2] else blocks.size
        if start >= blocks.size:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{blocks.size}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(end - start))
        self.send_header("Content-Range", f"bytes {start}-{end - 1}/{blocks.size}")
        self.end_headers()
        try:
            for part in blocks.stream(start, end) if body else ():
                self.wfile.write(part)
        except (ConnectionError, TimeoutError):
            self.close_connection = True  # ffmpeg has read enough, or seeks
        except ClippingError:
            self.close_connection = True  # the reader finds the reason in Blocks.failure

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: failures are raised where the work is."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection; what is sent but not read yet was fetched for nothing."""
        connection, address = super().get_request()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        return connection, address


_lock = threading.Lock()
_running: list[_Server] = []


def _port() -> int:
    """The server's port; started at first use, one a process, ends with the process."""
    with _lock:
        if not _running:
            server = _Server(("127.0.0.1", 0), _Handler)
            threading.Thread(target=server.serve_forever, daemon=True, name="range-server").start()
            _running.append(server)
        return _running[0].server_address[1]


@contextmanager
def served(blocks: Blocks | Holed) -> Generator[str]:
    """An address on loopback, hard to guess, that gives the object while the block runs."""
    token = secrets.token_hex(16)
    _Handler.objects[token] = blocks
    try:
        yield f"http://127.0.0.1:{_port()}/{token}"
    finally:
        _Handler.objects.pop(token, None)
