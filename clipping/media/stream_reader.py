"""Have sources opened by PyAV in processes of their own: a crash is that source's failure alone.

Starting Python and PyAV takes 0.1 s, more than reading most sources. So `read_streams` is
started once for each thread that reads at the same time, and forks a process for every source
(3 ms).
"""

from __future__ import annotations

import atexit
import errno
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

from clipping.errors import ClippingError, FailureKind, FfmpegError, SourceError
from clipping.ffmpeg.commands import PATIENCE, reading_options
from clipping.ffmpeg.failures import died_of
from clipping.ffmpeg.memory import resident
from clipping.storage.source import Reading

__all__ = ["look", "read_sound"]

_PROGRAM = Path(__file__).with_name("read_streams.py")
_STALL_SECONDS = 300.0
_LOOK_SECONDS = 0.4
# What local files and the network may have once and not a minute later.
_PASSING = (errno.EACCES, errno.EPERM, errno.EAGAIN)


class _RefusedError(Exception):
    """FFmpeg gave an error, as it does for most bad files."""

    def __init__(self, number: int, words: str) -> None:
        super().__init__(words)
        self.number, self.words = number, words


class _LostError(Exception):
    """The program is gone, or answers nonsense."""


def look(reading: Reading) -> dict[str, Any]:
    """What a source holds, and the packets of its first video stream (`read_streams` says how).

    Raises SourceError and StorageError.
    """
    file = reading.file
    with reading.index_url() as index:
        asked: dict[str, Any] = {"work": "look", "index": None}
        if index is not None:
            # The parsers that would look into what is not fetched are off.
            off = {"fflags": "+noparse+nofillin"}
            asked["index"] = {"url": index, "options": reading_options(index) | off}
        try:
            return _answer(reading, asked)
        except _RefusedError as error:
            raise _unreadable(reading, error) from None
        except FfmpegError as error:
            raise SourceError(f"{file.key}: {error.message}", error.kind) from None


def _unreadable(reading: Reading, error: _RefusedError) -> SourceError:
    key = reading.file.key
    if error.number in _PASSING:
        return SourceError(f"{key}: cannot be read: {error.words}", FailureKind.IO)
    if error.number == errno.EINVAL:  # what the allow-list of formats answers
        return SourceError(f"{key}: its format is not one of the video containers we open")
    if error.number == errno.ENOMEM:
        return SourceError(f"{key}: not enough memory to open it", FailureKind.OUT_OF_MEMORY)
    return SourceError(f"{key}: not a video that can be opened ({error.words.lower()})")


def read_sound(
    reading: Reading,
    stream: int,
    wanted: Sequence[tuple[int, int]],
    *,
    seek: int | None,
    is_late: bool,
    payload: Path,
    template: Path,
) -> dict[str, Any]:
    """Write the packets of an audio stream in the PTS `wanted` to files (`read_streams` says how).

    Raises FfmpegError and StorageError.
    """
    asked = {
        "work": "sound",
        "stream": stream,
        "wanted": wanted,
        "seek": seek,
        "is_late": is_late,
        "payload": str(payload),
        "template": str(template),
    }
    try:
        return _answer(reading, asked)
    except _RefusedError as error:
        raise FfmpegError(f"{reading.file.key}: cannot be read again: {error.words}") from None
    except FfmpegError as error:
        raise FfmpegError(f"the sound of {reading.file.key}: {error.message}", error.kind) from None


def _answer(reading: Reading, asked: dict[str, Any]) -> dict[str, Any]:
    """The answer about a source. Raises _RefusedError, FfmpegError, StorageError."""
    whole = {
        "url": reading.url,
        "options": reading_options(reading.url),
        "patience": PATIENCE,
        **asked,
    }
    try:
        answer = _ask(whole, reading.memory_limit)
    except (_RefusedError, ClippingError):
        _raise_the_stores(reading)
        raise
    _raise_the_stores(reading)
    return answer


def _raise_the_stores(reading: Reading) -> None:
    """A store that failed is why, whatever FFmpeg made of it."""
    if reading.blocks is not None and reading.blocks.failure is not None:
        raise reading.blocks.failure


def _ask(asked: dict[str, Any], memory_limit: int) -> dict[str, Any]:
    for is_last in (False, True):
        with _readers.one() as reader:
            try:
                return reader.ask(asked, memory_limit)
            except _LostError:
                # Not the source's doing, which has a process of its own.
                if is_last:
                    message = "the process that reads sources was ended from outside"
                    raise FfmpegError(message, FailureKind.KILLED) from None
    raise AssertionError


