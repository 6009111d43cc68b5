"""However `flows/clip_flow.py` is loaded, the flow is that of one importable module beside it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
BY_PATH = """
import json, os, sys
from prefect.flows import load_flow_from_entrypoint
flow = load_flow_from_entrypoint(sys.argv[1] + ":clip_flow")
module = sys.modules[flow.fn.__module__]
assert flow is module.clip_flow
tasks = [module.probe_sources.fn.__module__, module.transcode_chunks.fn.__module__]
print(json.dumps([*tasks, module.__file__, os.environ["PYTHONPATH"]]))
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Another clone than the one that is installed."""
    for name in ("flows", "clipping"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def run(*line: object) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    return subprocess.run(
        [sys.executable, *map(str, line)],
        capture_output=True, text=True, check=False, timeout=100, cwd="/", env=environment,
    )  # fmt: skip


def test_by_path_it_is_the_importable_module(copy: Path) -> None:
    """As Prefect loads an entrypoint: tasks bear a name that Ray's workers can import."""
    file = copy / "flows" / "clip_flow.py"
    flow = copy / "clipping" / "orchestration" / "flow.py"
    done = run("-c", BY_PATH, file)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [*["clipping.orchestration.tasks"] * 2, str(flow), str(copy)]


def test_as_a_script_it_is_its_own_folders_code(copy: Path) -> None:
    """`python flows/clip_flow.py` runs the clone it stands in, whatever is installed."""
    (copy / "clipping" / "cli" / "__init__.py").write_text(
        "def main(program):\n    print('this clone')\n    return 7\n"
    )
    done = run(copy / "flows" / "clip_flow.py")
    assert (done.returncode, done.stdout) == (7, "this clone\n")
