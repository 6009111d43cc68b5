"""Profiles: defaults that everything given besides wins over."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from clipping.cli.flags import flag, parse, profile_table
from clipping.config.load import load, resolve
from clipping.config.profiles import PROFILES
from clipping.config.recipe import Recipe
from clipping.errors import UsageError

ROOT = Path(__file__).parents[3]
each = pytest.mark.parametrize("name", PROFILES)


def typed_out(values: dict[str, Any]) -> list[str]:
    return [
        word
        for key, value in values.items()
        for word in (
            [f"--no-{key.replace('_', '-')}"] if value is False else [flag(key), f"{value}"]
        )
    ]


@each
def test_it_is_the_same_as_its_settings_typed_out(name: str) -> None:
    """By flags, and as a flow parameter beside a form's defaults."""
    values = dict(PROFILES[name].values)
    recipe = parse(["a.mp4", "--profile", name]).run_config().recipe
    assert recipe == Recipe(**values)
    assert recipe.digest() == parse(["a.mp4", *typed_out(values)]).run_config().recipe.digest()
    form = Recipe(**{n: getattr(Recipe(), n) for n in Recipe.model_fields})
    assert resolve(form, profile=name).recipe == recipe


def test_what_is_given_wins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def recipe(*words: str) -> Recipe:
        return parse(["a.mp4", *words]).run_config().recipe

    assert recipe("--profile", "wan", "--fps", "24").fps == "24"
    assert recipe("--profile", "wan", "--fps", "24").frames == 81
    shorter = recipe("--profile", "wan", "--clip-len-s", "5")
    assert (shorter.frames, shorter.frame_stride, shorter.clip_len_s) == (0, 0, 5)
    assert recipe("--profile", "lerobot", "--encoder", "libx264").preset is None
    assert recipe("--profile", "wan", "--size", "480p").size_fit == "fit"
    shots = recipe("--profile", "wan", "--spans", "scenes")
    assert (shots.spans, shots.frames) == ("scenes", 81)
    assert recipe("--profile", "open-sora", "--spans", "stride").clip_len_s == 10
    listed = recipe("--profile", "open-sora", "--span-list", "x.csv")
    assert (listed.spans, listed.fps) == ("list", "30")
    assert recipe("--profile", "speech", "--audio", "none").audio_sample_rate == 0
    monkeypatch.setenv("CLIPPING_FPS", "25")
    monkeypatch.setenv("CLIPPING_PROFILE", "wan")
    assert (recipe().fps, recipe().frames) == ("25", 81)
    assert recipe("--profile", "cogvideox").frames == 49
    (tmp_path / "c.toml").write_text('profile = "hunyuan"\n[recipe]\ngop = 12\n')
    both = recipe("--config", str(tmp_path / "c.toml"))
    assert (both.frames, both.gop) == (129, "12")


def test_none_changes_nothing() -> None:
    assert load().run_config().recipe == Recipe()
    assert load(profile="").run_config().recipe == Recipe()


def test_one_that_there_is_not() -> None:
    with pytest.raises(UsageError) as caught:
        parse(["a.mp4", "--profile", "huniuan"])
    assert caught.value.message.startswith(
        "--profile: there is no such profile; did you mean hunyuan?"
    )


@pytest.mark.parametrize("width", [60, 100])
def test_the_list_fits_the_terminal(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    with pytest.raises(SystemExit) as ended:
        parse(["--profile", "list"])
    assert ended.value.code == 0
    told = capsys.readouterr().out.splitlines()
    assert max(map(len, told)) <= width
    assert [line.split(":")[0] for line in told if not line.startswith(" ")] == list(PROFILES)


def test_the_documents_table_is_the_profiles() -> None:
    text = (ROOT / "docs" / "profiles.md").read_text(encoding="utf-8")
    table = text.split("<!-- profiles")[1].split("<!-- /profiles -->")[0]
    rows = dict(re.findall(r"^\| `([\w-]+)` \| `(.+)` \|$", table, re.MULTILINE))
    assert rows == {n: " ".join(typed_out(dict(p.values))) for n, p in PROFILES.items()}
    told = profile_table(10_000)
    assert all(row in told for row in rows.values())
