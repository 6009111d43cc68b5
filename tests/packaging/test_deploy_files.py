"""The files that deploy: what they name exists, is pinned and installs; secrets have no default.

No container engine is needed, and none was at hand: the containers themselves are not run.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent.parent
DEPLOY = ROOT / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
COMPOSE_TEXT = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
EXAMPLE = dict(re.findall(r"^(\w+)=(.*)$", (DEPLOY / ".env.example").read_text(), re.MULTILINE))
SECRETS = ("POSTGRES_PASSWORD", "PREFECT_SERVER_API_AUTH_STRING", "RAY_AUTH_TOKEN")


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions with their arguments."""
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    joined = re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE))
    return [(word, rest) for word, _, rest in (x.partition(" ") for x in joined.splitlines() if x)]


def copied(rest: str) -> tuple[list[str], str]:
    """What a COPY copies, and where."""
    *sources, target = [x for x in rest.split() if not x.startswith("--")]
    return sources, target


def commands() -> list[str]:
    """Every command that compose gives to this package's image, health checks included."""
    found: dict[str, None] = {}
    for service in SERVICES.values():
        if service.get("build"):
            kind, *check = service["healthcheck"]["test"]
            assert kind == "CMD"
            found |= {shlex.join(line): None for line in (service["command"], check)}
    return [line for line in found if not line.startswith("curl")]


def by_kind() -> dict[str, list[str]]:
    """The Dockerfile's arguments by instruction."""
    found: dict[str, list[str]] = {}
    for word, rest in instructions():
        found.setdefault(word, []).append(rest)
    return found


def test_images_are_pinned() -> None:
    """The same file gives the same containers next year."""
    images = [service["image"] for service in SERVICES.values()]
    images += by_kind()["FROM"]
    assert len(images) == len(SERVICES) + 1
    for image in images:
        assert re.search(r":\d+\.\d+", image), image
    assert any(re.search(r"pip install .*uv==\d+\.\d+\.\d+$", run) for run in by_kind()["RUN"])


def test_the_image_does_not_run_as_root() -> None:
    """The last user is another one, and it exists."""
    user = by_kind()["USER"][-1]
    assert user not in ("root", "0")
    assert any(f"--uid 1000 {user}" in run for run in by_kind()["RUN"])
    for name, service in SERVICES.items():
        assert "user" not in service, name
        assert not service.get("privileged"), name


def test_secrets_have_no_default() -> None:
    """Compose stops where one is missing, and the example gives none away."""
    for name in SECRETS:
        assert EXAMPLE[name] == "", name
        uses = re.findall(rf"\$\{{{name}([^}}]*)\}}", COMPOSE_TEXT)
        assert any(use.startswith(":?") for use in uses), name
        assert all(use == "" or use.startswith(":?") for use in uses), name
    for line in COMPOSE_TEXT.splitlines():
        if re.search(r"(PASSWORD|AUTH_STRING|AUTH_TOKEN):", line):
            assert "${" in line, line


def test_every_variable_is_in_the_example() -> None:
    """What compose and prefect.yaml ask of the environment is explained in one file."""
    text = COMPOSE_TEXT + (ROOT / "prefect.yaml").read_text(encoding="utf-8")
    assert set(re.findall(r"\$\{(\w+)", text)) <= set(EXAMPLE)


def test_files_that_are_named_exist() -> None:
    """Build context, Dockerfile, what it copies, and the deployments' entrypoint."""
    build = SERVICES["worker"]["build"]
    context = DEPLOY / build["context"]
    assert (context / build["dockerfile"]).samefile(DEPLOY / "Dockerfile")
    sent = {
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    for copy in by_kind()["COPY"]:
        for source in copied(copy)[0]:
            assert (context / source).exists(), source
            assert source in sent, f".dockerignore keeps {source} from the build"
    deployments = yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))["deployments"]
    assert [d["name"] for d in deployments] == ["clip-local", "clip-nightly", "clip-gpu"]
    for deployment in deployments:
        assert (ROOT / deployment["entrypoint"].split(":")[0]).is_file()


def test_what_a_deployment_means_stands_in_its_parameters() -> None:
    """A variable of prefect.yaml says what a parameter says, which Prefect's form sends back.

    The form posts every default, and what is posted overrides a variable. And the other way
    round: a `recipe` or `execution` that a run gives leaves out what only a parameter says.
    """
    deployments = yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))["deployments"]
    for deployment in deployments:
        parameters = deployment["parameters"]
        settings = {**parameters.get("recipe", {}), **parameters["execution"]}
        variables = {
            name: value
            for name, value in deployment["work_pool"]["job_variables"]["env"].items()
            if name.startswith("CLIPPING_")
        }
        assert variables == {f"CLIPPING_{k.upper()}": v for k, v in settings.items()}
        assert "ray_address" in settings
        assert "{{ output.stdout }}" in parameters["output"]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs that the Dockerfile's own steps install."""
    app = tmp_path_factory.mktemp("app")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("VIRTUAL_ENV", "UV_PROJECT"))}
    for word, rest in instructions():
        if word == "COPY":
            sources, target = copied(rest)
            for source in sources:
                if (ROOT / source).is_dir():
                    shutil.copytree(ROOT / source, app / target)
                else:
                    shutil.copy(ROOT / source, app / target)
        elif word == "RUN" and rest.startswith("uv "):
            line = [*shlex.split(rest), "--quiet", "--python", sys.executable]
            subprocess.run(line, cwd=app, env=kept, check=True, timeout=280)
    return app / ".venv" / "bin"


@pytest.mark.parametrize("line", commands())
def test_commands_exist_with_their_options(line: str, installed: Path) -> None:
    """Each program is in the image, and knows the options it is given."""
    program, *arguments = shlex.split(line)
    words = [x for x in arguments if re.fullmatch(r"[a-z][a-z-]+", x)]
    subcommands = words[: 1 if program == "ray" else 2]
    text = subprocess.run(
        [installed / program, *subcommands, "--help"], env={**os.environ, "COLUMNS": "200"},
        capture_output=True, text=True, check=True, timeout=100,
    ).stdout  # fmt: skip
    given = {x.split("=")[0] for x in arguments if x.startswith("--")}
    assert given <= set(re.findall(r"--[\w-]+", text))


def test_the_installed_flow_is_the_copied_one(installed: Path) -> None:
    """Imported with nothing but what the image holds."""
    line = "import clipping.orchestration.flow as m; print(m.__file__)"
    done = subprocess.run(
        [installed / "python", "-c", line],
        capture_output=True, text=True, check=True, timeout=100, cwd=installed,
    )  # fmt: skip
    assert Path(done.stdout.strip()) == installed.parent.parent / "clipping/orchestration/flow.py"


def test_compose_reads_the_file() -> None:
    """`docker compose config`, where there is one."""
    if subprocess.run(
        ["docker", "compose", "version"], capture_output=True, check=False
    ).returncode:
        pytest.skip("docker compose is not installed")
    values = {name: value or "secret" for name, value in EXAMPLE.items()}
    line = ["docker", "compose", "--file", str(DEPLOY / "compose.yaml"), "--profile", "gpu"]
    subprocess.run([*line, "config", "--quiet"], env={**os.environ, **values}, check=True)
    missing = {**os.environ, **values, "PREFECT_SERVER_API_AUTH_STRING": ""}
    refused = subprocess.run([*line, "config", "--quiet"], env=missing, check=False)
    assert refused.returncode != 0
