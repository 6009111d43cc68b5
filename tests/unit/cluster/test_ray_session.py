"""A Ray that does not start."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from typing import Any

import psutil
import pytest
import ray

from clipping.cluster import ray_session
from clipping.errors import ClippingError, FailureKind, UsageError

TIMED_OUT = Exception(
    "The current node timed out during startup. This could happen because some of the raylet"
    " failed to startup or the GCS has become overloaded."
)


@pytest.fixture
def starts(monkeypatch: pytest.MonkeyPatch) -> list[BaseException | None]:
    """What each start of Ray comes to: an exception, or None; those that are left."""
    planned: list[BaseException | None] = []

    def init(*_: Any, **__: Any) -> None:
        error = planned.pop(0)
        if error is not None:
            raise error

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    return planned


@pytest.mark.parametrize("error", [TIMED_OUT, TimeoutError("no port file"), RuntimeError("GCS")])
def test_a_start_that_times_out_is_tried_once_more(
    error: Exception, starts: list[BaseException | None]
) -> None:
    """A machine that was busy for a moment costs a try and no run."""
    starts.extend([error, None])
    assert ray_session.start("")
    assert not starts


def test_a_second_time_out_is_one_line(starts: list[BaseException | None]) -> None:
    """With Ray's first words and what of this machine may be the cause."""
    starts.extend([TIMED_OUT, TIMED_OUT])
    with pytest.raises(ClippingError) as raised:
        ray_session.start("")
    assert raised.value.kind is FailureKind.TIMED_OUT
    message = raised.value.message
    assert message.startswith("Ray does not start, tried twice: The current node timed out")
    assert message.endswith(ray_session.hardship()) or "busy" in message
    assert "\n" not in message


def test_a_folder_that_ray_cannot_use_is_not_tried_twice(
    starts: list[BaseException | None],
) -> None:
    """Too long a path, read-only or full: the same again; the variable that mends it is named."""
    starts.extend([OSError("AF_UNIX path length cannot exceed 107 bytes"), None])
    with pytest.raises(UsageError, match="RAY_TMPDIR names another folder"):
        ray_session.start("")
    assert len(starts) == 1


def test_a_process_of_the_local_ray_that_dies_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, with its name; Ray's own calls would wait for a minute."""
    said: list[str] = []
    told = threading.Event()

    def on_death(reason: str) -> None:
        said.append(reason)
        told.set()

    raylet = subprocess.Popen(["sleep", "60"])
    monkeypatch.setattr(ray_session, "_vital", {"raylet": psutil.Process(raylet.pid)})
    with ray_session.watched(on_death):
        assert not told.wait(1)
        raylet.kill()
        assert told.wait(10)
    raylet.wait()
    assert said == ["Ray died: its process raylet is gone, killed or out of memory"]


def test_a_cluster_whose_head_falls_silent_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """In plain words, and before Ray ends this process with its own; not for a short silence."""
    monkeypatch.setattr(ray_session, "_LOOK_EVERY", 0.01)
    monkeypatch.setattr(ray_session, "_CALL_EVERY", 0.02)
    monkeypatch.setattr(ray_session, "_SILENT_SECONDS", 1.0)
    said: list[str] = []
    told = threading.Event()

    def on_death(reason: str) -> None:
        said.append(reason)
        told.set()

    head = socket.create_server(("127.0.0.1", 0))
    port = head.getsockname()[1]
    monkeypatch.setattr(ray_session, "_joined", [("127.0.0.1", port)])
    with ray_session.watched(on_death):
        assert not told.wait(0.2), "it answers"
        head.close()
        time.sleep(0.3)
        head = socket.create_server(("127.0.0.1", port))  # started again
        assert not told.wait(1.5)
        head.close()
        assert told.wait(10)
    head_name = f"the head of the Ray cluster at 127.0.0.1:{port}"
    assert said == [f"{head_name} does not answer any more; see that it runs"]
