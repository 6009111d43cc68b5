"""What the scheduler is told to do, event by event; no Ray, no Prefect, no clock."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from clipping.cluster.chunk_queue import Waiting
from clipping.cluster.decisions import (
    Action,
    Batch,
    Bundle,
    Count,
    Ended,
    FailSource,
    Make,
    Open,
    Plan,
    Planned,
    Surveyed,
    Tick,
    Withdraw,
)
from clipping.cluster.policy import Policy
from clipping.cluster.resources import Cluster, Node, Request
from clipping.cluster.routing import Routes
from clipping.config.load import resolve
from clipping.errors import BundleError, ClippingError, FailureKind
from clipping.models import Chunk, ChunkRecord, Failure, ProbedSource, SourceFile
from tests.support.sources import chunk_of

CPU = Node("c", "c", {"CPU": 2.0})
GPU = Node("g", "g", {"CPU": 4.0, "GPU": 1.0})
LONG = 1e9  # more than shares a task with anything


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """No .env file."""
    monkeypatch.chdir(tmp_path)


class Run:
    """A policy and what it said."""

    def __init__(self, *nodes: Node, **settings: Any) -> None:
        self.said: list[str] = []
        config = resolve(**settings)
        routes = Routes(config, Cluster(nodes), self.said.append, self.said.append)
        self.policy = Policy(config, routes, self.said.append)

    def tick(self, now: float = 0.0) -> list[Action]:
        return self.policy.decide(Tick(now))

    def ended(self, item: Batch | Bundle, now: float = 0.0, **how: Any) -> list[Action]:
        return self.policy.decide(Ended(item, now, **how))

    def plan(self, *chunks: Chunk, work: float = LONG) -> None:
        self.policy.decide(Planned([Waiting(chunk, work) for chunk in chunks]))

    def making(self, now: float = 0.0) -> list[Make]:
        return [a for a in self.tick(now) if isinstance(a, Make)]


@pytest.fixture(scope="module")
def chunks() -> list[Chunk]:
    """Six chunks of one source."""
    one = chunk_of(100, 1, 1)
    return [one.model_copy(update={"number": n}) for n in range(6)]


def files(count: int) -> list[SourceFile]:
    return [SourceFile(key=f"{i}", uri=f"/{i}", size=10, fingerprint="x") for i in range(count)]


def record(chunk: Chunk) -> ChunkRecord:
    return ChunkRecord(
        source_key=chunk.source.file.key, chunk=chunk.number, recipe_digest="", fingerprint="",
        clips=(),
    )  # fmt: skip


def error(kind: FailureKind, node: str | None = None) -> ClippingError:
    failed = ClippingError("words", kind)
    failed.node = node
    return failed


def test_sources_are_opened_before_anything_is_made() -> None:
    """In batches of eight, as many at a time as there are CPUs; all are told when opened."""
    run = Run(CPU)
    run.policy.add(files(20))
    actions = run.tick()
    assert [len(a.batch.files) for a in actions if isinstance(a, Open)] == [8, 8]
    assert len(actions) == 2
    assert run.tick() == []
    assert isinstance(actions[0], Open)
    probed = [ProbedSource(file=f) for f in actions[0].batch.files]
    bad = ProbedSource(file=probed[0].file, failure=Failure(kind=FailureKind.DAMAGED, message="x"))
    told = run.ended(actions[0].batch, opened=[bad, *probed[1:]])
    assert bad.failure is not None
    assert told[0] == FailSource(bad.file, bad.failure, is_verdict=True)
    assert told[1:] == [Plan(p) for p in probed[1:]]
    assert (run.policy.videos_opened, run.policy.bytes_opened) == (8, 80)
    assert not run.policy.is_done


def test_chunks_fill_the_cpus_and_two_wait(chunks: list[Chunk]) -> None:
    """Long chunks go alone; nothing more is submitted until one has ended."""
    run = Run(CPU)
    run.plan(*chunks)
    made = run.making()
    assert len(made) == 4
    assert all(len(m.bundle.chunks) == 1 and not m.was_tried for m in made)
    assert run.making() == []
    first = made[0].bundle
    chunk = first.chunks[0].chunk
    assert run.ended(first, made=[record(chunk)]) == [Count(chunk, record(chunk), None)]
    assert len(run.making()) == 1


def test_the_run_is_done_when_nothing_is_left_or_in_flight(chunks: list[Chunk]) -> None:
    """Not a moment earlier."""
    run = Run(CPU)
    assert run.policy.is_done
    run.plan(chunks[0])
    [make] = run.making()
    assert not run.policy.is_done
    run.ended(make.bundle, made=[record(chunks[0])])
    assert run.policy.is_done


def test_a_dead_worker_costs_a_new_task_until_it_died_too_often(chunks: list[Chunk]) -> None:
    """Each time alone and looked at anew; in the end the chunk fails with the reason."""
    run = Run(CPU, crash_retries=1)
    run.plan(chunks[0])
    [make] = run.making()
    assert run.ended(make.bundle, crash="SIGKILL") == []
    assert "submitted again" in run.said[-1]
    run.plan(chunks[1], chunks[2], work=1.0)
    [again] = [m for m in run.making() if m.was_tried]
    assert len(again.bundle.chunks) == 1
    [count] = run.ended(again.bundle, crash="SIGKILL")
    assert isinstance(count, Count)
    assert count.failure is not None
    assert count.failure.kind is FailureKind.KILLED
    assert "died 2 times" in count.failure.message


def test_of_a_bundle_each_chunk_gets_its_own_failure(chunks: list[Chunk]) -> None:
    """The others are counted by what they published."""
    run = Run(CPU)
    run.plan(*chunks[:2])
    bundle = Bundle(tuple(Waiting(c, 1.0) for c in chunks[:2]), "libx264", on_gpu=False)
    run.making()
    run.policy._making[bundle.name] = bundle
    failed = BundleError({chunks[1].name: error(FailureKind.DISK_FULL)})
    first, second = run.ended(bundle, failure=failed)
    assert (first.failure, first.record) == (None, None)  # type: ignore[union-attr]
    assert second.failure is failed.failures[chunks[1].name]  # type: ignore[union-attr]


def test_a_file_that_kills_its_worker_is_opened_alone() -> None:
    """So that it takes no other with it, and is named in the end."""
    run = Run(CPU, crash_retries=0)
    run.policy.add(files(3))
    [opened] = run.tick()
    assert isinstance(opened, Open)
    assert run.ended(opened.batch, crash="SIGKILL") == []
    alone = [a for a in run.tick() if isinstance(a, Open)]
    assert all(len(a.batch.files) == 1 for a in alone)
    [failed] = run.ended(alone[0].batch, crash="SIGKILL")
    assert isinstance(failed, FailSource)
    assert not failed.is_verdict
    assert failed.failure.kind is FailureKind.KILLED


def test_auto_fills_gpus_and_cpus_from_one_queue(chunks: list[Chunk]) -> None:
    """Three sessions on the GPU; the CPUs that those do not need take the rest."""
    run = Run(GPU, encoder="auto")
    run.plan(*chunks)
    made = run.making()
    assert [m.bundle.encoder for m in made] == ["h264_nvenc"] * 3 + ["libx264"]
    assert {m.request.gpus for m in made} == {0.3333, 0.0}


def test_no_session_free_is_asked_for_again_later(chunks: list[Chunk]) -> None:
    """The GPU rests; without CPUs to share the work, the chunk waits longer each time."""
    run = Run(GPU, encoder="h264_nvenc", retry_delay_s=2)
    run.plan(chunks[0])
    [make] = run.making()
    for refusal in range(8):
        now = 1000.0 * refusal
        assert run.ended(make.bundle, now, failure=error(FailureKind.OUT_OF_SESSIONS)) == []
        assert run.making(now) == []
        [make] = run.making(now + 60)
        assert make.was_tried
    [count] = run.ended(make.bundle, 9e4, failure=error(FailureKind.OUT_OF_SESSIONS, "g"))
    assert isinstance(count, Count)
    assert "asked 9 times" in str(count.failure)


def test_a_node_without_an_encoder_is_left_out(chunks: list[Chunk]) -> None:
    """Its chunk goes to the CPUs with `auto`; the node gets no other."""
    run = Run(GPU, encoder="auto")
    run.plan(chunks[0])
    [make] = run.making()
    assert make.bundle.on_gpu
    assert run.ended(make.bundle, failure=error(FailureKind.NO_DEVICE, "g")) == []
    assert "No more NVENC chunks for node g" in run.said[-1]
    [again] = run.making()
    assert not again.bundle.on_gpu


def test_a_picture_that_a_gpu_refuses_is_the_cpus(chunks: list[Chunk]) -> None:
    """With a fallback; without one it fails and says on which node."""
    for fallback, kinds in (("libx264", []), ("", [FailureKind.UNSUPPORTED])):
        run = Run(GPU, encoder="h264_nvenc", nvenc_fallback=fallback)
        run.plan(chunks[0])
        [make] = run.making()
        told = run.ended(make.bundle, failure=error(FailureKind.UNSUPPORTED, "g"))
        found = [a.failure.kind for a in told if isinstance(a, Count) and a.failure]
        assert found == kinds
        assert [m.bundle.encoder for m in run.making()] == (["libx264"] if fallback else [])


def test_work_without_a_node_waits_and_then_fails(chunks: list[Chunk]) -> None:
    """The last GPU is lost in a strict run: ten seconds' grace, then the reason."""
    run = Run(GPU, encoder="h264_nvenc")
    run.plan(*chunks[:2])
    for make in run.making():
        run.ended(make.bundle, withdrawn=True)
    [withdraw] = run.policy.decide(Surveyed(Cluster((CPU,))))
    assert isinstance(withdraw, Withdraw)
    assert withdraw.is_lost(Request(1, 0.3333))
    assert not withdraw.is_lost(Request(1))
    assert run.tick(100.0) == []
    assert "GPU" in run.policy.waiting_for
    assert run.tick(109.0) == []
    counted = [a for a in run.tick(111.0) if isinstance(a, Count)]
    assert {a.chunk.number for a in counted} == {0, 1}
    assert all(a.failure and a.failure.kind is FailureKind.NO_DEVICE for a in counted)
    assert run.policy.is_done


def test_a_node_that_comes_in_time_takes_the_work(chunks: list[Chunk]) -> None:
    """Nothing has failed by then."""
    run = Run(CPU, encoder="h264_nvenc", node_wait_s=60)
    run.plan(chunks[0])
    waiting = run.making(0.0)  # submitted all the same, so that an autoscaler starts one
    for make in waiting:
        run.ended(make.bundle, withdrawn=True)
    run.policy.decide(Surveyed(Cluster((CPU, replace(GPU, id="n")))))
    [make] = run.making(50.0)
    assert make.bundle.on_gpu
    assert any("has joined" in s for s in run.said)
