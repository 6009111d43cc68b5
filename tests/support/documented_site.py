"""What docs/deployments.md says, done: from a fresh clone to a server with runs."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.support.postgres import Postgres, free_port
from tests.support.processes import wait_until

ROOT = Path(__file__).parent.parent.parent
DOCUMENT = "docs/deployments.md"
FRAMES = {"a/counter.mp4": 250, "counter.mp4": 150}
RATE = 25


def documented_commands(clone: Path) -> list[str]:
    """The shell blocks of the documentation, in order."""
    text = (clone / DOCUMENT).read_text(encoding="utf-8")
    return re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def git(folder: Path, *arguments: str) -> str:
    """Run git there; its output."""
    who = ["-c", "user.name=Test", "-c", "user.email=test@localhost"]
    done = subprocess.run(
        ["git", *who, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def repository_of_work_tree(folder: Path) -> Path:
    """A repository whose newest commit is this work tree as it stands, uncommitted changes too."""
    git(ROOT, "clone", "--quiet", str(ROOT), str(folder))
    for name in git(folder, "ls-files", "-z").split("\0"):
        if name:
            (folder / name).unlink()
    for name in git(ROOT, "ls-files", "-z", "-co", "--exclude-standard").split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", "The work tree")
    return folder


@dataclass
class Site:
    """A server, a worker and the deployments, set up as the documentation says.

    printed: what each documented command block wrote.
    """

    folder: Path
    clone: Path
    environment: dict[str, str]
    settings: dict[str, str]
    printed: list[str] = field(default_factory=list)

    @property
    def videos(self) -> Path:
        return Path(self.settings["CLIPPING_INPUT"])

    @property
    def clips(self) -> Path:
        return Path(self.settings["CLIPPING_OUTPUT"])

    def run_documented_commands(self) -> None:
        """All blocks in one shell, as a person would type them."""
        mark = secrets.token_hex(8)
        blocks = documented_commands(self.clone)
        assert blocks, f"{DOCUMENT} has no commands"
        script = f"\necho; echo {mark}\n".join(["set -euo pipefail", *blocks])
        log = self.folder / "commands.log"
        with log.open("w") as out:
            done = subprocess.run(
                ["bash", "-c", script], cwd=self.clone, env=self.environment,
                stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                timeout=240, check=False,
            )  # fmt: skip
        text = log.read_text(errors="replace")
        self.printed = text.split(mark)[1:]
        assert done.returncode == 0, f"{text[-3000:]}\n{self.log('server')[-2000:]}"

    def prefect(self, *arguments: str, **variables: str) -> None:
        """Run Prefect's command line in the clone, as a client that has the password.

        variables: what `deploy/.env` says, and what it says otherwise for this command.
        """
        client = {
            "PREFECT_API_URL": self.settings["PREFECT_API_URL"],
            "PREFECT_API_AUTH_STRING": self.settings["PREFECT_SERVER_API_AUTH_STRING"],
        }
        done = subprocess.run(
            ["uv", "run", "prefect", "--no-prompt", *arguments],
            cwd=self.clone, env={**self.environment, **self.settings, **client, **variables},
            capture_output=True, text=True, timeout=90, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr

    def log(self, name: str) -> str:
        """What the server or the worker wrote."""
        path = self.clone / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    # Processes

    def processes(self) -> list[psutil.Process]:
        """All that were started for this site: they share its HOME."""
        found: list[psutil.Process] = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get("HOME") == self.environment["HOME"]:
                    found.append(process)
        return found

    def worker(self) -> psutil.Process:
        """The worker's process."""
        for process in self.processes():
            with suppress(psutil.Error):
                program, *arguments = process.cmdline()
                if "python" in program and arguments[1:3] == ["worker", "start"]:
                    return process
        pytest.fail(f"there is no worker: {self.log('worker')[-2000:]}")

    def end(self) -> None:
        """End all processes of this site."""
        for how in ("terminate", "kill"):
            for process in self.processes():
                with suppress(psutil.Error):
                    getattr(process, how)()
            deadline = time.monotonic() + 3  # a worker whose server is gone stays
            while self.processes() and time.monotonic() < deadline:
                time.sleep(0.2)

    # The server's API

    def api(self, method: str, path: str, **body: Any) -> Any:
        """Ask the server, as a client that has the password."""
        answer = self.ask(method, path, **body)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def ask(self, method: str, path: str, *, trusted: bool = True, **body: Any) -> httpx.Response:
        """Ask the server, and take any answer."""
        user, _, password = self.settings["PREFECT_SERVER_API_AUTH_STRING"].partition(":")
        return httpx.request(
            method,
            f"{self.settings['PREFECT_API_URL']}/{path}",
            json=body or None,
            auth=(user, password) if trusted else None,
            timeout=30,
        )

    def deployment(self, name: str) -> dict[str, Any]:
        return self.api("GET", f"deployments/name/clip-videos/{name}")

    def form(self, name: str, **typed: Any) -> dict[str, Any]:
        """What the page's form posts: what was typed, the deployment's parameters, all defaults."""
        deployment = self.deployment(name)
        schema = deployment["parameter_openapi_schema"]

        def filled(values: dict[str, Any], properties: dict[str, Any]) -> dict[str, Any]:
            shown = dict(values)
            for key, each in properties.items():
                if "$ref" in each:
                    model = schema["definitions"][each["$ref"].rpartition("/")[2]]
                    shown[key] = filled(shown.get(key, {}), model["properties"])
                elif "default" in each:
                    shown.setdefault(key, each["default"])
            return shown

        return filled({**deployment["parameters"], **typed}, schema["properties"])

    def start(self, name: str, **parameters: Any) -> str:
        """Start a run of a deployment; its id."""
        path = f"deployments/{self.deployment(name)['id']}/create_flow_run"
        return self.api("POST", path, parameters=parameters)["id"]

    def flow_run(self, run: str) -> dict[str, Any]:
        return self.api("GET", f"flow_runs/{run}")

    def ended(self, run: str, seconds: float = 90) -> dict[str, Any]:
        """A flow run when it has ended."""
        final = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
        wait_until(
            lambda: self.flow_run(run)["state"]["type"] in final,
            seconds,
            lambda: f"{self.flow_run(run)['state']}\n{self.log('worker')[-3000:]}",
        )
        return self.flow_run(run)

    def run(self, name: str, **parameters: Any) -> dict[str, Any]:
        """A run of a deployment, when it has ended."""
        return self.ended(self.start(name, **parameters))

    def task_runs(self, run: str) -> list[dict[str, Any]]:
        only = {"id": {"any_": [run]}}
        return self.api("POST", "task_runs/filter", flow_runs=only)

    def artifacts(self, run: str) -> dict[str, Any]:
        """A run's artifacts by key."""
        found = self.api("POST", "artifacts/filter", artifacts={"flow_run_id": {"any_": [run]}})
        return {artifact["key"]: artifact for artifact in found}


