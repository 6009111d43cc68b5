"""What chunks ask Ray for, what nodes offer, and which of them meet. Pure."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from clipping.cluster.placement import cpu_placement, gpu_placement, probe_request
from clipping.cluster.resources import Cluster, Node, Request
from clipping.config.load import resolve
from clipping.config.run_config import RunConfig
from clipping.errors import ClippingError, FailureKind, UsageError
from clipping.ffmpeg.encoders import ENCODERS


def node(name: str, **resources: float) -> Node:
    """A node with what Ray gives every node besides."""
    own = {f"node:{name}": 1.0, "memory": 1e9, "object_store_memory": 1e8}
    return Node(name, name, {**own, **resources})


CPU = node("c", CPU=8)
TAGGED = node("t", CPU=8, GPU=1, nvenc=3)
UNTAGGED = node("u", CPU=8, GPU=2)


def run(**given: Any) -> RunConfig:
    """A run's configuration."""
    return resolve(**given)


@pytest.mark.parametrize(("streams", "share"), [(1, 1.0), (2, 0.5), (3, 0.3333), (7, 0.1428)])
def test_a_gpu_takes_as_many_chunks_as_it_has_streams(streams: int, share: float) -> None:
    """Shares are floored to Ray's four digits, so that the last one fits as well."""
    placement = gpu_placement(
        run(encoder="h264_nvenc", nb_streams_per_gpu=streams), Cluster((TAGGED,))
    )
    assert placement is not None
    assert placement.request.gpus == share
    assert placement.slots == streams


def test_an_nvenc_chunk_asks_for_a_unit_of_the_tag() -> None:
    """And of nothing that would throw its worker process away, or run it twice unseen."""
    given = run(encoder="h264_nvenc", nvenc_resource="nvenc")
    placement = gpu_placement(given, Cluster((CPU, TAGGED, UNTAGGED)), ["x", "u"])
    assert placement is not None
    assert placement.slots == 3
    assert placement.request.options() == {
        "num_cpus": 1, "num_gpus": 0.3333, "max_calls": 0, "max_retries": 0,
        "resources": {"nvenc": 1.0}, "label_selector": {"ray.io/node-id": "!in(u,x)"},
    }  # fmt: skip


def test_a_cpu_chunk_asks_for_cpus_only() -> None:
    """Without a tag of its own; with one, for so little of it that it is only a label."""
    given = run(encoder="auto")
    placement = cpu_placement(given, Cluster((CPU, TAGGED)))
    assert placement is not None
    assert placement.request.options() == {"num_cpus": 1, "max_retries": 0}
    tagged = cpu_placement(run(cpu_resource="cpus"), Cluster((CPU, node("d", CPU=8, cpus=1))))
    assert tagged is not None
    assert tagged.slots == 8
    assert probe_request(run(cpu_resource="cpus"), Cluster((CPU,))) == Request(1)


@pytest.mark.parametrize(
    ("share", "useful", "asked"), [(0.01, 24, 1), (1.0, 24, 6), (1.0, 4, 4), (1.0, 1, 1)]
)
def test_a_chunk_asks_for_no_more_cpus_than_it_keeps_busy(
    share: float, useful: int, asked: int
) -> None:
    """One while there is work for all; near the end what is set, if it has so many segments."""
    placement = cpu_placement(run(), Cluster((CPU,)), share=share, useful=useful)
    assert placement is not None
    assert placement.request.cpus == asked


def test_nodes_that_cannot_encode_are_no_slots() -> None:
    """What a test encode found out is left out of the count and of what Ray may choose."""
    given = run(encoder="auto")
    both = gpu_placement(given, Cluster((TAGGED, UNTAGGED)))
    one = gpu_placement(given, Cluster((TAGGED, UNTAGGED)), ["u"])
    assert both is not None
    assert one is not None
    assert (both.slots, one.slots) == (9, 3)


