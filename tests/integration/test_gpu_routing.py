"""Chunks for NVENC go where NVENC is: real nodes of a real Ray, and an ffmpeg that pretends.

What pretends is `tests/support/nvenc_stand_in.py`; everything else is the real thing. Which node
made a clip is what Ray said to the task that made it.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import ray
from prefect.client.schemas.objects import State

from clipping.cluster._ray_private import starting_ray
from clipping.cluster.ray_session import survey
from clipping.config.execution import Execution
from clipping.config.recipe import Recipe
from tests.support.flow_runs import manifest, newest_artifact, newest_task_runs
from tests.support.media import FFMPEG, counter_video, read_numbers, steady
from tests.support.processes import wait_until

pytestmark = pytest.mark.usefixtures("prefect_server")

STAND_IN = Path(__file__).parent.parent / "support" / "nvenc_stand_in.py"
MEMORY = 80 * 1024 * 1024


@dataclass
class Nodes:
    """A Ray cluster of this machine: a head that is a CPU node, and GPU nodes added to it.

    gpu: those of this test; spare: those of earlier tests, by what they have, for it to take.
    """

    cluster: Any
    gpu: dict[str, Any] = field(default_factory=dict[str, Any])
    spare: list[tuple[dict[str, float], Any]] = field(
        default_factory=list[tuple[dict[str, float], Any]]
    )
    has: dict[str, dict[str, float]] = field(default_factory=dict[str, dict[str, float]])

    @property
    def head(self) -> str:
        return self.cluster.head_node.node_id

    def add(self, cpus: int = 2, **resources: float) -> str:
        """A node with a GPU and these custom resources; its id.

        Nodes of earlier tests are gone afterwards, unless it is one of them.
        """
        wanted = {"CPU": cpus, **resources}
        same = next((x for x in self.spare if x[0] == wanted), None)
        if same is not None:
            self.spare.remove(same)
            node = same[1]
        else:
            with starting_ray():
                node = self.cluster.add_node(
                    num_cpus=cpus, num_gpus=1, resources=resources, object_store_memory=MEMORY
                )
        self.gpu[node.node_id], self.has[node.node_id] = node, wanted
        self._end_spare()
        return node.node_id

    def leave(self) -> None:
        """Leave this test's nodes to the next."""
        self.spare += [(self.has[name], node) for name, node in self.gpu.items()]
        self.gpu.clear()

    def _end_spare(self) -> None:
        """End what was not taken, and wait until Ray knows of this test's nodes alone."""
        for _, node in self.spare:
            self.cluster.remove_node(node, allow_graceful=True)
        self.spare.clear()
        wait_until(
            lambda: sum(n["Alive"] for n in ray.nodes()) == 1 + len(self.gpu), 30, "nodes end"
        )

    def raylet(self, node: str) -> str:
        """The process id of a node's raylet."""
        return str(self.gpu[node].all_processes["raylet"][0].process.pid)

    def kill(self, node: str) -> None:
        """Take a node away without a word."""
        self.cluster.remove_node(self.gpu.pop(node), allow_graceful=False)

    def end(self, node: str) -> None:
        """Take a node away that says goodbye, which Ray notices sooner."""
        self.cluster.remove_node(self.gpu.pop(node), allow_graceful=True)


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    """The cluster, for this module."""
    from ray.cluster_utils import Cluster

    with starting_ray():
        cluster = Cluster(
            initialize_head=True,
            head_node_args={
                "num_cpus": 1,
                "object_store_memory": MEMORY,
                "include_dashboard": False,
                # A lost node is noticed after five of these.
                "_system_config": {"health_check_period_ms": 1000},
            },
        )
    try:
        quiet: Any = {"log_to_driver": False, "logging_level": "ERROR"}
        with starting_ray():
            ray.init(cluster.address, namespace="prefect", **quiet)
        yield Nodes(cluster)
    finally:
        ray.shutdown()
        cluster.shutdown()


