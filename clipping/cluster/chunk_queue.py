"""Chunks that wait for a worker: the longest first, small ones several to a task. Pure.

A Prefect task run on Ray costs about 0.1 s of CPU in all, whatever it does (docs/performance.md),
so a task should have seconds of work. Work is measured in pixels to encode, or what equals that.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

from clipping.models import Chunk

__all__ = ["ChunkQueue", "Waiting"]

# About ten CPU seconds with libx264's medium, four with veryfast.
_BUNDLE_PIXELS = 150e6
# Near the end the bundles get smaller, so that all workers end at about the same time.
_BUNDLES_PER_SLOT = 2


@dataclass(frozen=True, slots=True)
class Waiting:
    """A chunk with its work in pixels, and what happened to it.

    crashes: how many workers died over it; refusals: how often an encoder had no session for
    it; avoid: ids of nodes whose encoder does not take it; cpus: the most that its encoding on the
    CPU can use.
    """

    chunk: Chunk
    work: float
    crashes: int = 0
    refusals: int = 0
    avoid: frozenset[str] = frozenset()
    cpus: int = 1

    @property
    def was_tried(self) -> bool:
        """Whether something began to make it."""
        return bool(self.crashes or self.refusals or self.avoid)

    @property
    def must_run_alone(self) -> bool:
        """Whether it shares its task with no other, so that it can hurt none."""
        return bool(self.crashes or self.avoid)


@dataclass(slots=True)
class ChunkQueue:
    """What waits, and `work`: how many pixels that is."""

    work: float = 0.0
    _heap: list[tuple[float, int, Waiting]] = field(
        default_factory=list[tuple[float, int, Waiting]]
    )
    _order: Iterator[int] = field(default_factory=itertools.count)

    def __len__(self) -> int:
        return len(self._heap)

    def put(self, waiting: Waiting) -> None:
        """Add a chunk."""
        heapq.heappush(self._heap, (-waiting.work, next(self._order), waiting))
        self.work += waiting.work

    def is_short(self, slots: int) -> bool:
        """Whether `slots` workers will soon be through with it, so that more is to be planned."""
        enough = _BUNDLES_PER_SLOT * slots
        return len(self) < enough or self.work < enough * _BUNDLE_PIXELS

    def take(self, slots: int, *, more_to_come: bool) -> tuple[Waiting, ...]:
        """The next task's chunks: a long one alone, or short ones together.

        A chunk that a worker died over goes alone.
        """
        enough = _BUNDLE_PIXELS
        if not more_to_come:
            enough = min(enough, self.work / (_BUNDLES_PER_SLOT * slots))
        taken = [self._pop()]
        reached = taken[0].work
        while self._heap and not taken[0].must_run_alone and not self._heap[0][2].must_run_alone:
            reached += self._heap[0][2].work
            if reached > enough:
                break
            taken.append(self._pop())
        return tuple(taken)

    def _pop(self) -> Waiting:
        waiting = heapq.heappop(self._heap)[2]
        self.work = self.work - waiting.work if self._heap else 0.0
        return waiting