@dataclass(slots=True)
class _Reader:
    """A running `read_streams`, for one thread at a time.

    is_free: whether the last request was answered to the end.
    """

    owner: int = field(default_factory=os.getpid)
    is_free: bool = True
    _program: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        try:
            self._program = subprocess.Popen(
                # -P: what lies beside the program is not for it to import.
                [sys.executable, "-P", str(_PROGRAM)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                process_group=0,
            )
        except OSError as error:
            message = f"{sys.executable!r} does not start: {error}"
            raise FfmpegError(message, FailureKind.IO) from None

    def ask(self, asked: dict[str, Any], memory_limit: int) -> dict[str, Any]:
        """What is answered. Raises _RefusedError, _LostError and FfmpegError."""
        done: dict[str, Any] | None = None
        failed: dict[str, Any] | None = None
        self.is_free = False
        self._write(json.dumps(asked).encode() + b"\n")
        for answer in self._answers(memory_limit):
            done, failed = answer.get("done", done), answer.get("failed", failed)
            if "ended" not in answer:
                continue
            self.is_free = True
            if failed is not None:
                raise _RefusedError(int(failed["errno"]), str(failed["words"]))
            if answer["ended"] == 0 and done is not None:
                return done
            raise _died(int(answer["ended"]))
        raise _LostError

    def _write(self, line: bytes) -> None:
        assert self._program.stdin is not None
        rest = memoryview(line)
        try:
            while rest:
                rest = rest[self._program.stdin.write(rest) or 0 :]
        except OSError:
            raise _LostError from None

    def _answers(self, memory_limit: int) -> Generator[dict[str, Any]]:
        """Each answer as it comes. Raises FfmpegError if it takes too long, or too much memory."""
        assert self._program.stdout is not None
        pipe = self._program.stdout.fileno()
        poll = select.poll()
        poll.register(pipe, select.POLLIN)
        moved = looked = time.monotonic()
        parts: list[bytes] = []
        child = 0
        while True:
            is_ready = poll.poll(_LOOK_SECONDS * 1000)
            now = time.monotonic()
            if is_ready:
                moved = now
                block = os.read(pipe, 1 << 20)
                if not block:
                    return
                parts.append(block)
                if b"\n" in block:
                    *lines, rest = b"".join(parts).split(b"\n")
                    parts = [rest]
                    for answer in filter(None, map(_parsed, lines)):
                        child = answer.get("child", child)
                        yield answer
            if now - moved > _STALL_SECONDS:
                message = f"reading it made no progress for {_STALL_SECONDS:g} s and was ended"
                raise FfmpegError(message, FailureKind.TIMED_OUT)
            if memory_limit and now - looked >= _LOOK_SECONDS:
                looked = now
                if child and resident(child) > memory_limit:
                    raise FfmpegError(
                        f"reading it takes more than the {memory_limit / 1e9:.1f} GB of memory that"
                        " ffmpeg_memory_gb allows, and was ended; raise it where the machine has"
                        " more",
                        FailureKind.OUT_OF_MEMORY,
                    )

    def close(self) -> None:
        """End the program and what it does."""
        for pipe in (self._program.stdin, self._program.stdout):
            if pipe:
                pipe.close()
        if self._program.poll() is None:
            try:
                os.killpg(self._program.pid, signal.SIGKILL)
            except ProcessLookupError:
                self._program.kill()
        self._program.wait()


def _died(status: int) -> FfmpegError:
    kind, how = died_of(status)
    if kind is FailureKind.CRASHED:
        return FfmpegError(
            f"the library that reads it (FFmpeg's, in PyAV) crashed on it ({how}); remux it (ffmpeg"
            " -i IN -c copy OUT) and give that",
            kind,
        )
    return FfmpegError(f"the process that read it ended with {how}", kind)


def _parsed(line: bytes) -> dict[str, Any] | None:
    """An answer; None for an empty line, or one that a dying process has not finished."""
    try:
        return dict(json.loads(line))
    except ValueError:
        return None


@dataclass(slots=True)
class _Readers:
    """The programs of this process that nobody uses at the moment."""

    _idle: list[_Reader] = field(default_factory=list[_Reader])
    _lock: Lock = field(default_factory=Lock)

    @contextmanager
    def one(self) -> Generator[_Reader]:
        """A program for the time of the block."""
        with self._lock:
            # A process that was forked from ours has copies, whose pipes are not its own.
            mine = [reader for reader in self._idle if reader.owner == os.getpid()]
            reader = mine.pop() if mine else None
            self._idle = mine
        reader = reader or _Reader()
        try:
            yield reader
        finally:
            if reader.is_free:
                with self._lock:
                    self._idle.append(reader)
            else:
                reader.close()

    def close(self) -> None:
        """End them all."""
        with self._lock:
            idle, self._idle = self._idle, []
        for reader in idle:
            if reader.owner == os.getpid():
                reader.close()


_readers = _Readers()
atexit.register(_readers.close)
