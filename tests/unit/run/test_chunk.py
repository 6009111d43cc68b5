"""Chunks that share a task."""

from __future__ import annotations

import pickle

import pytest

from clipping.errors import BundleError, FailureKind, FfmpegError
from clipping.models import Chunk, ChunkRecord
from clipping.run.chunk import make_each
from tests.support.sources import chunk_of


@pytest.fixture
def chunk() -> Chunk:
    """Eight overlapping clips of a 4.5 s video."""
    return chunk_of(frames=112, length=1, stride="0.5")


def test_chunks_that_share_a_task_fail_each_for_itself(chunk: Chunk) -> None:
    """The others are made; every failing one's own error comes out, and crosses processes."""
    chunks = [chunk.model_copy(update={"number": i}) for i in range(4)]
    asked: list[int] = []

    def make(one: Chunk) -> ChunkRecord:
        asked.append(one.number)
        if one.number == 1:
            raise FfmpegError("it hurts here", FailureKind.BAD_INPUT)
        if one.number == 2:
            raise OSError("no route to host")
        return ChunkRecord(
            source_key="in.mp4", chunk=one.number, recipe_digest="", fingerprint="", clips=()
        )

    with pytest.raises(BundleError) as caught:
        make_each(chunks, make)
    assert asked == [0, 1, 2, 3]
    error: BundleError = pickle.loads(pickle.dumps(caught.value))
    assert {name: e.kind for name, e in error.failures.items()} == {
        "a/b.mp4#1": FailureKind.BAD_INPUT,
        "a/b.mp4#2": FailureKind.IO,
    }
    assert error.kind.is_transient, "what may pass decides whether the task is tried again"
    assert str(error) == "a/b.mp4#1: it hurts here; a/b.mp4#2: no route to host"
    with pytest.raises(FfmpegError):
        make_each(chunks[1:2], make)
