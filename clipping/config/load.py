"""A run's configuration from flags, flow parameters, the environment and `.env`.

The earlier of these wins, and a profile comes last. An environment variable is called like the
setting, with a prefix: `CLIPPING_CLIP_LEN_S`.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from clipping.config.execution import Execution
from clipping.config.profiles import known_profile, profile_values
from clipping.config.recipe import Recipe
from clipping.config.run_config import RunConfig
from clipping.errors import UsageError

__all__ = ["Settings", "load", "resolve"]


_PREFIX = "CLIPPING_"
_DOTENV = ".env"


def _paths(value: Any) -> Any:
    """Inputs from the environment: a JSON list, or one path as it stands (it may hold blanks)."""
    if isinstance(value, str):
        return json.loads(value) if value.lstrip().startswith('["') else [value]
    return value


class _ProfileSource(PydanticBaseSettingsSource):
    """The values of the profile that one of the sources before it names."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Not asked: a profile is given as a whole."""
        del field
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        given = {k: v for k, v in self.current_state.items() if v is not None}
        return profile_values(str(given.get("profile", "")), given)


class Settings(BaseSettings, Recipe, Execution):  # pyright: ignore[reportIncompatibleVariableOverride]
    """All settings in one flat namespace, as flags and the environment have them.

    It goes no further than the command line: `run_config` is what a run is given.
    """

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX,
        env_file=_DOTENV,
        env_file_encoding="utf-8",
        extra="ignore",
        case_sensitive=False,
    )

    input: Annotated[list[str], NoDecode, BeforeValidator(_paths)] = Field(
        default_factory=list,
        description="A video, a folder (searched recursively), a glob, or a list of files "
        "(.txt, .csv, .jsonl, .parquet); also s3://, gs:// and az:// prefixes and objects, and "
        "https:// files. May be given more than once. Without it, a short sample is made and "
        "clipped.",
    )
    output: str = Field(
        default="clips",
        min_length=1,
        description="The folder for clips and records, or an s3://, gs:// or az:// prefix.",
    )
    profile: Annotated[str, AfterValidator(known_profile)] = Field(
        default="",
        description="A whole recipe by its name (list shows all); what else is given wins.",
    )
    dry_run: bool = Field(default=False, description="Show what would be done; write nothing.")
    as_json: bool = Field(
        default=False,
        description="Write JSON lines to standard output instead of words: progress, what a dry run"
        " would do, the result.",
    )
    merge_manifests: bool = Field(
        default=False,
        description="Join the manifests that the runs of all shards left in the output into "
        "manifest.parquet, and do nothing else.",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """A profile's values come last."""
        profile = _ProfileSource(settings_cls)
        return init_settings, env_settings, dotenv_settings, file_secret_settings, profile

    def run_config(self) -> RunConfig:
        """The run that these settings ask for. Raises UsageError."""
        return RunConfig(
            recipe=Recipe(**{k: getattr(self, k) for k in Recipe.model_fields}),
            execution=Execution(**{k: getattr(self, k) for k in Execution.model_fields}),
            input=tuple(self.input),
            output=os.path.expanduser(self.output),
        )


def load(origins: Mapping[str, str] | None = None, /, **given: Any) -> Settings:
    """Settings from what was given over the environment over `.env`. Raises UsageError.

    origins: what a person knows each given setting by, its flag for instance.
    """
    try:
        return Settings(**given)
    except ValidationError as error:
        raise UsageError(_in_a_line(error, origins or {}, given)) from None
    except SettingsError as error:
        raise UsageError(f"an environment variable cannot be read: {error}") from None


def resolve(
    recipe: Recipe | None = None, execution: Execution | None = None, **given: Any
) -> RunConfig:
    """A run from flow parameters over the environment over `.env` over the defaults.

    Only what was set explicitly on a model counts as given. With a profile, what is as it is by
    default does not count either: a form sends its defaults as well. Raises UsageError.
    """
    for model in (recipe, execution):
        if model is not None:
            given |= {k: getattr(model, k) for k in model.model_fields_set}
    if given.get("profile"):
        usual = Recipe()
        for name in Recipe.model_fields:
            if name in given and given[name] == getattr(usual, name):
                del given[name]
    return load(**given).run_config()


def _in_a_line(error: ValidationError, origins: Mapping[str, str], given: Mapping[str, Any]) -> str:
    """A validation error in one line, with the names by which the settings were given."""
    parts: list[str] = []
    for detail in error.errors(include_url=False):
        setting, *within = (str(part) for part in detail["loc"]) if detail["loc"] else ("",)
        name = ".".join([_known_as(setting, origins, given), *within]) if setting else ""
        message = detail["msg"].removeprefix("Value error, ")
        message = message[:1].lower() + message[1:]
        if detail["type"] == "string_unicode":
            message = "is not valid UTF-8; rename it"
        value = detail.get("input")
        shown = f" (given: {value!r})" if name and not isinstance(value, dict) else ""
        parts.append(f"{name}: {message}{shown}" if name else _with_origins(message, origins))
    return "; ".join(parts)


def _known_as(setting: str, origins: Mapping[str, str], given: Mapping[str, Any]) -> str:
    """What a person knows a setting by: its flag, its line in a file, its variable, its name."""
    if setting in origins or setting in given:
        return origins.get(setting, setting)
    variable = f"{_PREFIX}{setting.upper()}"
    if any(name.upper() == variable for name in os.environ):
        return variable
    return f"{_DOTENV}: {variable}"


def _with_origins(message: str, origins: Mapping[str, str]) -> str:
    """A message about several settings, each called as it was given.

    Only names that cannot be words of the sentence.
    """
    named = {name: origin for name, origin in origins.items() if "_" in name}
    if not named:
        return message
    words = "|".join(re.escape(name) for name in sorted(named, key=len, reverse=True))
    return re.sub(rf"\b({words})\b", lambda found: named[found[1]], message)
