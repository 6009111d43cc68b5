"""The files of deploy/ray: Ray itself reads them, and their nodes are those that chunks ask for."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.autoscaler._private.kuberay.autoscaling_config import (
    _derive_autoscaling_config_from_ray_cr,
)
from ray.autoscaler._private.util import prepare_config, validate_config

from clipping.cluster.placement import cpu_placement, gpu_placement
from clipping.cluster.resources import Cluster, Node
from clipping.config.load import resolve
from clipping.config.run_config import RunConfig

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "deploy" / "ray"
LAUNCHER: dict[str, Any] = yaml.safe_load((FOLDER / "cluster.yaml").read_text())
KUBERAY: dict[str, Any] = yaml.safe_load((FOLDER / "raycluster.yaml").read_text())


@pytest.fixture(autouse=True)
def deployed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> RunConfig:
    """The settings of a run of the deployment `clip-gpu`."""
    monkeypatch.chdir(tmp_path)
    deployments = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    gpu = next(d for d in deployments if d["name"] == "clip-gpu")
    for name, value in gpu["work_pool"]["job_variables"]["env"].items():
        if "{{" not in value:
            monkeypatch.setenv(name, value)
    return resolve(cpu_resource="clip_cpu")


def kuberay() -> dict[str, Any]:
    """The RayCluster as Ray's autoscaler reads it; raises for what it does not take."""
    return _derive_autoscaling_config_from_ray_cr(KUBERAY)


def launcher() -> dict[str, Any]:
    """The launcher's file with Ray's defaults filled in."""
    return prepare_config(json.loads(json.dumps(LAUNCHER)))


@pytest.mark.parametrize("read", [kuberay, launcher])
def test_ray_reads_it_and_its_nodes_are_what_chunks_ask_for(read: Any, deployed: RunConfig) -> None:
    """Valid by Ray's schema; as many NVENC chunks on the GPU node as it is to have sessions."""
    config = read()
    validate_config(config)
    types = {
        name: Node(name, name, spec["resources"])
        for name, spec in config["available_node_types"].items()
    }
    head = types.pop(config["head_node_type"])
    assert head.resources["CPU"] == 0
    assert set(types) in ({"cpu", "gpu"},)
    alone = {name: Cluster((node,)) for name, node in types.items()}
    gpu = gpu_placement(deployed, alone["gpu"])
    assert gpu is not None
    assert gpu.slots == deployed.execution.nb_streams_per_gpu
    assert alone["cpu"].slots(gpu.request) == 0
    cpu = cpu_placement(deployed, alone["cpu"])
    assert cpu is not None
    assert cpu.slots == 16
    assert alone["gpu"].slots(cpu.request) == 0
    Cluster((head,), tuple(node.resources for node in types.values())).require(gpu.request)


def test_versions_are_those_of_the_package() -> None:
    """The same Ray on all nodes, the image of this version."""
    assert KUBERAY["spec"]["rayVersion"] == version("ray")
    groups = [KUBERAY["spec"]["headGroupSpec"], *KUBERAY["spec"]["workerGroupSpecs"]]
    images = [c["image"] for g in groups for c in g["template"]["spec"]["containers"]]
    images.append(LAUNCHER["docker"]["image"])
    assert set(images) == {f"video-clipping:{version('prefect-video-clipping')}"}


def test_gpu_nodes_get_the_drivers_encoder_library() -> None:
    """`video` among the driver's capabilities, or NVENC is missing in a container."""
    gpu = KUBERAY["spec"]["workerGroupSpecs"][1]
    (container,) = gpu["template"]["spec"]["containers"]
    env = {e["name"]: e["value"] for e in container["env"]}
    assert "video" in env["NVIDIA_DRIVER_CAPABILITIES"].split(",")
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert any("video" in x for x in LAUNCHER["docker"]["worker_run_options"])


def started(script: str, tmp_path: Path, *arguments: str) -> list[str]:
    """What a script would have Ray do, on a machine with two GPUs."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, lines in (
        ("ray", ['printf "%s\\n" "$@"']),
        ("nvidia-smi", ["echo 'GPU 0: NVIDIA L4 (UUID: GPU-1)'", "echo 'GPU 1: NVIDIA L4'"]),
    ):
        (programs / name).write_text("\n".join(["#!/bin/sh", *lines, ""]))
        (programs / name).chmod(0o755)
    done = subprocess.run(
        [FOLDER / script, *arguments],
        env={"PATH": f"{programs}:{os.environ['PATH']}", "RAY": str(programs / "ray")},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.splitlines()


def resources(words: list[str]) -> dict[str, float]:
    """The custom resources among `ray start`'s words."""
    found = [w.partition("=")[2] for w in words if w.startswith("--resources=")]
    return json.loads(found[0]) if found else {}


@pytest.mark.parametrize("script", ["head.sh", "cpu-node.sh", "gpu-node.sh"])
def test_the_commands_start_nodes_that_chunks_ask_for(
    script: str, tmp_path: Path, deployed: RunConfig
) -> None:
    """Each option exists; a node by hand has the tags that a run asks for."""
    arguments = [] if script == "head.sh" else ["HEAD:6379", "--num-cpus=8"]
    words = started(script, tmp_path, *arguments)
    ray = Path(sys.executable).with_name("ray")
    text = subprocess.run(
        [ray, "start", "--help"], env={**os.environ, "COLUMNS": "200"},
        capture_output=True, text=True, check=True, timeout=100,
    ).stdout  # fmt: skip
    options = {w.partition("=")[0] for w in words if w.startswith("--")}
    assert options <= set(re.findall(r"--[\w-]+", text))
    numbers = dict(w.lstrip("-").split("=") for w in words if re.match(r"--num-\w+=\d", w))
    node = Node(script, script, {
        "CPU": int(numbers["num-cpus"]), "GPU": int(numbers.get("num-gpus", 0)),
        **resources(words),
    })  # fmt: skip
    gpu, cpu = gpu_placement(deployed, Cluster((node,))), cpu_placement(deployed, Cluster((node,)))
    assert gpu is not None
    assert cpu is not None
    slots = {"head.sh": (0, 0), "cpu-node.sh": (0, 8), "gpu-node.sh": (6, 0)}
    assert (gpu.slots, cpu.slots) == slots[script]


def test_a_node_without_a_heads_address_is_an_error(tmp_path: Path) -> None:
    """Not a second head."""
    with pytest.raises(subprocess.CalledProcessError):
        started("gpu-node.sh", tmp_path)
