"""The README and the documents say what the code does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic.fields import FieldInfo

import clipping
from clipping.config.execution import Execution
from clipping.config.load import Settings
from clipping.config.recipe import Recipe
from clipping.dataset.manifest import MANIFEST_COLUMNS, SOURCE_COLUMNS, Column, schema_of

ROOT = Path(__file__).parent.parent.parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FOLDERS = "clipping|flows|tests|benchmarks|deploy|scripts|docs"
# Commands of other programs, to the end of the line or of the quotation.
OTHERS = re.compile(
    r"(?:\buvx|\buv (?:run (?:prefect|python -m benchmarks)|sync|pip)|\bdocker|\bcurl"
    r"|\bray start)\b[^\n`]*"
)
# Flags of other programs that stand in a sentence alone.
OTHERS_OWN = {"pool", "profile", "extra"}

each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)


def shown(field: FieldInfo) -> str:
    """A default as the tables have it."""
    value: Any = field.get_default(call_default_factory=True)
    match value:
        case None:
            return ""
        case bool():
            return "on" if value else "off"
        case float():
            return f"{value:g}"
        case list():
            return f"{value[0]} … {value[-1]}"
        case _:
            return str(value)


def without_code(text: str) -> str:
    """A document's prose: headings and links in code blocks are none."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(path: Path) -> set[str]:
    """What a link to a heading of that document may end in."""
    headings = re.findall(
        r"^#+ (.+)$", without_code(path.read_text(encoding="utf-8")), re.MULTILINE
    )
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_table_of_settings_is_the_models() -> None:
    """Every setting, with its default and description; none that does not exist."""
    text = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    table = text.split("<!-- settings")[1].split("<!-- /settings -->")[0]
    rows = re.findall(r"^\| `(\w+)` \| (?:([^|]*) )?\| (.+) \|$", table, re.MULTILINE)
    fields = {**Recipe.model_fields, **Execution.model_fields}
    assert {name: (default, text) for name, default, text in rows} == {
        name: (shown(field), field.description) for name, field in fields.items()
    }


@pytest.mark.parametrize(
    ("name", "columns"), [("manifest", MANIFEST_COLUMNS), ("sources", SOURCE_COLUMNS)]
)
def test_the_dictionary_of_a_table_is_its_schema(name: str, columns: tuple[Column, ...]) -> None:
    """Every column with its type and description, in order; and the file itself says the same."""
    text = (ROOT / "docs" / "output.md").read_text(encoding="utf-8")
    table = text.split(f"<!-- {name}")[1].split(f"<!-- /{name} -->")[0]
    rows = re.findall(r"^\| `(\w+)` \| ([\w/]+) \| (.+) \|$", table, re.MULTILINE)
    kinds = {"string": "text", "int64": "integer", "float64": "number", "bool_": "yes/no"}
    assert rows == [(c.name, kinds[c.type], c.description) for c in columns]
    schema = schema_of(columns)
    assert [f.metadata[b"description"].decode() for f in schema] == [c.description for c in columns]
    assert schema.metadata[b"clipping.version"].decode() == clipping.__version__


@each_document
def test_every_flag_it_names_exists(document: Path) -> None:
    """Flags in the text are flags of the command line."""
    known = {*Settings.model_fields, "help", "config", "json", "version"}
    text = document.read_text(encoding="utf-8").replace("\\\n", " ")
    for flag in re.findall(r"(?<![\w-])--([a-z][a-z-]+)", OTHERS.sub("", text)):
        if flag not in OTHERS_OWN:
            assert flag.removeprefix("no-").replace("-", "_") in known, flag


@each_document
def test_the_files_it_names_exist(document: Path) -> None:
    """Whoever looks for the place of a change finds it."""
    text = document.read_text(encoding="utf-8")
    for name in re.findall(rf"(?<![\w/.-])((?:{FOLDERS})/[\w/.-]+\.(?:py|md|sh|yaml))\b", text):
        assert (ROOT / name).is_file(), name
    for name in re.findall(r"`((?:clipping|tests|deploy|benchmarks)/[\w/]+/)`", text):
        assert (ROOT / name).is_dir(), name


@each_document
def test_its_links_lead_somewhere(document: Path) -> None:
    """To a file beside it, and to a heading that is there."""
    links = re.findall(r"\]\(([^)\s]+)\)", without_code(document.read_text(encoding="utf-8")))
    for link in links:
        if "://" in link:
            continue
        name, _, heading = link.partition("#")
        target = (document.parent / name).resolve() if name else document
        assert target.is_file(), link
        assert not heading or heading in anchors(target), link


@each_document
def test_what_it_imports_is_public(document: Path) -> None:
    """`from clipping import …` in an example works."""
    text = document.read_text(encoding="utf-8")
    for names in re.findall(r"^from clipping import (.+)$", text, re.MULTILINE):
        for name in names.split(", "):
            assert hasattr(clipping, name), name


def test_the_first_block_is_what_the_checks_run() -> None:
    """`.ci/run` takes its two commands from there."""
    (block, *_) = re.findall(r"^```\w*\n(.*?)^```$", DOCUMENTS[0].read_text(), re.M | re.S)
    assert block == (
        "pip install -q uv && uv run python flows/clip_flow.py --output clips/   # the main job\n"
        "pip install -q uv && uv run pytest   # the tests\n"
    )


def test_the_layers_it_draws_are_the_packages() -> None:
    """The picture of the layers names modules that exist."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    picture = text.split("<!-- layers -->")[1].split("<!-- /layers -->")[0]
    picture = re.sub(r"\n {10,}", " ", picture)  # a long list goes on in the next line
    drawn: set[str] = set()
    for folder, names in re.findall(r"^  (\w+)/ +(.+)$", picture, re.MULTILINE):
        drawn.add(folder)
        for name in names.split():
            path = ROOT / "clipping" / folder / name
            assert path.with_suffix(".py").is_file() or path.is_dir(), path
    packages = {path.parent.name for path in (ROOT / "clipping").glob("*/__init__.py")}
    assert drawn == packages
