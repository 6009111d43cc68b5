"""What waits for a worker: the longest first, short chunks together, none lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipping.cluster.chunk_queue import ChunkQueue, Waiting
from clipping.media.methods.encode_once import work_of
from clipping.models import Chunk
from tests.support.sources import chunk_of

_ENOUGH = 150e6


@pytest.fixture(scope="module")
def chunk() -> Chunk:
    """Four clips of 2 s every 1 s, of 100 frames of 128 x 72."""
    return chunk_of(frames=100, length=2, stride=1, size=(128, 72))


def test_work_counts_overlaps_once(chunk: Chunk) -> None:
    """Pixels of the frames that are encoded."""
    assert work_of(chunk) == pytest.approx(100 * 128 * 72)


@given(works=st.lists(st.floats(1e3, 1e9), max_size=60), slots=st.integers(1, 9))
def test_all_come_out_once_longest_first(works: list[float], slots: int, chunk: Chunk) -> None:
    """Whatever the sizes: nothing is lost, and a task's chunks are long, or short together."""
    queue = ChunkQueue()
    for work in works:
        queue.put(Waiting(chunk, work))
    taken: list[float] = []
    while queue:
        bundle = queue.take(slots, more_to_come=True)
        assert len(bundle) == 1 or sum(w.work for w in bundle) <= _ENOUGH * 1.001
        taken += [w.work for w in bundle]
    assert taken == sorted(works, reverse=True)
    assert queue.work == 0


def test_bundles_shrink_towards_the_end(chunk: Chunk) -> None:
    """Many short chunks and none to come: no worker is left with a long bundle at the end."""
    queue = ChunkQueue()
    for _ in range(80):
        queue.put(Waiting(chunk, 1e6))
    sizes: list[int] = []
    while queue:
        sizes.append(len(queue.take(2, more_to_come=False)))
    assert sum(sizes) == 80
    assert sizes[0] == 20
    assert sizes[-1] == 1
    assert sizes == sorted(sizes, reverse=True)


def test_a_chunk_that_killed_a_worker_goes_alone(chunk: Chunk) -> None:
    """It can take no other with it."""
    queue = ChunkQueue()
    for work, crashes in ((3e6, 1), (2e6, 0), (1.5e6, 0), (1e6, 2)):
        queue.put(Waiting(chunk, work, crashes))
    bundles: list[list[float]] = []
    while queue:
        bundles.append([w.work for w in queue.take(1, more_to_come=True)])
    assert bundles == [[3e6], [2e6, 1.5e6], [1e6]]


def test_being_short_is_about_work_and_number(chunk: Chunk) -> None:
    """Hundreds of tiny chunks are soon done; four long ones keep two workers for a while."""
    queue = ChunkQueue()
    for _ in range(50):
        queue.put(Waiting(chunk, 1e6))
    assert queue.is_short(2)
    for _ in range(4):
        queue.put(Waiting(chunk, 300e6))
    assert not queue.is_short(2)
    assert queue.is_short(60)


def test_an_empty_queue_is_false_and_short() -> None:
    """Nothing waits."""
    assert not ChunkQueue()
    assert ChunkQueue().is_short(1)
