"""What a user installs: the wheel, in its own environment, in a folder with other things."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.media import counter_video, steady

ROOT = Path(__file__).parent.parent.parent

SNAPSHOT = """
import json, logging, os, signal, subprocess
import av.logging, prefect_ray, ray, ray._private.ray_constants, ray._private.worker
from prefect import flow, task  # Prefect sets up its own logging here

def snapshot():
    loggers = [logging.getLogger(), *map(logging.getLogger, sorted(seen))]
    return json.dumps([
        dict(os.environ), os.getcwd(), av.logging.get_level(),
        [(l.name, l.level, l.disabled, map_of(l.handlers), map_of(l.filters)) for l in loggers],
        map_of(vars(ray).values()), map_of(vars(ray._private.worker).values()),
        sorted((k, repr(v)) for k, v in vars(ray._private.ray_constants).items()),
        map_of([subprocess.Popen, subprocess.run, os.fork, print, logging.Logger.handle]),
        [repr(signal.getsignal(s)) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)],
    ])

def map_of(values):
    return [id(v) for v in values]

seen = list(logging.root.manager.loggerDict)
before = snapshot()
import importlib, pkgutil, clipping
from clipping import Execution, Recipe, clip_flow
for module in pkgutil.walk_packages(clipping.__path__, "clipping."):
    importlib.import_module(module.name)
after = snapshot()
for one, other in zip(json.loads(before), json.loads(after), strict=True):
    assert one == other, [x for x in zip(one, other) if x[0] != x[1]] or (one, other)
print("unchanged")
"""

LIBRARY = """
import sys, threading, time
import psutil
from clipping import ClippingError, Execution, Recipe, clip_flow

most = 0

def count_servers():
    global most
    while True:
        lines = []
        for child in psutil.Process().children(recursive=True):
            try:
                lines.append(child.cmdline())
            except psutil.Error:
                pass
        most = max(most, sum("prefect.server.api.server:create_app" in x for x in lines))
        time.sleep(0.3)

threading.Thread(target=count_servers, daemon=True).start()
state = clip_flow(
    input=[{video!r}], output={output!r}, recipe=Recipe(clip_len_s=1, clip_stride_s=1),
    execution=Execution(num_cpus_per_worker=1), return_state=True,
)
assert state.is_completed(), state.message
assert "flows" not in sys.modules or "somebody else" in sys.modules["flows"].__doc__
assert most == 1, f"{{most}} servers"
print(state.message)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, as it would be published."""
    folder = tmp_path_factory.mktemp("dist")
    line = ["uv", "build", "--quiet", "--wheel", "--out-dir", folder, "--python", sys.executable]
    subprocess.run(line, cwd=ROOT, check=True, timeout=200)
    [built] = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment that holds the wheel and its libraries, and nothing else."""
    folder = tmp_path_factory.mktemp("environment")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("VIRTUAL_ENV", "UV_PROJECT"))}

    def uv(*words: object) -> None:
        subprocess.run(["uv", *map(str, words)], cwd=ROOT, env=kept, check=True, timeout=280)

    uv("venv", "--quiet", "--python", sys.executable, folder / "env")
    locked = folder / "requirements.txt"
    uv("export", "--quiet", "--locked", "--no-dev", "--no-emit-project", "--output-file", locked)
    python = ("--quiet", "--python", folder / "env")
    uv("pip", "install", *python, "--requirements", locked)
    uv("pip", "install", *python, "--no-deps", wheel)
    return folder / "env" / "bin"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A user's own folder, with a `flows` package as Prefect's users have, and a video."""
    folder = tmp_path / "project"
    (folder / "flows").mkdir(parents=True)
    (folder / "flows" / "__init__.py").write_text('"""Flows of somebody else."""\n')
    (folder / "flows" / "clip_flow.py").write_text("raise RuntimeError('not this one')\n")
    counter_video(folder / "in.mp4", *steady(50, 25))
    return folder


def run(
    project: Path, line: list[object], feed: str | None = None, **more: str
) -> subprocess.CompletedProcess[str]:
    """Run a program in the user's folder, in a HOME of its own."""
    dropped = ("VIRTUAL_ENV", "PYTHONPATH", "PREFECT", "CLIPPING", "RAY")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(dropped)}
    home = project.parents[1] / "home"  # one for all: Prefect makes its database once
    home.mkdir(exist_ok=True)
    return subprocess.run(
        list(map(str, line)), cwd=project, env={**kept, "HOME": str(home), **more}, input=feed,
        capture_output=True, text=True, check=False, timeout=280,
    )  # fmt: skip


