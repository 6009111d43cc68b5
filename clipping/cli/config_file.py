"""Settings from a TOML file: by their names, flat or in the tables `recipe` and `execution`."""

from __future__ import annotations

import tomllib
from typing import Any, cast

from clipping.config.execution import Execution
from clipping.config.load import Settings
from clipping.config.recipe import Recipe
from clipping.errors import UsageError
from clipping.wording import did_you_mean

__all__ = ["read_config_file"]

_TABLES = {"recipe": Recipe, "execution": Execution}


def read_config_file(path: str) -> dict[str, Any]:
    """The settings in a file. Raises UsageError if it cannot be read, or names what is none.

    Hyphens are as good as underscores. Relative paths are as those of flags: from where the
    command runs.
    """
    try:
        with open(path, "rb") as stream:
            content = tomllib.load(stream)
    except OSError as error:
        raise UsageError(f"--config {path}: {error.strerror or error}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"--config {path}: it is not TOML: {error}") from None
    found: dict[str, Any] = {}
    for key, value in content.items():
        name = key.replace("-", "_")
        if isinstance(value, dict):
            if name not in _TABLES:
                raise UsageError(
                    f"--config {path}: there is no table [{key}]; the tables are [recipe] and"
                    " [execution], and every setting may stand without one"
                )
            of_table = cast("dict[str, Any]", value)
            _take(found, of_table, path, set(_TABLES[name].model_fields), f"[{name}] ")
        else:
            _take(found, {key: value}, path, set(Settings.model_fields), "")
    return found


def _take(
    found: dict[str, Any], given: dict[str, Any], path: str, known: set[str], where: str
) -> None:
    for key, value in given.items():
        name = key.replace("-", "_")
        if name not in known:
            raise UsageError(
                f"--config {path}: there is no setting {where}{key}{did_you_mean(name, known)}"
            )
        if name in found:
            raise UsageError(f"--config {path}: {name} stands there twice")
        found[name] = value
