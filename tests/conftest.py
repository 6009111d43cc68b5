"""What holds for all tests, on any machine."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

# A test says what is computed, not how fast: a busy machine would fail it.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


def pytest_configure(config: pytest.Config) -> None:
    """Make the processes that tests start alike, however the tests were started."""
    # A background job ignores Ctrl-C, and would pass that on to what a test wants to stop.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # Without bytecode each of some hundred processes would compile Prefect and Ray anew, which
    # takes seconds. Where none is to be left, it goes to a folder for this session.
    if os.environ.pop("PYTHONDONTWRITEBYTECODE", None):
        folder = tempfile.TemporaryDirectory(prefix="bytecode-")
        config.add_cleanup(folder.cleanup)
        os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix = folder.name
        sys.dont_write_bytecode = False


class _BesideEachOther(LoadScopeScheduling):
    """All of tests/integration in one process, all of tests/packaging in one, the rest by file.

    What shares servers and clusters, or builds an environment, is so not started twice.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::", maxsplit=1)[0]
        folder = "/".join(file.split("/")[:2])
        return folder if folder in ("tests/integration", "tests/packaging") else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """How xdist shares out the tests."""
    return _BesideEachOther(config, log)
