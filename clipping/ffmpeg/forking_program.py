"""Programs that stay running and answer requests, each in a forked process of its own.

What starts slowly (Python with PyAV: 0.1 s, more than reading most sources) is started once for
each thread that asks at the same time; a fork takes 3 ms. A crash is that request's alone.

Requests and answers are JSON objects, one a line; `media.read_streams` says which.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

from clipping.errors import FailureKind, FfmpegError
from clipping.ffmpeg.failures import died_of
from clipping.ffmpeg.memory import resident

__all__ = ["RefusedError", "ask"]

_STALL_SECONDS = 300.0
_LOOK_SECONDS = 0.4


class RefusedError(Exception):
    """FFmpeg gave an error, as it does for most bad files."""

    def __init__(self, number: int, words: str) -> None:
        super().__init__(words)
        self.number, self.words = number, words


class _LostError(Exception):
    """The program is gone, or answers nonsense."""


def ask(program: Path, asked: dict[str, Any], memory_limit: int) -> dict[str, Any]:
    """What `program` answers.

    memory_limit: in bytes, of the process that answers; 0 for none. Raises RefusedError where the
    program says why, FfmpegError (CRASHED, KILLED …) where it cannot.
    """
    try:
        with _programs.one(program) as running:
            return running.ask(asked, memory_limit)
    except _LostError:
        # Not the request's doing, which has a process of its own: it was ended from outside.
        pass
    running = _Running(program)
    try:
        with _programs.given_back(running):
            return running.ask(asked, memory_limit)
    except _LostError:
        how = died_of(running.close())[1]
        message = f"{program.name}, which reads sources, ended with {how}"
        raise FfmpegError(message, FailureKind.KILLED) from None


@dataclass(slots=True)
class _Running:
    """A running program, for one thread at a time.

    is_free: whether the last request was answered to the end.
    """

    program: Path
    owner: int = field(default_factory=os.getpid)
    is_free: bool = True
    _program: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        try:
            self._program = subprocess.Popen(
                # -P: what lies beside the program is not for it to import.
                [sys.executable, "-P", str(self.program)],
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
        """What is answered. Raises RefusedError, _LostError and FfmpegError."""
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
                raise RefusedError(int(failed["errno"]), str(failed["words"]))
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

    def close(self) -> int:
        """End the program and what it does; its exit status, or minus its signal."""
        for pipe in (self._program.stdin, self._program.stdout):
            if pipe:
                pipe.close()
        if self._program.poll() is None:
            try:
                os.killpg(self._program.pid, signal.SIGKILL)
            except ProcessLookupError:
                self._program.kill()
        return self._program.wait()


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
class _Programs:
    """The programs of this process that nobody uses at the moment."""

    _idle: list[_Running] = field(default_factory=list[_Running])
    _lock: Lock = field(default_factory=Lock)

    @contextmanager
    def one(self, program: Path) -> Generator[_Running]:
        """A program for the time of the block."""
        with self._lock:
            # A process that was forked from ours has copies, whose pipes are not its own.
            mine = [running for running in self._idle if running.owner == os.getpid()]
            running = next((each for each in mine if each.program == program), None)
            self._idle = [each for each in mine if each is not running]
        with self.given_back(running or _Running(program)) as running:
            yield running

    @contextmanager
    def given_back(self, running: _Running) -> Generator[_Running]:
        """Keep a program for others after the block, unless it was left in the middle."""
        try:
            yield running
        finally:
            if running.is_free:
                with self._lock:
                    self._idle.append(running)
            else:
                running.close()

    def close(self) -> None:
        """End them all."""
        with self._lock:
            idle, self._idle = self._idle, []
        for running in idle:
            if running.owner == os.getpid():
                running.close()


_programs = _Programs()
atexit.register(_programs.close)
