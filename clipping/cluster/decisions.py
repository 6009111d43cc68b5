"""What the policy is told and what it answers: events and actions. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from clipping.cluster.chunk_queue import Waiting
from clipping.cluster.resources import Cluster, Request
from clipping.errors import ClippingError
from clipping.models import Chunk, ChunkRecord, Failure, ProbedSource, SourceFile

__all__ = [
    "Action",
    "Batch",
    "Bundle",
    "Count",
    "Ended",
    "Event",
    "FailSource",
    "Make",
    "Open",
    "Plan",
    "Planned",
    "Surveyed",
    "Tick",
    "Withdraw",
]


@dataclass(frozen=True, slots=True)
class Batch:
    """Sources to open in one task, and how many workers died over them.

    probed: the one source, opened already, whose shots are to be looked for.
    """

    files: tuple[SourceFile, ...]
    crashes: int = 0
    probed: ProbedSource | None = None


@dataclass(frozen=True, slots=True)
class Bundle:
    """Chunks to make in one task, and the encoder that makes them."""

    chunks: tuple[Waiting, ...]
    encoder: str
    on_gpu: bool

    @property
    def name(self) -> str:
        """What its progress is stored under."""
        return self.chunks[0].chunk.name

    @property
    def work(self) -> float:
        """Pixels to encode."""
        return sum(w.work for w in self.chunks)


# Events


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed. now: seconds on one clock for all events."""

    now: float


@dataclass(frozen=True, slots=True)
class Planned:
    """A source was planned: its chunks that are not done yet."""

    chunks: Sequence[Waiting]


@dataclass(frozen=True, slots=True)
class Ended:
    """A task has ended.

    opened, made: what it gave; failure: what it raised; crash: what is known of its worker's
    death; withdrawn: it was called back before a worker took it.
    """

    item: Batch | Bundle
    now: float
    opened: Sequence[ProbedSource] = ()
    made: Sequence[ChunkRecord] = ()
    failure: ClippingError | None = None
    crash: str | None = None
    withdrawn: bool = False


@dataclass(frozen=True, slots=True)
class Surveyed:
    """The cluster as it is now."""

    cluster: Cluster


Event = Tick | Planned | Ended | Surveyed


# Actions


@dataclass(frozen=True, slots=True)
class Open:
    """Submit a task that opens sources, or looks for shots in one."""

    batch: Batch
    request: Request


@dataclass(frozen=True, slots=True)
class Make:
    """Submit a task that makes chunks. was_tried: an earlier attempt may have published some."""

    bundle: Bundle
    request: Request
    was_tried: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """Plan the chunks of a source that was opened; they come back as `Planned`."""

    probed: ProbedSource


@dataclass(frozen=True, slots=True)
class FailSource:
    """Record that a source gives no chunks at all.

    is_verdict: whether it was opened, and this is what was found; else it could not be tried.
    """

    file: SourceFile
    failure: Failure
    is_verdict: bool = False


@dataclass(frozen=True, slots=True)
class Count:
    """Record how a chunk ended: made, or failed as a whole."""

    chunk: Chunk
    record: ChunkRecord | None
    failure: ClippingError | None


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Call back the tasks whose request no node will serve."""

    is_lost: Callable[[Request], bool]


Action = Open | Make | Plan | FailSource | Count | Withdraw
