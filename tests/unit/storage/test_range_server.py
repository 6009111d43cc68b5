"""Blocks of an object: how much is fetched, and that nothing is fetched twice at a time."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from clipping.errors import ClippingError, FailureKind
from clipping.storage.range_server import Blocks

BLOCK = 64 * 1024
CONTENT = bytes(range(256)) * 256 * 200  # 200 blocks


def test_a_request_asks_for_no_more_than_was_read_and_a_block() -> None:
    asked: list[tuple[int, int]] = []

    def fetch(start: int, end: int) -> bytes:
        asked.append((start, end))
        return CONTENT[start:end]

    stream = Blocks(fetch, len(CONTENT)).stream(0, len(CONTENT))
    read = b""
    for part in stream:
        read += part
        assert sum(b - a for a, b in asked) <= 2 * len(read)
    assert read == CONTENT
    assert len(asked) < 20
    assert sum(b - a for a, b in asked) == len(CONTENT)


@pytest.mark.parametrize("fails_first", [False, True])
def test_threads_that_want_the_same_block_fetch_it_once(fails_first: bool) -> None:
    asked: list[int] = []
    first_asked, second_waits = threading.Event(), threading.Event()

    def fetch(start: int, end: int) -> bytes:
        asked.append(start)
        first_asked.set()
        if len(asked) == 1:
            second_waits.wait(0.3)
            if fails_first:
                raise ClippingError("gone", FailureKind.IO)
        return CONTENT[start:end]

    blocks = Blocks(fetch, len(CONTENT))
    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(blocks.read, 10, 20)
        assert first_asked.wait(5)
        other = pool.submit(blocks.read, 30, 40)
        assert other.result(10) == CONTENT[30:40]
        if fails_first:
            assert isinstance(one.exception(10), ClippingError)
        else:
            assert one.result(10) == CONTENT[10:20]
    assert asked == [0] * (2 if fails_first else 1)