@dataclass
class Site:
    """Videos, an output, and the ffmpeg that pretends to be there."""

    folder: Path
    nodes: Nodes

    @property
    def ffmpeg(self) -> str:
        script = self.folder / "ffmpeg"
        if not script.exists():
            script.write_text(
                f'#!/bin/sh\nexec "{sys.executable}" -SE "{STAND_IN}" "{self.folder}" "{FFMPEG}"'
                ' "$@"\n'
            )
            script.chmod(0o755)
        return str(script)

    def mood(self, node: str, words: str) -> None:
        """How NVENC behaves on a node."""
        (self.folder / "moods").mkdir(exist_ok=True)
        (self.folder / "moods" / self.nodes.raylet(node)).write_text(words)

    def let_nvenc_begin(self) -> None:
        """Hold libx264 back until NVENC has begun."""
        (self.folder / "cpu-waits").touch()

    def video(self, name: str = "in.mp4", seconds: int = 8) -> None:
        (self.folder / "videos").mkdir(exist_ok=True)
        counter_video(self.folder / "videos" / name, *steady(25 * seconds, 25))

    def clip(self, encoder: str, **execution: Any) -> State[Any]:
        """Clips of a second each, one to a chunk."""
        from clipping.orchestration.flow import clip_flow

        given = {
            "num_clips_per_chunk": 1, "nb_streams_per_gpu": 2, "retry_delay_s": 0.2,
            "ffmpeg_binary": self.ffmpeg, **execution,
        }  # fmt: skip
        recipe = {"clip_len_s": 1, "clip_stride_s": 1, "encoder": encoder}
        if encoder == "h264_nvenc":
            recipe["preset"] = "p4"
        return clip_flow(
            input=[str(self.folder / "videos")],
            output=str(self.folder / "out"),
            recipe=Recipe(**recipe),
            execution=Execution(**given),
            return_state=True,
        )

    def records(self) -> list[dict[str, Any]]:
        """Every written clip's record; each clip is exact."""
        found = []
        for row in manifest(self.folder):
            if row["status"] != "written":
                continue
            shown = [n for _, n in read_numbers(self.folder / "out" / row["file"])]
            assert shown == list(range(row["start_frame"], row["end_frame"]))
            text = (self.folder / "out" / "metas" / "v0" / f"{row['clip']}.json").read_text()
            found.append(json.loads(text))
        return found

    def by_encoder(self) -> Counter[str]:
        return Counter(record["encoder"] for record in self.records())

    def made_on(self, encoder: str) -> set[str]:
        """Ray's ids of the nodes that made clips with an encoder."""
        return {r["node"].split()[1] for r in self.records() if r["encoder"] == encoder}

    def log(self) -> list[dict[str, Any]]:
        """What the stand-in was asked for."""
        path = self.folder / "log"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture
def site(tmp_path: Path, nodes: Nodes) -> Iterator[Site]:
    """Eight seconds of video; nodes that a test added are for the next, or end when it adds one."""
    made = Site(tmp_path, nodes)
    made.video()
    yield made
    nodes.leave()


def test_auto_keeps_both_kinds_of_node_busy(site: Site) -> None:
    """NVENC on the tagged node alone, two sessions at most, the rest by the CPU node."""
    site.video("wide.mp4", 1)
    tagged = site.nodes.add(nvenc=2)
    site.mood(tagged, "works seconds=0.5")
    site.let_nvenc_begin()
    state = site.clip("auto", nvenc_resource="nvenc")
    assert state.is_completed(), state.message
    by_encoder = site.by_encoder()
    assert sum(by_encoder.values()) == 9
    assert by_encoder["h264_nvenc"] >= 2
    assert by_encoder["libx264"] >= 2
    assert site.made_on("h264_nvenc") == {tagged}
    assert site.nodes.head in site.made_on("libx264")
    wide = [r for r in site.records() if r["source_key"] == "wide.mp4"]
    assert [r["encoder"] for r in wide] == ["libx264"]  # NVENC said that it is too wide
    log = site.log()
    assert {line["raylet"] for line in log} == {site.nodes.raylet(tagged)}
    assert max(line["sessions"] for line in log) <= 2
    assert sum(line["trial"] for line in log) == 1  # once a node, not once a chunk
    summary = newest_artifact("clip-summary").data
    assert "h264_nvenc on 2 CPU, 1 GPU and 2 nvenc: works" in summary
    assert "by h264_nvenc" in summary


