"""Waiting for other processes, and what is left of them."""

from __future__ import annotations

import time
from collections.abc import Callable

import psutil
import pytest

# After SIGKILL, Ray's agents report the raylet's death to a GCS that may be gone, and wait for its
# answer for up to 60 s (gcs_server_request_timeout_seconds) before they end.
RAY_ENDS_AFTER_SIGKILL_S = 90


def left_over(environment: dict[str, str]) -> list[str]:
    """Processes of this HOME that still run."""
    found: list[str] = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("HOME") == environment["HOME"]:
                found.append(" ".join(process.cmdline())[:100])
        except (psutil.AccessDenied, psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    return found


def wait_until(
    condition: Callable[[], object], seconds: float, what: str | Callable[[], str]
) -> None:
    """Poll until it holds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.2)
    pytest.fail(f"not within {seconds} s: {what if isinstance(what, str) else what()}")
