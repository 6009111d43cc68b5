"""prefect.yaml on a real server, as docs/deployments.md sets it up and uses it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psutil
import pyarrow.parquet as pq
import pytest

from tests.support.documented_site import FRAMES, RATE, Site
from tests.support.media import counter_video, ffmpeg, read_numbers, steady
from tests.support.postgres import free_port
from tests.support.processes import wait_until

QUICK = {"preset": "ultrafast"}


def check_clips(output: Path, length: float, stride: float) -> None:
    """Every clip of the folder of videos is there, is exact, and there is nothing else."""
    rows = pq.read_table(output / "manifest.parquet").to_pylist()
    expected = {
        (name, number): list(range(start, min(start + round(length * RATE), frames)))
        for name, frames in FRAMES.items()
        for number, start in enumerate(range(0, frames, round(stride * RATE)))
        if min(start + round(length * RATE), frames) - start >= 2 * RATE
    }
    shown = {
        (row["source"], row["number"]): [n for _, n in read_numbers(output / row["file"])]
        for row in rows
    }
    assert shown == expected
    assert len(list((output / "clips").iterdir())) == len(expected)


def stamps(output: Path) -> dict[str, int]:
    """When each clip was written."""
    return {path.name: path.stat().st_mtime_ns for path in (output / "clips").iterdir()}


@contextmanager
def broken_package(clone: Path) -> Iterator[None]:
    """The package installed on the worker's machine cannot be imported meanwhile."""
    package = clone / "clipping" / "__init__.py"
    whole = package.read_text()
    package.write_text('raise RuntimeError("the installed package, not the pulled one")\n')
    try:
        yield
    finally:
        package.write_text(whole)


def test_the_documented_commands_clip_a_folder(site: Site) -> None:
    """The commands end well, and both runs they start leave exact clips."""
    check_clips(site.clips, 10, 10)
    check_clips(Path(f"{site.clips}-4s"), 4, 2)
    assert sum("finished successfully" in text for text in site.printed) == 2


def test_the_server_wants_its_password(site: Site) -> None:
    """Basic auth is on; only the health check answers everybody."""
    assert site.ask("GET", "health", trusted=False).status_code == 200
    assert site.ask("POST", "flow_runs/filter", trusted=False).status_code == 401


def test_the_nightly_schedule_is_off_until_it_is_switched_on(site: Site) -> None:
    """The server schedules the hour of `prefect.yaml`, in its time zone, once that is active."""
    before, after = site.printed[-2].split("successfully created", 1)
    assert "False" in before
    assert "True" in after
    schedule = site.deployment("clip-nightly")["schedules"][0]
    assert schedule["active"]
    assert schedule["schedule"]["timezone"] == "Europe/Berlin"

    def scheduled() -> list[dict[str, Any]]:
        only = {"state": {"type": {"any_": ["SCHEDULED"]}}}
        nightly = {"name": {"any_": ["clip-nightly"]}}
        return site.api("POST", "flow_runs/filter", flow_runs=only, deployments=nightly)

    wait_until(lambda: len(scheduled()) >= 3, 90, "the next nights are scheduled")
    times = [datetime.fromisoformat(run["expected_start_time"]) for run in scheduled()]
    local = [time.astimezone(ZoneInfo("Europe/Berlin")) for time in times]
    assert {(time.hour, time.minute) for time in local} == {(2, 30)}
    assert len({time.date() for time in local}) == len(local)


def test_a_run_is_recorded_and_a_second_one_has_nothing_to_do(site: Site, tmp_path: Path) -> None:
    """Parameters, task runs and artifacts are in the API; nothing is encoded twice."""
    given = {
        "input": [str(site.videos)],
        "output": str(tmp_path / "out"),
        "recipe": {"clip_len_s": 3, "clip_stride_s": 1, **QUICK},
    }
    run = site.run("clip-local", **given)
    assert run["state"]["type"] == "COMPLETED", run["state"]["message"]
    assert run["state"]["message"].startswith("14 clips from 2 videos")
    check_clips(tmp_path / "out", 3, 1)
    assert {name: run["parameters"][name] for name in given} == given
    tasks = site.task_runs(run["id"])
    assert {task["task_key"].rsplit("-", 1)[0] for task in tasks} == {
        "probe_sources", "transcode_chunks",
    }  # fmt: skip
    assert {task["state_type"] for task in tasks} == {"COMPLETED"}
    artifacts = site.artifacts(run["id"])
    assert set(artifacts) == {
        "clip-summary", "clip-table", "clip-progress", "clip-output", "clip-pictures",
    }  # fmt: skip
    assert (
        "| Clips written | 14 (14 made now, 0 there already) |" in artifacts["clip-summary"]["data"]
    )
    assert len(json.loads(artifacts["clip-table"]["data"])) == 14
    assert artifacts["clip-progress"]["data"] == 100
    assert str(tmp_path / "out") in artifacts["clip-output"]["data"]

    before = stamps(tmp_path / "out")
    again = site.run("clip-local", **given)
    assert again["state"]["type"] == "COMPLETED"
    assert stamps(tmp_path / "out") == before
    assert site.task_runs(again["id"]) == []
    assert "(0 made now, 14 there already)" in site.artifacts(again["id"])["clip-summary"]["data"]