def test_the_cpu_placement_leaves_the_gpus_chunks_their_cpus() -> None:
    """Three NVENC chunks take three of the tagged node's eight CPUs."""
    given = run(encoder="auto", nvenc_resource="nvenc")
    cluster = Cluster((CPU, TAGGED))
    placement = cpu_placement(given, cluster, gpu_placement(given, cluster))
    assert placement is not None
    assert placement.slots == 13


def test_which_placements_a_run_has() -> None:
    """One for each encoder that may make a clip."""
    cluster = Cluster((CPU, TAGGED))

    def encoders(**given: object) -> list[str | None]:
        chosen = run(**given)
        both = (gpu_placement(chosen, cluster), cpu_placement(chosen, cluster))
        return [p.encoder if p else None for p in both]

    assert encoders() == [None, "libx264"]
    assert encoders(encoder="auto") == ["h264_nvenc", "libx264"]
    assert encoders(encoder="h264_nvenc") == ["h264_nvenc", None]
    assert encoders(encoder="h264_nvenc", nvenc_fallback="libx264") == ["h264_nvenc", "libx264"]
    assert encoders(encoder="libopenh264") == [None, "libopenh264"]


def test_what_nobody_offers_is_told() -> None:
    """What was asked, what each kind of node has, the line that would provide it."""
    placement = gpu_placement(run(encoder="h264_nvenc", nvenc_resource="nvenc"), Cluster(()))
    assert placement is not None
    with pytest.raises(UsageError) as caught:
        Cluster((CPU, node("d", CPU=8), UNTAGGED)).require(placement.request)
    message = caught.value.message
    assert "it asks for 1 CPU, 0.3333 GPU and 1 nvenc" in message
    assert "the live nodes have 2 x 8 CPU and 0 GPU; 8 CPU and 2 GPU" in message
    assert (
        "ray start --address=HEAD:6379 --num-cpus=1 --num-gpus=1 --resources='{\"nvenc\": 3}'"
        in message
    )
    assert caught.value.kind is FailureKind.NO_DEVICE


def test_what_an_autoscaler_can_add_counts() -> None:
    """A kind of node that it knows is enough to begin; another kind is named."""
    placement = gpu_placement(run(encoder="h264_nvenc", nvenc_resource="nvenc"), Cluster(()))
    assert placement is not None
    Cluster((CPU,), ({"CPU": 4, "GPU": 1, "nvenc": 3},)).require(placement.request)
    with pytest.raises(UsageError, match="an autoscaler can add 4 CPU and 1 GPU"):
        Cluster((CPU,), ({"CPU": 4, "GPU": 1},)).require(placement.request)


def test_a_preset_does_not_go_to_another_encoder() -> None:
    """`auto` takes none, since names differ; a fallback uses its own default."""
    with pytest.raises(UsageError, match="encoder auto takes no preset"):
        run(encoder="auto", preset="fast")
    recipe = run(encoder="h264_nvenc", preset="p6", nvenc_fallback="libx264").recipe
    assert recipe.preset_for(ENCODERS["h264_nvenc"]) == "p6"
    assert recipe.preset_for(ENCODERS["libx264"]) is None
    assert run(encoder="auto", quality=20).recipe.quality == 20


@pytest.mark.parametrize("name", ["CPU", "GPU", "memory", "a b"])
def test_a_tag_is_not_rays_own(name: str) -> None:
    """A mistake here would count CPUs twice."""
    with pytest.raises(UsageError, match="cpu_resource"):
        run(cpu_resource=name)


def test_an_error_keeps_its_node_on_the_way() -> None:
    """From a worker to the flow, which must know where not to go again."""
    error = ClippingError("no", FailureKind.NO_DEVICE)
    error.node = "n1"
    again = pickle.loads(pickle.dumps(error))
    assert (again.message, again.kind, again.node) == ("no", FailureKind.NO_DEVICE, "n1")
