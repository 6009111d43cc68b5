"""Run a child process: bounded output, a limit on standing still, and no orphan.

The child dies with the thread that started it (PR_SET_PDEATHSIG), even when that is ended by
SIGKILL, and it stands in a process group of its own, so that ending it ends its children too.
"""

from __future__ import annotations

import ctypes
import os
import selectors
import shlex
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Event

from clipping.errors import FailureKind, FfmpegError
from clipping.ffmpeg.complaints import is_damage
from clipping.ffmpeg.failures import classify, died_of, last_words
from clipping.ffmpeg.memory import resident

__all__ = ["Finished", "Runner", "die_with_parent", "run"]

_TAIL_LINES = 60
_LOOK_SECONDS = 0.4
_LONGEST_LINE = 65_536
_MOVING = ("frame", "out_time_us", "total_size")
_SIGNAL = "received signal"
_PR_SET_PDEATHSIG = 1
_libc: ctypes.CDLL | None = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None

# The seam that tests replace: anything called like `run`.
Runner = Callable[..., "Finished"]


@dataclass(frozen=True, slots=True)
class Finished:
    """A child that ended well: the end of its log, and how many lines of it tell of damage."""

    stderr: str
    damage: int
    seconds: float


def die_with_parent() -> None:
    """For a new child: ask the kernel to kill it when the thread that started it ends."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def run(
    argv: Sequence[str],
    *,
    what: str,
    on_frames: Callable[[int], None] | None = None,
    on_line: Callable[[str], None] | None = None,
    on_out: Callable[[str], None] | None = None,
    log: Callable[[str], None] | None = None,
    stall_limit: float = 300.0,
    memory_limit: int = 0,
    stop: Event | None = None,
    pass_fds: Sequence[int] = (),
) -> Finished:
    """Run `argv` to its end and return the end of its stderr.

    what: the work in a few words, for messages.
    on_frames: called with the number of frames so far, as `-progress pipe:1` reports it.
    on_line, on_out: called with every line of stderr, of stdout; log: with those of stderr too,
    for a person who asked to see them.
    stall_limit: seconds without any output or progress after which the child is ended.
    memory_limit: bytes of memory beyond which the child is ended, looked at twice a second; 0
    means no limit. (RLIMIT_AS would count what is reserved and never used, as CUDA does.)
    stop: when set, the child is ended and the call raises.
    pass_fds: file descriptors that the child gets under the same numbers.

    Raises FfmpegError, with a classified kind and the command, unless the exit status is 0.
    """
    began = time.monotonic()
    child = _start(argv, what, pass_fds)
    tail: deque[str] = deque(maxlen=_TAIL_LINES)
    damage = 0
    reported: dict[str, str] = {}

    def stderr_line(line: str) -> bool:
        nonlocal damage
        damage += is_damage(line)
        for reader in (on_line, log):
            if reader:
                reader(line)
        if _is_kept(line):
            tail.append(line)
        return True

    def stdout_line(line: str) -> bool:
        if on_out:
            on_out(line)
        name, _, value = line.partition("=")
        if name == "frame" and on_frames and value.strip().isdigit():
            on_frames(int(value))
        # Reports repeat while nothing moves: only a change counts.
        moved = name in _MOVING and reported.get(name) != value
        reported[name] = value
        return moved

    try:
        ended = _pump(child, stdout_line, stderr_line, stall_limit, memory_limit, stop)
        if ended or (stop is not None and stop.is_set()):
            _end(child)
        code = child.wait()
    except BaseException:
        _end(child)
        raise
    finally:
        for pipe in (child.stdout, child.stderr):
            if pipe:
                pipe.close()
    text = "\n".join(tail)
    if ended is FailureKind.OUT_OF_MEMORY:
        message = (
            f"{what}: ffmpeg needs more than the {memory_limit / 1e9:.1f} GB of memory that"
            " ffmpeg_memory_gb allows, and was ended; raise it where the machine has more"
        )
        raise _failed(argv, message, ended)
    if ended:
        message = f"{what}: ffmpeg made no progress for {stall_limit:g} s and was killed"
        raise _failed(argv, message, FailureKind.TIMED_OUT)
    if stop is not None and stop.is_set():
        raise _failed(argv, f"{what}: stopped", FailureKind.KILLED)
    if code != 0:
        kind = classify(code, text)
        how = died_of(code)[1]
        words = last_words(text) or "it said nothing"
        raise _failed(argv, f"{what}: ffmpeg ended with {how}: {words}", kind)
    return Finished(stderr=text, damage=damage, seconds=time.monotonic() - began)


def _start(argv: Sequence[str], what: str, pass_fds: Sequence[int] = ()) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            process_group=0,
            pass_fds=pass_fds,
            # SVT-AV1 would tell its settings, past the log.
            env={**os.environ, "SVT_LOG": "1"},
            preexec_fn=die_with_parent,  # noqa: PLW1509  a single system call, loaded before
        )
    except FileNotFoundError:
        message = f"{what}: there is no program {argv[0]!r}; set ffmpeg_binary to one"
        raise _failed(argv, message, FailureKind.NO_ENCODER) from None
    except OSError as error:
        message = f"{what}: {argv[0]!r} does not start: {error}"
        raise _failed(argv, message, FailureKind.IO) from None


def _failed(argv: Sequence[str], message: str, kind: FailureKind) -> FfmpegError:
    error = FfmpegError(message, kind)
    error.command = shlex.join(argv)
    return error


def _is_kept(line: str) -> bool:
    """Whether a line may tell why a child failed: ffmpeg's news are not kept, what ended it is.

    A file's own metadata are among the news, over several lines if they please.
    """
    if _SIGNAL in line:
        return True
    return "[info]" not in line and "showinfo" not in line and not line.startswith((" ", "\t"))


class _Lines:
    """Cuts blocks into lines and hands each to a reader, which says whether it means progress."""

    def __init__(self, reader: Callable[[str], bool]) -> None:
        self._reader = reader
        self._rest = b""

    def feed(self, block: bytes) -> bool:
        """Take in a block (empty: the end); whether any line meant progress."""
        *lines, rest = (self._rest + block).split(b"\n")
        self._rest = rest[-_LONGEST_LINE:]
        if not block and self._rest:
            lines.append(self._rest)
        moved = False
        for line in lines:
            moved |= self._reader(line.decode("utf-8", "replace").rstrip("\r"))
        return moved


def _pump(
    child: subprocess.Popen[bytes],
    stdout_line: Callable[[str], bool],
    stderr_line: Callable[[str], bool],
    stall_limit: float,
    memory_limit: int,
    stop: Event | None,
) -> FailureKind | None:
    """Feed lines to their readers until both pipes close; why the child has to be ended, if so."""
    assert child.stdout is not None
    assert child.stderr is not None
    moved = looked = time.monotonic()
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ, _Lines(stdout_line))
        selector.register(child.stderr, selectors.EVENT_READ, _Lines(stderr_line))
        while selector.get_map():
            if stop is not None and stop.is_set():
                return None
            for key, _ in selector.select(timeout=0.5):
                block = os.read(key.fd, 65536)
                if key.data.feed(block):
                    moved = time.monotonic()
                if not block:
                    selector.unregister(key.fileobj)
            now = time.monotonic()
            if now - moved > stall_limit:
                return FailureKind.TIMED_OUT
            if memory_limit and now - looked >= _LOOK_SECONDS:
                looked = now
                if resident(child.pid) > memory_limit:
                    return FailureKind.OUT_OF_MEMORY
    return None


def _end(child: subprocess.Popen[bytes]) -> None:
    """End the child and what it started."""
    if child.poll() is None:
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except ProcessLookupError:
            child.kill()
    child.wait()