def test_a_deployment_typed_by_hand_works(site: Site, tmp_path: Path) -> None:
    """Without prefect.yaml's help: the file and the flow in it, and a local Ray."""
    entrypoint = "flows/clip_flow.py:clip_flow"
    site.prefect("deploy", entrypoint, "--name", "typed", "--pool", "clip-pool")
    run = site.run("typed", input=[str(site.videos)], output=str(tmp_path / "out"), recipe=QUICK)
    assert run["state"]["type"] == "COMPLETED", run["state"]["message"]
    check_clips(tmp_path / "out", 10, 10)


def test_the_pulled_code_runs_in_the_flow_and_in_the_workers(site: Site) -> None:
    """A nightly run clips a new video where the installed package could not even be imported."""
    counter_video(site.videos / "new.mp4", *steady(75, RATE))
    before = stamps(site.clips)
    try:
        with broken_package(site.clone):
            run = site.run("clip-nightly")
        assert run["state"]["type"] == "COMPLETED", run["state"]["message"]
        made = [
            path
            for name in set(stamps(site.clips)) - set(before)
            for path in site.clips.glob(f"clips/{name}")
        ]
        assert [[n for _, n in read_numbers(path)] for path in made] == [list(range(75))]
        assert {name: time for name, time in stamps(site.clips).items() if name in before} == before
    finally:
        (site.videos / "new.mp4").unlink()


def answers(port: int) -> bool:
    """Whether somebody listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def ray_cluster(site: Site) -> Iterator[Path]:
    """A Ray cluster of one node, with a token, where the package is broken; its folder.

    `clip-gpu` is deployed for it.

    These tests may run under `uv run`, which the head would otherwise take for its own doing.
    """
    # Ray's sockets need a short path.
    folder = Path("/tmp") / f"ray-{os.getpid()}"
    port, client_port = free_port(), free_port()
    # Not by `port`: Ray's workers would then look in the flow's folder, too, which is on this
    # machine.
    address = f"ray://127.0.0.1:{client_port}"
    site.prefect("deploy", "--name", "clip-gpu", CLIPPING_RAY_ADDRESS=address)
    with broken_package(site.clone):
        head = subprocess.Popen(
            [
                *[site.clone / ".venv/bin/ray", "start", "--head", "--block"],
                *["--port", str(port), "--num-cpus", "2", "--include-dashboard=false"],
                *["--ray-client-server-port", str(client_port), "--disable-usage-stats"],
                *["--object-store-memory", "100000000", "--temp-dir", folder],
            ],
            cwd=site.folder, env={**site.environment, "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            wait_until(lambda: answers(client_port), 60, "Ray's head answers")
            yield folder
        finally:
            head.terminate()
            head.wait(timeout=30)
            shutil.rmtree(folder, ignore_errors=True)


def test_a_ray_cluster_runs_the_pulled_code(site: Site, ray_cluster: Path, tmp_path: Path) -> None:
    """From the form, clip-gpu runs on the cluster it was deployed for, with `encoder: auto`.

    The form posts every default beside the deployment's parameters. The flow brings its packages
    to nodes whose own could not even be imported; NVENC has no node here, the CPU does it all.
    """
    posted = site.form("clip-gpu", input=[str(site.videos)], output=str(tmp_path / "out"))
    assert posted["recipe"]["clip_len_s"] == 10  # a default
    run = site.ended(site.start("clip-gpu", **posted))
    assert run["state"]["type"] == "COMPLETED", run["state"]["message"]
    check_clips(tmp_path / "out", 10, 10)
    assert "10 s every 10 s, auto," in site.artifacts(run["id"])["clip-summary"]["data"]
    # A Ray client was there.
    assert list(ray_cluster.glob("session_latest/logs/ray_client_server_23*"))


def test_each_deployment_has_an_output_that_outlives_its_runs(site: Site) -> None:
    """The form shows it; each its own, since another recipe would replace the clips."""
    names = ("clip-nightly", "clip-local", "clip-gpu")
    outputs = [site.deployment(name)["parameters"]["output"] for name in names]
    assert outputs == [str(site.clips), f"{site.clips}-local", f"{site.clips}-gpu"]


def test_no_gpu_is_told_at_once(site: Site, tmp_path: Path) -> None:
    """NVENC and nothing else, on a machine without: the run's state says what is missing."""
    run = site.run(
        "clip-gpu", input=[str(site.videos)], output=str(tmp_path / "out"),
        recipe={"encoder": "h264_nvenc"}, execution={"ray_address": ""},
    )  # fmt: skip
    assert run["state"]["type"] == "FAILED"
    assert "h264_nvenc does not work on this machine: no device" in run["state"]["message"]


