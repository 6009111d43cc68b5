"""Remote objects for ffmpeg: an HTTP server on loopback that answers byte ranges.

ffmpeg and PyAV read what they need of an object and nothing else, from blocks that are
fetched once and kept for a while. Because ffmpeg only ever talks to this server, no
credentials or signed addresses stand in its command line, every store can be read the same
way, whether it can sign addresses or not, and a failing store is tried again in one place.
"""

from __future__ import annotations

import io
import re
import secrets
import socket
import threading
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

from clipping.errors import ClippingError

__all__ = ["Blocks", "SeekableReader", "served"]

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

    def read(self, start: int, end: int, ahead: int = 1) -> bytes:
        """Bytes from `start` on, at most up to `end` and to the end of one block.

        ahead: how many blocks to fetch in one request if this one is not there. Raises what
        the fetch raises.
        """
        if start >= min(end, self.size):
            return b""
        number, offset = divmod(start, _BLOCK_BYTES)
        with self._lock:
            block = self._kept.get(number)
            if block is not None:
                self._kept.move_to_end(number)
        if block is None:
            block = self._fetch_blocks(number, ahead)
        return block[offset : offset + end - start]

    def _fetch_blocks(self, first: int, ahead: int) -> bytes:
        start = first * _BLOCK_BYTES
        try:
            content = self._fetch(start, min(self.size, start + ahead * _BLOCK_BYTES))
        except ClippingError as error:
            self.failure = error
            raise
        with self._lock:
            for at in range(0, len(content), _BLOCK_BYTES):
                self._kept[first + at // _BLOCK_BYTES] = content[at : at + _BLOCK_BYTES]
            while len(self._kept) > _BLOCKS_KEPT:
                self._kept.popitem(last=False)
        return content[:_BLOCK_BYTES]

    def read_all(self, start: int, end: int) -> bytes:
        """Bytes from `start` up to `end` or the end of the object."""
        return b"".join(self.stream(start, end))

    def stream(self, start: int, end: int) -> Iterator[bytes]:
        """Bytes from `start` up to `end`, in pieces; requests grow as the reading goes on.

        Whoever jumps about in a file pays for a small block each time, whoever reads on gets
        large ones.
        """
        ahead = 1
        while part := self.read(start, end, ahead):
            yield part
            start += len(part)
            ahead = min(_MOST_AHEAD, ahead * 2)


class SeekableReader(io.RawIOBase):
    """A file object over `Blocks`, for PyAV. `holes` read as zeros without being fetched."""

    def __init__(self, blocks: Blocks, holes: list[tuple[int, int]] | None = None) -> None:
        super().__init__()
        self._blocks = blocks
        self._holes = holes or []
        self._at = 0
        self._ahead = 1
        self._expected = 0

    def seekable(self) -> bool:
        """It is."""
        return True

    def readable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """The position in bytes."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a position; the new one."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._blocks.size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes, fewer than asked for at the end of a block."""
        end = self._blocks.size if size < 0 else min(self._blocks.size, self._at + size)
        for start, stop in self._holes:
            if start <= self._at < stop:
                found = bytes(max(0, min(end, stop) - self._at))
                self._at += len(found)
                return found
            if self._at < start < end:
                end = start
        self._ahead = min(_MOST_AHEAD, self._ahead * 2) if self._at == self._expected else 1
        found = self._blocks.read(self._at, end, self._ahead)
        self._at += len(found)
        self._expected = self._at
        return found


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    objects: ClassVar[dict[str, Blocks]] = {}

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
def served(blocks: Blocks) -> Generator[str]:
    """An address on loopback, hard to guess, that gives the object while the block runs."""
    token = secrets.token_hex(16)
    _Handler.objects[token] = blocks
    try:
        yield f"http://127.0.0.1:{_port()}/{token}"
    finally:
        _Handler.objects.pop(token, None)