def test_a_clip_by_either_encoder_counts_as_done(site: Site) -> None:
    """`auto` is the recipe: a later run without the GPU keeps what NVENC made."""
    tagged = site.nodes.add(nvenc=2)
    site.mood(tagged, "works")
    site.let_nvenc_begin()
    assert site.clip("auto", nvenc_resource="nvenc").is_completed()
    assert site.by_encoder()["h264_nvenc"]
    site.nodes.end(tagged)
    assert site.clip("auto", nvenc_resource="nvenc").is_completed()
    assert "(0 made now, 8 there already)" in newest_artifact("clip-summary").data


def test_refused_sessions_are_asked_for_again_without_holding_the_gpu(site: Site) -> None:
    """One session where Ray allows two: the task ends at once, the chunk comes again."""
    tagged = site.nodes.add(nvenc=2)
    site.mood(tagged, "works sessions=1 seconds=0.3")
    state = site.clip("h264_nvenc", nvenc_resource="nvenc")
    assert state.is_completed(), state.message
    assert site.by_encoder() == {"h264_nvenc": 8}
    refused = [line for line in site.log() if line["refused"]]
    assert refused
    runs = [r for r in newest_task_runs() if "transcode" in r.task_key]
    assert {r.run_count for r in runs} == {1}  # Prefect's retry would wait inside the Ray task
    assert sum(r.state.is_failed() for r in runs) == len(refused)
    # Ray would start a worker process for each of them.
    assert len({line["worker"] for line in site.log()}) < len(runs) / 2


@pytest.mark.parametrize(
    ("mood", "words"),
    [
        ("no-device", "no device that encodes"),
        ("old-driver", "driver too old for this ffmpeg"),
        ("no-encoder", "encoder not compiled into this ffmpeg"),
    ],
)
def test_a_gpu_that_cannot_encode_is_told_before_anything_is_spent(
    site: Site, mood: str, words: str
) -> None:
    """The test encode tells the reasons apart; strict stops there, with what to do."""
    plain = site.nodes.add()
    site.mood(plain, mood)
    began = time.monotonic()
    state = site.clip("h264_nvenc")
    assert time.monotonic() - began < 15
    error = str(state.result(raise_on_failure=False))
    assert words in error
    assert "--encoder auto or libx264" in error
    assert newest_task_runs() == []
    if mood != "no-device":
        return
    state = site.clip("h264_nvenc", nvenc_fallback="libx264")
    assert state.is_completed(), state.message
    assert site.by_encoder() == {"libx264": 8}
    assert "no device that encodes" in newest_artifact("clip-summary").data


def test_a_missing_tag_is_told_with_the_line_that_gives_it(site: Site) -> None:
    """A GPU is there, the tag is not: what was asked, what there is, how to start a node."""
    site.nodes.add()
    state = site.clip("h264_nvenc", nvenc_resource="nvenc")
    error = str(state.result(raise_on_failure=False))
    assert "it asks for 1 CPU, 0.5 GPU and 1 nvenc" in error
    assert "1 CPU and 0 GPU; 2 CPU and 1 GPU" in error
    assert """--num-cpus=1 --num-gpus=1 --resources='{"nvenc": 2}'""" in error