def filled_in(example: str, values: dict[str, str]) -> str:
    """`.env.example` with values in the places of its own."""
    for name, value in values.items():
        example, places = re.subn(rf"(?m)^{name}=.*$", f"{name}={value}", example)
        assert places == 1, f"{name} is not in .env.example"
    return example


def fresh_clone(folder: Path) -> Path:
    """A clone of a repository that holds this work tree."""
    origin = repository_of_work_tree(folder / "origin")
    git(folder, "clone", "--quiet", str(origin), "clone")
    return folder / "clone"


@contextmanager
def documented_site(
    folder: Path, clone: Path, database: Postgres, values: dict[str, str], more: str = ""
) -> Iterator[Site]:
    """From a clone to a nightly run that is done and scheduled: the documented commands.

    folder: for all but the clone; values, more: what a person fills into `deploy/.env`, and
    adds to it.
    """
    (folder / "home").mkdir()
    port = free_port()
    settings = {
        "POSTGRES_PASSWORD": database.password,
        "POSTGRES_HOST": f"127.0.0.1:{database.port}",
        "PREFECT_SERVER_API_AUTH_STRING": f"tests:{secrets.token_hex(16)}",
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_API_PORT": str(port),
        **values,
    }
    example = (clone / "deploy/.env.example").read_text(encoding="utf-8")
    (clone / "deploy/.env").write_text(f"{filled_in(example, settings)}\n{more}")

    ours = ("PREFECT", "CLIPPING", "RAY", "UV", "VIRTUAL_ENV", "PYTEST", "PYTHON", "AWS")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
    cache = subprocess.run(["uv", "cache", "dir"], capture_output=True, text=True, check=True)
    here = f"{sys.prefix}/bin"
    made = Site(
        folder,
        clone,
        {
            **kept,
            "PATH": ":".join(p for p in os.environ["PATH"].split(":") if p != here),
            "HOME": str(folder / "home"),
            "UV_CACHE_DIR": cache.stdout.strip(),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_WORKER_QUERY_SECONDS": "2",
            # As at a site whose Ray clusters want a token.
            "RAY_AUTH_MODE": "token",
        },
        settings,
    )
    try:
        made.run_documented_commands()
        yield made
    finally:
        made.end()
