"""Stopping a run before its end: what is finished stays, nothing is left running.

SIGTERM and SIGHUP do what Ctrl-C does. Without this a service manager, a batch system or a closed
terminal would end the process with its record in Prefect as Running. Only the command line asks
for it; a deployed run leaves SIGTERM to Prefect, which cancels runs by it.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import suppress
from types import FrameType
from typing import NoReturn

import psutil

__all__ = [
    "GO_ON",
    "end_children",
    "end_now",
    "interrupt_on_signals",
    "keep_interrupting",
    "received",
]

GO_ON = "What is finished stays; run the same command again to go on."

_SIGNALS = (signal.SIGTERM, signal.SIGHUP)
_REPEAT_AFTER_S = 0.1
_MOST_REPEATS = 5
_asked = False
_repeats = 0
_received: int | None = None


def interrupt_on_signals() -> None:
    """From now on these signals raise KeyboardInterrupt; one that is ignored (nohup) stays so."""
    global _asked
    if not _asked:
        _asked = True
        before = sys.unraisablehook
        sys.unraisablehook = lambda told: None if _is_repeated(told) else before(told)
    keep_interrupting()


def _is_repeated(told: sys.UnraisableHookArgs) -> bool:
    """Whether an interrupt was swallowed, so that the signal is sent once more.

    What Python calls between two steps (around a fork, when an object ends) cannot be interrupted:
    it reports the exception, and the program would go on as if nobody had pressed Ctrl-C.
    """
    global _received, _repeats
    if told.exc_type is not KeyboardInterrupt or _repeats == _MOST_REPEATS:
        return False
    _repeats += 1
    number, _received = _received or signal.SIGINT, None
    again = threading.Timer(_REPEAT_AFTER_S, os.kill, (os.getpid(), number))
    again.daemon = True
    again.start()
    return True


def keep_interrupting() -> None:
    """Take the signals back from a library that took them, if `interrupt_on_signals` was called.

    Prefect's own handler raises another exception, which in the middle of a call into Ray comes
    out as a SystemError.
    """
    if not _asked or threading.current_thread() is not threading.main_thread():
        return
    for each in _SIGNALS:
        if signal.getsignal(each) is not signal.SIG_IGN:
            signal.signal(each, _interrupt)


def received() -> int | None:
    """The signal that stopped the run; None if none did."""
    return _received


def _interrupt(number: int, _frame: FrameType | None) -> None:
    global _received
    if _received is None:  # a second one is not to disturb the end
        _received = number
        raise KeyboardInterrupt


def end_now(status: int) -> NoReturn:
    """End this process and its children at once, from any thread.

    What waits for a server that is gone, or was imported in part, would hang on the way out.
    """
    with suppress(OSError):  # a terminal that is gone
        if sys.stderr.isatty():
            sys.stderr.write("\x1b[?25h")  # a moving line hides the cursor
        sys.stdout.flush()
        sys.stderr.flush()
    end_children()
    os._exit(status)


def end_children() -> None:
    """End everything that descends from this process: the server, Ray, a half-started one too."""
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            process.kill()
