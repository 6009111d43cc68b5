"""Flags to settings. They are derived from the models; what is mistyped is answered with a hint."""

from __future__ import annotations

import argparse
import re
import shutil
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any, Literal, NoReturn, cast, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from clipping import __version__
from clipping.cli.config_file import read_config_file
from clipping.config.execution import Execution
from clipping.config.load import Settings, load
from clipping.config.profiles import PROFILES
from clipping.config.recipe import Recipe
from clipping.config.sound_settings import sound_choice
from clipping.config.units import Seconds
from clipping.errors import UsageError
from clipping.wording import did_you_mean

__all__ = ["flag", "parse"]

_IN_FRAMES = {"clip_len_s": "frames", "clip_stride_s": "frame_stride"}
_FRAMES = re.compile(r"\s*(\d{1,9})\s*f(?:rames?)?\s*", re.IGNORECASE)
_CALLED = {"as_json": "--json"}
_SHORT = {"input": "-i", "output": "-o"}
# What `--help` alone shows, besides input and output.
_MOST_USED = {
    "recipe": ("clip_len_s", "clip_stride_s", "encoder", "fps", "size", "audio"),
    "execution": ("ray_address",),
}
_EXAMPLES = """\
examples:
  {program} talk.mp4
  {program} VIDEOS/ -o clips/ --clip-len-s 10 --clip-stride-s 5
  {program} s3://bucket/videos/ -o s3://bucket/clips --dry-run
"""
_MORE = """\
Times are in seconds (10, 10s, 1.5m) or hours, minutes and seconds (00:00:10). Run the same command
again to go on where it stopped. `--help all` lists all flags. Each of them is also an environment
variable (--clip-len-s: CLIPPING_CLIP_LEN_S), which may stand in .env, and a line in the file that
--config names: the flag wins, then the file.
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (--help lists the flags)")


def flag(name: str) -> str:
    """The flag of a setting: --clip-len-s."""
    return _CALLED.get(name) or f"--{name.replace('_', '-')}"


def _add(
    parser: argparse.ArgumentParser, title: str, model: type[BaseModel], names: Iterable[str]
) -> None:
    group = parser.add_argument_group(title)
    for name in names:
        field = model.model_fields[name]
        flags = [*([_SHORT[name]] if name in _SHORT else []), flag(name)]
        default: Any = field.get_default(call_default_factory=True)
        text = (field.description or "").replace("%", "%%")
        if field.annotation is bool:
            group.add_argument(
                *flags, dest=name, action=argparse.BooleanOptionalAction, default=None,
                help=f"{text} (default: {'on' if default else 'off'})",
            )  # fmt: skip
            continue
        if isinstance(default, list):
            default = " ".join(cast("list[str]", default))
        shown = "" if default in (None, "") else f" (default: {default:g})" if isinstance(
            default, float
        ) else f" (default: {default})"  # fmt: skip
        choices = _choices(field)
        group.add_argument(
            *flags, dest=name, default=None, help=f"{text}{shown}",
            action="append" if _is_list(field) else "store",
            metavar=_listed(choices) if choices else _metavar(name, field),
        )  # fmt: skip


def _is_list(field: FieldInfo) -> bool:
    return isinstance(field.get_default(call_default_factory=True), list)


def _choices(field: FieldInfo) -> list[str]:
    """What a setting may be, if that can be counted; as Prefect's form has it."""
    if get_origin(field.annotation) is Literal:
        return list(get_args(field.annotation))
    extra: Any = field.json_schema_extra or {}
    return extra.get("enum") or []


def _listed(choices: list[str]) -> str:
    """Choices in braces, where they fit a line; a mistake is answered with all of them."""
    named = list(filter(None, choices))
    return f"{{{','.join(named)}}}" if len(named) <= 4 else "NAME"


def _metavar(name: str, field: FieldInfo) -> str:
    if name in ("input", "output", "scratch_dir", "ffmpeg_binary"):
        return "PATH"
    if get_args(Seconds)[1] in field.metadata:
        return "TIME"
    kinds: tuple[Any, ...] = (field.annotation, *get_args(field.annotation))
    return "NUMBER" if int in kinds or float in kinds else "VALUE"


def _own() -> list[str]:
    """The settings that belong to the command alone."""
    others = {**Recipe.model_fields, **Execution.model_fields}
    return [name for name in Settings.model_fields if name not in others]


