"""The form that Prefect makes of the settings: titles, groups, units, order."""

from __future__ import annotations

from clipping.config.execution import Execution
from clipping.config.form import EXECUTION_FORM
from clipping.config.recipe import Recipe

PROPERTIES = Execution.model_json_schema()["properties"]


def test_every_setting_has_its_place_in_the_form() -> None:
    """A new one has to be given a title in a group of `EXECUTION_FORM`."""
    placed = [name for titles in EXECUTION_FORM.values() for name in titles]
    assert sorted(placed) == sorted(Execution.model_fields)
    assert list(PROPERTIES) == placed


def test_what_is_rarely_needed_comes_last() -> None:
    """The end of the form holds what most runs never touch."""
    titles = [field["title"] for field in PROPERTIES.values()]
    assert titles[0] == "Retry what failed for good"
    assert all(title.startswith("Rarely needed: ") for title in titles[-5:])


def test_titles_name_the_unit() -> None:
    """Seconds and gigabytes stand beside the number that is typed."""
    for model in (Recipe, Execution):
        for name, field in model.model_json_schema()["properties"].items():
            if name.endswith("_s"):
                assert field["title"].endswith(" (s)"), name
            if name.endswith("_gb"):
                assert field["title"].endswith(" (GB)"), name


def test_the_usual_extensions_are_not_rows_of_the_form() -> None:
    """Nor are they sent back with every run; others, once given, are."""
    assert "default" not in PROPERTIES["extensions"]
    assert "extensions" not in Execution().model_dump()
    assert ".mp4" in Execution().extensions
    assert Execution(extensions=[".mp4"]).model_dump()["extensions"] == [".mp4"]
