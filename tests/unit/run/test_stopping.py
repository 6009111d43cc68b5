"""Ctrl-C and the signals that do the same."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

SWALLOWED = """
import os, signal, subprocess, sys, time
from clipping.run.stopping import interrupt_on_signals, received

signal.signal(signal.SIGINT, signal.default_int_handler)
interrupt_on_signals()
sent = []

def after_fork():
    if not sent:
        sent.append(1)
        os.kill(os.getpid(), int(sys.argv[1]))
        time.sleep(0.2)

os.register_at_fork(after_in_parent=after_fork)
try:
    subprocess.run(["true"], preexec_fn=lambda: None)
    time.sleep(20)
except KeyboardInterrupt:
    sys.exit(f"stopped {received()}")
sys.exit("not stopped")
"""


@pytest.mark.parametrize(
    ("number", "said"),
    [(signal.SIGINT, "stopped None\n"), (signal.SIGTERM, f"stopped {int(signal.SIGTERM)}\n")],
)
def test_an_interrupt_that_a_callback_swallows_is_repeated(
    number: signal.Signals, said: str
) -> None:
    """Python cannot raise what comes while it forks; the run stops a moment later all the same."""
    done = subprocess.run(
        [sys.executable, "-c", SWALLOWED, str(int(number))],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.stderr == said
