"""Other libraries' exceptions, each with a real cause where that is cheap, in one line."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable

import httpx
import pytest
from ray.exceptions import RaySystemError

from clipping.errors import ClippingError, FailureKind, SourceError
from clipping.orchestration.error_messages import is_api_gone, readable


def closed_port() -> str:
    """An address where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/api"


def nobody_answers() -> None:
    httpx.get(closed_port())


def refused() -> None:
    request = httpx.Request("GET", "http://server/api")
    httpx.Response(401, request=request).raise_for_status()


def a_full_disk() -> None:
    with open("/dev/full", "w") as full:
        full.write("x" * 100_000)


def no_permission() -> None:
    raise PermissionError(errno.EACCES, "Permission denied", "/srv/clips")


def ray_is_dead() -> None:
    raise RaySystemError("the driver lost its raylet\nand pages more")


def anything_else() -> None:
    raise LookupError("the first line\nthe second")


@pytest.mark.parametrize(
    ("cause", "kind", "words"),
    [
        (nobody_answers, FailureKind.IO, "does not answer (ConnectError"),
        (refused, FailureKind.DENIED, "refuses us (401): set PREFECT_API_AUTH_STRING"),
        (a_full_disk, FailureKind.DISK_FULL, "there is no room"),
        (no_permission, FailureKind.IO, "Permission denied: '/srv/clips'"),
        (ray_is_dead, FailureKind.KILLED, "Ray failed (RaySystemError"),
        (anything_else, FailureKind.UNKNOWN, "LookupError: the first line"),
    ],
)
def test_an_exception_becomes_a_line(
    cause: Callable[[], None], kind: FailureKind, words: str
) -> None:
    """What happened, and what to do where anything can be done."""
    with pytest.raises(Exception) as raised:
        cause()
    error = readable(raised.value)
    assert error.kind is kind
    assert words in error.message
    assert "\n" not in error.message
    assert is_api_gone(raised.value) == (cause is nobody_answers)


def test_our_own_errors_stay_as_they_are() -> None:
    """They say already all there is to say."""
    error: ClippingError = SourceError("a.mp4: the file is empty")
    assert readable(error) is error
