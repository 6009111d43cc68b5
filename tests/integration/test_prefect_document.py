"""docs/prefect.md: its commands, done, on a real server."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from prefect.client.orchestration import get_client
from prefect.workers.base import BaseJobConfiguration

from clipping.config.execution import Execution
from clipping.config.recipe import Recipe
from clipping.config.run_config import RunConfig
from clipping.orchestration.announcements import announce_end
from clipping.run.tally import Tally
from tests.support.media import counter_video, read_numbers, steady
from tests.support.processes import wait_until


@dataclass
class Documented:
    """Where the commands were run; what Slack, as far as they know, was told."""

    folder: Path
    url: str
    told: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def deployment(self, name: str) -> Any:
        answer = httpx.get(f"{self.url}/deployments/name/clip-videos/{name}")
        return answer.json() if answer.is_success else None


def end(processes: list[psutil.Process]) -> None:
    """End them."""
    for process in processes:
        with suppress(psutil.Error):
            process.kill()


@pytest.fixture(scope="module")
def documented(
    prefect_server: str, clone: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Documented]:
    """The commands in one shell, with this environment in the place of `uv run`'s."""
    folder = tmp_path_factory.mktemp("documented")
    made = Documented(folder, prefect_server)

    class Slack(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            made.told.append(json.loads(body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any, **__: Any) -> None:
            pass

    slack = HTTPServer(("127.0.0.1", 0), Slack)
    threading.Thread(target=slack.serve_forever, daemon=True).start()
    text = (clone / "docs/prefect.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    script = "\n".join(["set -euo pipefail", *blocks]).replace("uv run ", "")
    environment = {
        **os.environ,
        "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}",
        "PREFECT_API_URL": prefect_server,
        "PREFECT_HOME": str(folder / "prefect"),
        "SLACK_WEBHOOK_URL": f"json://127.0.0.1:{slack.server_port}/",
        "S3_SECRET": "not to be seen",
    }
    before = set(psutil.Process().children(recursive=True))
    with (folder / "commands.log").open("w") as log:
        done = subprocess.run(
            ["bash", "-c", script], cwd=clone, env=environment, stdin=subprocess.DEVNULL,
            stdout=log, stderr=subprocess.STDOUT, timeout=240, check=False,
        )  # fmt: skip
    served = [
        p for p in psutil.process_iter() if "serve_clips.py" in p.cmdline() and p not in before
    ]
    try:
        assert done.returncode == 0, (folder / "commands.log").read_text()[-3000:]
        yield made
    finally:
        end([child for p in served for child in p.children(recursive=True)])
        end(served)
        slack.shutdown()


def test_the_automation_tells_of_a_failed_run(documented: Documented) -> None:
    """The reason gets to where the block says; a run that did not fail is no news."""
    config = RunConfig(Recipe(), Execution(), input=("/videos",), output="/clips")
    automation = httpx.post(f"{documented.url}/automations/filter", json={}).json()[0]
    assert automation["name"] == "clips failed"
    assert automation["enabled"]
    announce_end(Tally(), config, None)
    announce_end(Tally(), config, "bad.mp4: the file is empty")
    wait_until(lambda: documented.told, 30, "the notification arrives")
    assert len(documented.told) == 1
    assert documented.told[0]["title"] == "Clips failed in /clips"
    assert documented.told[0]["message"].startswith("bad.mp4: the file is empty")


def test_a_served_flow_takes_its_runs(documented: Documented, tmp_path: Path) -> None:
    """Scheduled by the server, done by the process that serves; other parameters for one run."""
    wait_until(lambda: documented.deployment("clip-here"), 60, "it is served")
    deployment = documented.deployment("clip-here")
    assert deployment["schedules"][0]["schedule"]["cron"] == "30 2 * * *"
    assert deployment["parameters"] == {"input": ["/data/videos"], "output": "/data/clips"}
    counter_video(tmp_path / "short.mp4", *steady(50, 25))
    given = {
        "input": [str(tmp_path / "short.mp4")], "output": str(tmp_path / "out"),
        "recipe": {"preset": "ultrafast"},
    }  # fmt: skip
    run = httpx.post(
        f"{documented.url}/deployments/{deployment['id']}/create_flow_run",
        json={"parameters": given, "state": {"type": "SCHEDULED"}},
    ).json()

    def state() -> Any:
        return httpx.get(f"{documented.url}/flow_runs/{run['id']}").json()["state"]

    wait_until(lambda: state()["type"] in ("COMPLETED", "FAILED", "CRASHED"), 120, "it ends")
    assert state()["type"] == "COMPLETED", state()["message"]
    [clip] = (tmp_path / "out" / "clips").iterdir()
    assert [number for _, number in read_numbers(clip)] == list(range(50))


async def _job(pool: dict[str, Any], deployment: dict[str, Any]) -> BaseJobConfiguration:
    """What a worker would start a run with."""
    async with get_client() as client:
        return await BaseJobConfiguration.from_template_and_values(
            base_job_template=pool["base_job_template"],
            values=deployment["job_variables"],
            client=client,
        )


def test_another_pool_gets_a_deployment_and_a_secret(documented: Documented) -> None:
    """A run has what the pool says beside what its deployment says; only it sees the secret."""
    gpu = documented.deployment("clip-gpu")
    assert gpu["work_pool_name"] == "clips-docker"
    pool = httpx.get(f"{documented.url}/work_pools/clips-docker").json()
    assert pool["type"] == "docker"
    fields = pool["base_job_template"]["variables"]["properties"]
    assert fields["image"]["default"] == "video-clipping"
    assert fields["volumes"]["default"] == ["/data:/data"]
    assert "not to be seen" not in json.dumps([gpu, pool])
    environment = asyncio.run(_job(pool, gpu)).env
    assert environment["AWS_SECRET_ACCESS_KEY"] == "not to be seen"
    assert environment["CLIPPING_ENCODER"] == "auto"