def test_a_node_that_cannot_after_all_is_left_out(site: Site) -> None:
    """Two nodes of one kind, one of them broken: its chunks are made by the other."""
    good = site.nodes.add(nvenc=2)
    bad = site.nodes.add(nvenc=2)
    site.mood(good, "works seconds=0.5")
    site.mood(bad, "works-in-trials")
    state = site.clip("h264_nvenc", nvenc_resource="nvenc")
    assert state.is_completed(), state.message
    assert site.by_encoder() == {"h264_nvenc": 8}
    assert site.made_on("h264_nvenc") == {good}


def kill_in_the_middle(site: Site, node: str, chunk: int, after: float = 0.0) -> threading.Thread:
    """Take the node away while it makes its so many'th chunk, `after` seconds of it."""

    def wait_and_kill() -> None:
        deadline = time.monotonic() + 60
        while sum(not x["trial"] for x in site.log()) < chunk and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(after)
        site.nodes.kill(node)

    thread = threading.Thread(target=wait_and_kill)
    thread.start()
    return thread


def test_auto_goes_on_with_cpus_when_the_gpu_node_is_lost(site: Site) -> None:
    """Every clip is made, the numbers add up, and Prefect's record shows the loss."""
    tagged = site.nodes.add(nvenc=2)
    site.mood(tagged, "works seconds=20")
    site.let_nvenc_begin()
    # Prefect hears of a task run a moment after it has begun.
    killer = kill_in_the_middle(site, tagged, 1, after=3)
    state = site.clip("auto", nvenc_resource="nvenc")
    killer.join()
    assert state.is_completed(), state.message
    by_encoder = site.by_encoder()
    assert sum(by_encoder.values()) == 8
    assert by_encoder["libx264"] >= 7
    assert "CRASHED" in {r.state.type.value for r in newest_task_runs()}


def test_strict_fails_with_the_reason_when_the_last_gpu_node_is_lost(site: Site) -> None:
    """No silent wait: what is left fails, and says what it asked for and what there is."""
    tagged = site.nodes.add(nvenc=2)
    site.mood(tagged, "works seconds=1.5")
    killer = kill_in_the_middle(site, tagged, 3)
    state = site.clip("h264_nvenc", nvenc_resource="nvenc")
    killer.join()
    assert state.is_failed()
    rows = manifest(site.folder)
    assert len(rows) == 8
    failed = [r for r in rows if r["status"] == "failed"]
    assert failed
    for row in failed:
        assert "no node was left that can make it: it asks for 1 CPU, 0.5 GPU" in row["errors"]
        assert "have 1 CPU and 0 GPU" in row["errors"]


def test_chunks_for_the_cpu_keep_to_their_nodes(site: Site) -> None:
    """With a tag of their own they stay off the GPU node, however idle it is."""
    tagged = site.nodes.add(cpu_here=1)
    state = site.clip("libx264", cpu_resource="cpu_here")
    assert state.is_completed(), state.message
    assert site.made_on("libx264") == {tagged}


def test_what_an_autoscaler_reports_is_known(nodes: Nodes) -> None:
    """The kinds of node in the cluster's configuration, where something tells Ray of it."""
    from ray import _raylet
    from ray.core.generated import autoscaler_pb2

    raylet: Any = _raylet
    messages: Any = autoscaler_pb2
    from ray.experimental import internal_kv

    group = messages.NodeGroupConfig(
        resources={"CPU": 4, "GPU": 1, "nvenc": 3}, max_count=2, name="gpu"
    )
    place = {"namespace": raylet.GCS_AUTOSCALER_STATE_NAMESPACE}
    key, config = (
        raylet.GCS_AUTOSCALER_CLUSTER_CONFIG_KEY,
        messages.ClusterConfig(node_group_configs=[group]),
    )
    assert survey().addable == ()
    internal_kv._internal_kv_put(key, config.SerializeToString(), **place)
    try:
        assert survey().addable == ({"CPU": 4, "GPU": 1, "nvenc": 3},)
    finally:
        internal_kv._internal_kv_del(key, **place)