def clips(project: Path) -> int:
    """How many clips the run made."""
    return len(list((project / "out" / "clips").glob("*.mp4")))


def test_the_wheel_holds_one_package(wheel: Path) -> None:
    """`clipping`, typed, with its command; a user's `flows` is the user's."""
    with zipfile.ZipFile(wheel) as content:
        names = content.namelist()
        [entries] = [n for n in names if n.endswith("entry_points.txt")]
        assert "clip-videos = clipping.cli:main" in content.read(entries).decode()
    tops = {n.split("/")[0] for n in names}
    assert {t for t in tops if not t.endswith(".dist-info")} == {"clipping"}
    assert "clipping/py.typed" in names
    source = {str(p.relative_to(ROOT)) for p in (ROOT / "clipping").rglob("*.py")}
    assert source <= set(names)
    templates = (ROOT / "clipping" / "dataset" / "report" / "templates").iterdir()
    assert {str(p.relative_to(ROOT)) for p in templates} <= set(names)


def test_the_command_runs_beside_another_flows_package(installed: Path, project: Path) -> None:
    """From the user's folder; the same by `python -m clipping`."""
    done = run(project, [installed / "clip-videos", "--input", "in.mp4", "--output", "out",
                         "--clip-len-s", "1", "--clip-stride-s", "1"])  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "2 clips from 1 video" in done.stdout
    assert clips(project) == 2
    told = run(project, [installed / "python", "-m", "clipping", "--version-of", "x"])
    assert told.returncode == 2
    assert told.stderr.startswith("python -m clipping: there is no flag --version-of")


@pytest.mark.parametrize("how", ["script", "notebook"])
def test_the_flow_runs_as_a_library(how: str, installed: Path, project: Path) -> None:
    """In a script, and in a process without a file, as a notebook's kernel is.

    Nobody has configured a Prefect server: there is one for the flow and its workers together.
    """
    text = LIBRARY.format(video=str(project / "in.mp4"), output=str(project / "out"))
    if how == "script":
        (project / "mine.py").write_text(f"import flows\n{text}")
        done = run(project, [installed / "python", "mine.py"])
    else:
        done = run(project, [installed / "python", "-"], feed=text)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "2 clips from 1 video" in done.stdout
    assert clips(project) == 2


def test_importing_it_changes_nothing(installed: Path, project: Path) -> None:
    """No environment variable, no log setting, no function of Ray's, no signal handler."""
    done = run(project, [installed / "python", "-c", SNAPSHOT])
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout == "unchanged\n"


def test_the_public_names_are_there(installed: Path, project: Path) -> None:
    """The flow is loaded when it is asked for: the rest costs no import of Prefect or Ray."""
    line = (
        "import clipping, json, sys; "
        "heavy = [m for m in ('prefect', 'ray', 'pyarrow') if m in sys.modules]; "
        "print(json.dumps([heavy, all(hasattr(clipping, n) for n in clipping.__all__), "
        "clipping.__version__, clipping.clip_flow.name]))"
    )
    done = run(project, [installed / "python", "-c", line])
    assert done.returncode == 0, done.stderr[-3000:]
    import clipping

    assert json.loads(done.stdout) == [[], True, clipping.__version__, "clip-videos"]
