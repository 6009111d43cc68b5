"""Headless Chromium through Playwright: Debian's, or what CLIPPING_CHROMIUM names."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, sync_playwright

__all__ = ["browser"]

# As root there is no sandbox; the others keep it from asking hosts outside for anything.
_FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
    *("--autoplay-policy=no-user-gesture-required", "--disable-dev-shm-usage"),
)
_NAMES = ("chromium", "chromium-browser", "google-chrome")


@contextmanager
def browser() -> Iterator[Browser]:
    """A browser; the test fails where there is none and CI is set, and is skipped elsewhere."""
    found = os.environ.get("CLIPPING_CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), "")
    if not found:
        message = "no Chromium here (apt-get install chromium, or name one in CLIPPING_CHROMIUM)"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(message)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found, args=list(_FLAGS))
        try:
            yield started
        finally:
            started.close()
