"""A source as ffmpeg opens it: a local file, or a remote object read by ranges."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from clipping.errors import FailureKind, FfmpegError, SourceError
from clipping.ffmpeg import process
from clipping.ffmpeg.commands import input_url
from clipping.models import SourceFile
from clipping.storage import object_store
from clipping.storage.addresses import is_remote, is_web
from clipping.storage.mp4_boxes import media_holes
from clipping.storage.range_server import Blocks, Holed, served
from clipping.storage.scratch import scratch_folder

_WORTH_HOLES = 16 * 1024 * 1024

__all__ = ["Reading", "fingerprint", "opened", "part_of", "still_the_same"]


@dataclass(frozen=True, slots=True)
class Reading:
    """A source while something works on it.

    url: as ffmpeg takes it; run: runs ffmpeg, and raises the store's failure rather than
    ffmpeg's, which only saw a connection break off; memory_limit: in bytes, of what reads it
    besides, 0 for none.
    """

    file: SourceFile
    url: str
    run: process.Runner = process.run
    blocks: Blocks | None = None
    memory_limit: int = 0

    def head(self, size: int) -> bytes:
        """The first bytes. Raises SourceError."""
        return self.part(0, size)

    @property
    def size(self) -> int:
        """How many bytes there are to read."""
        if self.blocks is not None:
            return self.blocks.size
        return os.path.getsize(self.url.removeprefix("file:"))

    def part(self, start: int, end: int) -> bytes:
        """Bytes from `start` up to `end` or the end of the file. Raises SourceError."""
        if self.blocks is not None:
            return self.blocks.read_all(start, end)
        path, key = self.url.removeprefix("file:"), self.file.key
        try:
            with open(path, "rb") as stream:
                stream.seek(start)
                return stream.read(end - start)
        except FileNotFoundError:
            message = f"{key}: {path} cannot be seen from node {os.uname().nodename}"
            raise SourceError(message, FailureKind.NOT_FOUND) from None
        except IsADirectoryError:
            raise SourceError(f"{key}: is a folder, not a video") from None
        except OSError as error:
            message = f"{key}: cannot be read: {error.strerror}"
            raise SourceError(message, FailureKind.IO) from None

    @contextmanager
    def index_url(self) -> Generator[str | None]:
        """An address to read the frames' times and sizes alone from; None if that takes it all.

        Of a remote MP4 or QuickTime file, the frames read as zeros and are not fetched.
        """
        if self.blocks is None or self.blocks.size < _WORTH_HOLES:
            yield None
            return
        holes = media_holes(self.blocks.read_all, self.blocks.size)
        if not holes:
            yield None
            return
        with served(Holed(self.blocks, holes)) as url:
            yield url


@contextmanager
def opened(
    file: SourceFile,
    scratch_dir: str = "",
    run: process.Runner = process.run,
    memory_limit: int = 0,
) -> Generator[Reading]:
    """Make a source readable for the time of the block.

    A web server that gives no ranges has its file downloaded to scratch. Raises SourceError
    and StorageError.
    """
    if not is_remote(file.uri):
        yield Reading(file, input_url(file.uri), run, None, memory_limit)
        return
    with ExitStack() as stack:
        address, size = file.address, file.size

        def fetch(start: int, end: int) -> bytes:
            return object_store.fetch(address, start, end, size)

        blocks = Blocks(fetch, size)
        try:
            if is_web(file.uri) and size:
                blocks.read(size - 1, size)  # a server without ranges still gives the start
        except object_store.NoRangesError:
            folder = stack.enter_context(scratch_folder(scratch_dir, size, needed=True))
            object_store.download(address, folder / "source")
            yield Reading(file, input_url(str(folder / "source")), run, None, memory_limit)
            return
        url = stack.enter_context(served(blocks))
        yield Reading(file, url, _Guarded(run, url, file.key, blocks), blocks, memory_limit)


@contextmanager
def part_of(reading: Reading, ranges: Sequence[tuple[int, int]]) -> Generator[Reading]:
    """Byte ranges of a source, one after the other, as if they were a file of their own."""

    def fetch(start: int, end: int) -> bytes:
        found: list[bytes] = []
        at = 0
        for first, stop in ranges:
            begin, until = max(start, at), min(end, at + stop - first)
            if begin < until:
                found.append(reading.part(first + begin - at, first + until - at))
            at += stop - first
        return b"".join(found)

    blocks = Blocks(fetch, sum(stop - first for first, stop in ranges))
    with served(blocks) as url:
        run = _Guarded(reading.run, url, reading.file.key, blocks)
        yield Reading(reading.file, url, run, blocks, reading.memory_limit)


@dataclass(frozen=True, slots=True)
class _Guarded:
    """Runs ffmpeg on a served object, and tells a failing store from a bad file."""

    run: process.Runner
    url: str
    name: str
    blocks: Blocks = field(repr=False)

    def __call__(self, *args: Any, **options: Any) -> process.Finished:
        try:
            finished = self.run(*args, **options)
        except FfmpegError as error:
            if self.blocks.failure is not None:
                raise self.blocks.failure from None
            told = FfmpegError(error.message.replace(self.url, self.name), error.kind)
            told.command = (error.command or "").replace(self.url, self.name)
            raise told from None
        if self.blocks.failure is not None:
            raise self.blocks.failure
        return finished


def still_the_same(file: SourceFile) -> None:
    """The frame times were read from one content; another would be cut wrongly.

    Raises SourceError.
    """
    if is_remote(file.uri):
        found = object_store.look(file.address)
        now = fingerprint(found) if found else ""
    else:
        try:
            stat = os.stat(file.uri)
        except FileNotFoundError:
            message = f"{file.uri}: cannot be seen from node {os.uname().nodename}"
            raise SourceError(message, FailureKind.NOT_FOUND) from None
        except OSError as error:
            raise SourceError(f"{file.uri}: {error.strerror}", FailureKind.IO) from None
        now = f"{stat.st_size}-{stat.st_mtime_ns}"
    if now != file.fingerprint:
        raise SourceError(f"{file.key}: the file changed while it was being clipped; run again")


def fingerprint(found: object_store.Found) -> str:
    """What changes when an object's content does: its size and the store's own tag."""
    return f"{found.size}-{found.tag}"