def test_a_users_mistake_is_told_without_a_traceback(site: Site, tmp_path: Path) -> None:
    """Bad parameters are refused or end the run with one clear message."""
    deployment = site.deployment("clip-local")["id"]
    output = str(tmp_path / "out")
    refused = site.ask(
        "POST", f"deployments/{deployment}/create_flow_run",
        parameters={"input": ["x"], "output": output, "recipe": {"clip_stride_s": 0}},
    )  # fmt: skip
    assert refused.status_code == 409
    assert "recipe.clip_stride_s" in refused.text
    run = site.run("clip-local", input=["/no/such/folder"], output=output)
    assert run["state"]["type"] == "FAILED"
    assert run["state"]["message"] == (
        "input '/no/such/folder': there is no such file or folder, and no glob matches"
    )
    logs = site.api("POST", "logs/filter", logs={"flow_run_id": {"any_": [run["id"]]}})
    assert logs
    assert not [log for log in logs if "Traceback" in log["message"]]
    assert site.task_runs(run["id"]) == []
    run = site.run("clip-nightly", output="clips")
    assert run["state"]["type"] == "FAILED"
    assert run["state"]["message"].startswith("output 'clips' is relative")


@pytest.fixture
def long_run(site: Site, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A run that encodes for minutes, its ffmpeg at work; its id and output."""
    counter_video(tmp_path / "small.mp4", *steady(100, RATE))
    (tmp_path / "long").mkdir()
    big = ["-vf", "scale=1920:1152:flags=neighbor", "-preset", "ultrafast"]
    ffmpeg("-i", tmp_path / "small.mp4", *big, tmp_path / "big.mp4")
    copies = ["-stream_loop", "4", "-i", tmp_path / "big.mp4", "-c", "copy"]
    ffmpeg(*copies, tmp_path / "long" / "video.mp4")
    output = tmp_path / "out"
    run = site.start(
        "clip-local", input=[str(tmp_path / "long")], output=str(output),
        recipe={"preset": "veryslow"},
    )  # fmt: skip
    yield run, output
    if site.flow_run(run)["state"]["type"] not in ("CANCELLED", "FAILED"):
        site.api("POST", f"flow_runs/{run}/set_state", state={"type": "CANCELLING"})
        site.ended(run)


def descendants(process: psutil.Process) -> list[psutil.Process]:
    """All that came of a process."""
    return process.children(recursive=True)


def named(processes: list[psutil.Process], word: str) -> list[psutil.Process]:
    """Those whose program's name holds a word."""
    found: list[psutil.Process] = []
    for process in processes:
        with suppress(psutil.Error):
            if word in Path(next(iter(process.cmdline()), "")).name:
                found.append(process)
    return found


def test_a_running_run_keeps_others_off_and_can_be_cancelled(
    site: Site, long_run: tuple[str, Path]
) -> None:
    """The same deployment queues, another one is refused, and cancelling leaves nothing."""
    run, output = long_run
    worker = site.worker()
    wait_until(lambda: named(descendants(worker), "ffmpeg"), 60, "an ffmpeg is at work")

    queued = site.start("clip-local", input=[str(site.videos)], output=str(output))
    other = site.run("clip-nightly", input=[str(site.videos)], output=str(output))
    assert other["state"]["type"] == "FAILED"
    assert f"another run is writing into {output}" in other["state"]["message"]
    assert site.flow_run(queued)["state"]["name"] == "AwaitingConcurrencySlot"
    site.api("DELETE", f"flow_runs/{queued}")

    family = descendants(worker)
    assert named(family, "ffmpeg")
    site.prefect("flow-run", "cancel", run)
    assert site.ended(run)["state"]["type"] == "CANCELLED"
    wait_until(
        lambda: not [p for p in family if p.is_running() and p.status() != "zombie"],
        30,
        lambda: f"processes end: {[p.cmdline() for p in family if p.is_running()]}",
    )
    assert not list(output.glob(".partial/*.mp4"))


def test_the_form_describes_every_parameter(site: Site) -> None:
    """What the server shows: a title, a description, and bounds or choices where they apply."""
    schema = site.deployment("clip-local")["parameter_openapi_schema"]
    assert set(schema["properties"]) == {
        *("input", "output", "recipe", "execution", "profile"),
    }
    assert schema["required"] == ["input"]
    for name, parameter in schema["properties"].items():
        assert parameter["description"], name
    for model in ("Recipe", "Execution"):
        for name, parameter in schema["definitions"][model]["properties"].items():
            assert parameter["title"], name
            assert parameter["description"].endswith((".", ")")), name
            kinds = parameter.get("anyOf", [parameter])
            for kind in kinds:
                if kind.get("type") in ("number", "integer"):
                    assert {"minimum", "exclusiveMinimum"} & set(kind), name
    recipe = schema["definitions"]["Recipe"]["properties"]
    assert set(recipe["encoder"]["enum"]) >= {"libx264", "libopenh264", "h264_nvenc"}
