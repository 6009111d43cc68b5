"""The layers: who imports whom, and which library is used where."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent.parent / "clipping"

# From the top; a layer may import itself and what follows it.
LAYERS = (
    *("__main__", "cli", "orchestration", "run", "cluster", "dataset", "media", "storage"),
    *("config", "ffmpeg", "plan", "models", "errors", "wording"),
)
MODULES = sorted(p for p in PACKAGE.rglob("*.py") if p != PACKAGE / "__init__.py")


def name_of(path: Path) -> str:
    """`cluster.policy` for clipping/cluster/policy.py."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(p for p in parts if p != "__init__")


def imports(path: Path) -> Iterator[str]:
    """What a module imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: imports are absolute"
            yield f"{node.module}"
            yield from (f"{node.module}.{a.name}" for a in node.names)
        elif isinstance(node, ast.Import):
            yield from (a.name for a in node.names)


def layer(name: str) -> int:
    """The place of a module's layer, from the top."""
    return LAYERS.index(name.split(".", maxsplit=1)[0])


def test_every_module_is_in_a_layer() -> None:
    """A new package has to be given its place here."""
    assert {name_of(p).split(".")[0] for p in MODULES} == set(LAYERS)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_imports_only_what_is_below_it(path: Path) -> None:
    """Arrows go down: from the command line to plain values, never back."""
    mine = name_of(path)
    for imported in imports(path):
        if imported.startswith("clipping.") and (PACKAGE / imported.split(".")[1]).exists():
            assert layer(imported.removeprefix("clipping.")) >= layer(mine), imported


def test_no_two_modules_import_each_other() -> None:
    """No circle, within a layer either."""
    names = {f"clipping.{name_of(p)}" for p in MODULES}
    arrows = {f"clipping.{name_of(p)}": {i for i in imports(p) if i in names} for p in MODULES}
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " -> ".join((*way, name))
        if name not in done:
            for following in arrows[name]:
                visit(following, (*way, name))
            done.add(name)

    for name in sorted(names):
        visit(name, ())


@pytest.mark.parametrize(
    ("library", "allowed"),
    [
        ("prefect", ("orchestration", "cli")),
        ("prefect_ray", ("orchestration",)),
        (
            "ray",
            (
                *("cluster.ray_session", "cluster._ray_private", "cluster.encoder_survey"),
                *("cluster.progress_store", "orchestration"),
            ),
        ),
        ("av", ("media",)),
        ("jinja2", ("dataset.report",)),
        ("fsspec", ("storage",)),
        ("pydantic_settings", ("config",)),
        ("argparse", ("cli",)),
        ("rich", ("cli", "run.progress")),
        ("subprocess", ("ffmpeg.process", "ffmpeg.forking_program", "orchestration.local_server")),
    ],
)
def test_a_library_is_used_where_it_belongs(library: str, allowed: tuple[str, ...]) -> None:
    """Who wants another library, or none of it, has one place to look."""
    for path in MODULES:
        if any(i.split(".")[0] == library for i in imports(path)):
            assert name_of(path).startswith(allowed), f"{name_of(path)} imports {library}"


def test_rays_private_modules_are_called_in_one_place() -> None:
    """So that a new version of Ray breaks one file at most."""
    for path in MODULES:
        if name_of(path) != "cluster._ray_private":
            assert "ray._private" not in path.read_text(encoding="utf-8"), name_of(path)


def words(path: Path) -> Iterator[str]:
    """The strings of a module, without its docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docs = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield node.value


@pytest.mark.parametrize(
    ("names", "home"),
    [
        (("libx264", "libopenh264", "h264_nvenc"), "ffmpeg.encoders"),
        (("metas/v0", "processed_videos", "processed_clip_chunks"), "dataset.layout"),
    ],
)
def test_a_name_stands_in_one_module(names: tuple[str, ...], home: str) -> None:
    """Encoders in their table, an output's folders in its layout; all else derives from there."""
    for path in MODULES:
        if name_of(path) != home:
            for text in words(path):
                found = [n for n in names if re.search(rf"(?<!\w){n}(?!\w)", text)]
                assert not found, f"{name_of(path)}: {text}"


def test_modules_stay_readable() -> None:
    """A module that outgrows this wants to be two."""
    for path in MODULES:
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 450, name_of(path)