def _parser(program: str, *, shows_all: bool) -> argparse.ArgumentParser:
    """All flags; or those that are used most, for a help that fits on a screen."""
    parser = _Parser(
        prog=program,
        usage="%(prog)s [VIDEOS ...] [-o OUTPUT] [flags]",
        description=_filled(
            "Cut videos into clips, frame-exact, and transcode each to a standard MP4."
        ),
        epilog=f"{_EXAMPLES.format(program=program)}\n{_filled(_MORE)}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        add_help=False,
    )
    parser.add_argument(
        "videos", nargs="*", metavar="VIDEOS",
        help="Videos, folders, globs, lists: the same as --input.",
    )  # fmt: skip
    own = _own() if shows_all else ["output", "profile", "dry_run"]
    _add(parser, "input and output", Settings, own)
    recipe = Recipe.model_fields if shows_all else _MOST_USED["recipe"]
    execution = Execution.model_fields if shows_all else _MOST_USED["execution"]
    _add(parser, "recipe: what decides the content of a clip", Recipe, recipe)
    _add(parser, "execution: where and how", Execution, execution)
    others = parser.add_argument_group("others")
    others.add_argument(
        "--config",
        metavar="FILE",
        help="A TOML file with settings, like clip_len_s = 5.",
    )
    others.add_argument("--version", action="version", version=f"clip-videos {__version__}")
    others.add_argument("-h", "--help", action="store_true", help="Show this; `--help all`: all.")
    return parser


def _filled(text: str) -> str:
    """A paragraph as wide as argparse makes its own."""
    return textwrap.fill(" ".join(text.split()), shutil.get_terminal_size().columns - 2)


def parse(argv: Sequence[str], program: str = "clip-videos") -> Settings:
    """Settings from flags over a configuration file over the environment over `.env`.

    Raises UsageError; SystemExit after `--help` and `--version`.
    """
    parser = _parser(program, shows_all=True)
    known = {word for action in parser._actions for word in action.option_strings}
    end = list(argv).index("--") if "--" in argv else len(argv)
    words, after = _spelled(argv[:end], known), argv[end + 1 :]
    if (asked := _help(words)) is not None:
        _parser(program, shows_all=asked == "all").print_help()
        raise SystemExit(0)
    # Not parse_args: a flag may stand between two videos.
    given = vars(parser.parse_intermixed_args(words))
    if given["profile"] == "list":
        print(profile_table(shutil.get_terminal_size().columns))
        raise SystemExit(0)
    videos: list[str] = [*given.pop("videos"), *after]
    del given["help"]
    file: str | None = given.pop("config")
    flags = {name: value for name, value in given.items() if value is not None}
    if videos:
        flags["input"] = [*flags.get("input", []), *videos]
    for name, value in flags.items():
        _require_choice(name, value)
    in_file = read_config_file(file) if file else {}
    origins = {name: f"{file}: {name}" for name in in_file} | {name: flag(name) for name in flags}
    values = {**in_file, **flags}
    for length, frames in _IN_FRAMES.items():
        # 250f: a length for which there is another setting.
        if found := _FRAMES.fullmatch(str(values.get(length, ""))):
            values[frames], origins[frames] = found[1], origins[length]
            del values[length]
    return load(origins, **values)


def profile_table(width: int) -> str:
    """All profiles with what they set, within `width` columns."""
    lines: list[str] = []
    for name, profile in PROFILES.items():
        settings = " ".join(
            f"--no-{key.replace('_', '-')}" if value is False else f"{flag(key)} {value}"
            for key, value in profile.values.items()
        )
        for text, indent in ((f"{name}: {profile.about}", 2), (settings, 4)):
            first = "" if indent == 2 else "    "
            lines.append(
                textwrap.fill(
                    text, width - 2, initial_indent=first, subsequent_indent="    ",
                    break_on_hyphens=False,
                )
            )  # fmt: skip
    return "\n".join(lines)


def _spelled(argv: Sequence[str], known: set[str]) -> list[str]:
    """The words with flags as they are called; underscores are as good as hyphens.

    Raises UsageError for a flag that there is not.
    """
    words: list[str] = []
    for place, word in enumerate(argv):
        name, has_value, value = word.partition("=")
        if name == "--audio" and not has_value and not _is_of_sound(argv[place + 1 : place + 2]):
            has_value, value = "=", "auto"  # its old form, which took no value
        if name.replace("_", "-") == "--no-audio":
            name, has_value, value = "--audio", "=", "none"
        if name.startswith("--"):
            name = name.replace("_", "-")
            if name not in known:
                raise UsageError(
                    f"there is no flag {name}{did_you_mean(name, known)} (--help all lists them)"
                )
        words.append(f"{name}{has_value}{value}")
    return words


def _is_of_sound(following: Sequence[str]) -> bool:
    """Whether the next word says what is to become of the sound."""
    return bool(following) and sound_choice(following[0]) in _choices(
        Settings.model_fields["audio"]
    )


def _help(words: Sequence[str]) -> str | None:
    """What is asked for: "all", or "" for the short one; None if nothing is."""
    for place, word in enumerate(words):
        if word in ("-h", "--help"):
            return "all" if "all" in words[place + 1 : place + 2] else ""
    return None


def _require_choice(name: str, value: Any) -> None:
    """Raise UsageError for what is none of a setting's choices."""
    choices = _choices(Settings.model_fields[name])
    if name == "audio":
        value = sound_choice(value)
    if choices and value not in choices:
        named = ", ".join(filter(None, choices))
        raise UsageError(
            f"{flag(name)}: {value!r} is not one of {named}{did_you_mean(value, choices)}"
        )
