"""The README says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from clipping.config.execution import Execution
from clipping.config.load import Settings
from clipping.config.recipe import Recipe

README = (Path(__file__).parent.parent.parent / "README.md").read_text(encoding="utf-8")


def test_the_table_of_settings_is_the_models() -> None:
    """Every setting, with its description; none that does not exist."""
    table = README.split("<!-- settings")[1].split("<!-- /settings -->")[0]
    shown = dict(re.findall(r"^\| `(\w+)` \| [^|]* \| (.+) \|$", table, re.MULTILINE))
    fields = {**Recipe.model_fields, **Execution.model_fields}
    assert shown == {name: field.description for name, field in fields.items()}


def test_every_flag_it_names_exists() -> None:
    """Flags in the text are flags of the command line."""
    known = {*Settings.model_fields, "help"}
    others = re.compile(r"^uv (run prefect|sync) .*$", re.MULTILINE)
    for flag in re.findall(r"(?<![\w-])--([a-z][a-z-]+)", others.sub("", README)):
        assert flag.removeprefix("no-").replace("-", "_") in known, flag


def test_the_files_it_names_exist() -> None:
    """Whoever looks for the place of a change finds it."""
    root = Path(__file__).parent.parent.parent
    for name in re.findall(r"`((?:clipping|flows|tests|benchmarks)/\w+\.py)`", README):
        assert (root / name).is_file(), name
    for name in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (root / name).is_file(), name
