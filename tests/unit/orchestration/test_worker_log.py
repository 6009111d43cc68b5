"""A task's log lines on their way from a Ray worker to Prefect's server."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from prefect.logging import handlers

from clipping.errors import ClippingError
from clipping.orchestration import worker_log
from clipping.orchestration.worker_log import WorkerLog


class Server:
    """What was sent, request by request."""

    def __init__(self) -> None:
        self.requests: list[list[str]] = []
        self.is_away = False

    def create_logs(self, lines: list[dict[str, Any]]) -> None:
        if self.is_away:
            raise ConnectionError
        assert all("__payload_size__" not in line for line in lines)
        self.requests.append([line["message"] for line in lines])


def line(message: str) -> dict[str, Any]:
    return {"message": message, "__payload_size__": 1}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    made = Server()

    class Context:
        client = made

    class Clients:
        get = staticmethod(Context)

    monkeypatch.setattr(worker_log, "SyncClientContext", Clients)
    return made


def test_a_task_with_nothing_to_tell_costs_one_request(server: Server) -> None:
    """Its end, which Prefect's engine logs after the task's function."""
    log = WorkerLog()
    log.begin()
    log.end(None)
    log.take(line("Finished in state Completed()"))
    assert server.requests == [["Finished in state Completed()"]]


def test_lines_go_together_and_none_stays_behind(server: Server) -> None:
    """The first at once, what follows with the next that is due, the rest at the task's end."""
    log = WorkerLog()
    log.begin()
    for number in range(3):
        log.take(line(f"{number}"))
    assert server.requests == [["0"]]
    log.end(None)
    log.take(line("end"))
    assert server.requests == [["0"], ["1", "2"], ["end"]]


def test_a_server_that_is_away_gets_the_lines_from_prefects_own_thread(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is lost, and the task goes on."""
    kept: list[str] = []

    class Worker:
        @classmethod
        def instance(cls) -> type[Worker]:
            return cls

        @staticmethod
        def send(item: dict[str, Any]) -> None:
            kept.append(item["message"])

    monkeypatch.setattr(handlers, "APILogWorker", Worker)
    server.is_away = True
    log = WorkerLog()
    log.begin()
    log.take(line("a"))
    log.end(None)
    assert kept == ["a"]


def record(level: int, error: Exception | None = None) -> logging.LogRecord:
    info = (type(error), error, None) if error else None
    return logging.LogRecord("prefect.task_runs", level, "", 0, "Finished", None, info)


def test_a_known_failure_is_a_warning_without_a_traceback(server: Server) -> None:
    """The run may yet mend it, and tells itself what failed for good; a bug stays an error."""
    log = WorkerLog()
    log.begin()
    assert server.requests == []
    unknown = record(logging.ERROR, ValueError("a bug"))
    assert log.is_news(unknown)
    assert unknown.levelno == logging.ERROR
    failure = ClippingError("a.mp4: is empty")
    assert not log.is_news(record(logging.ERROR, failure))
    log.end(failure)
    finished = record(logging.ERROR)
    assert log.is_news(finished)
    assert finished.levelname == "WARNING"
