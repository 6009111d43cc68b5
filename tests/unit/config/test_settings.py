"""Settings: one value from four places."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from clipping.cli import parse
from clipping.config.execution import Execution, allowed_failures
from clipping.config.load import resolve
from clipping.config.recipe import Recipe
from clipping.errors import UsageError

CURATOR_DEFAULTS = {
    "num_cpus_per_worker": 6.0,
    "encoder": "libx264",
    "encoder_threads": 1,
    "encode_batch_size": 16,
    "nb_streams_per_gpu": 3,
    "use_hwaccel": False,
    "use_input_bit_rate": False,
    "num_clips_per_chunk": 32,
    "verbose": False,
    "ffmpeg_verbose": False,
}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder without a .env file."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_curators_names_and_defaults_are_kept() -> None:
    """Whoever comes from NeMo Curator's stages finds their parameters."""
    config = resolve()
    values = {**dict(config.recipe), **dict(config.execution)}
    assert {name: values[name] for name in CURATOR_DEFAULTS} == CURATOR_DEFAULTS
    for name in ("clip_len_s", "clip_stride_s", "min_clip_length_s", "limit_clips"):
        assert name in Recipe.model_fields


def test_later_places_win(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Default, .env, environment, flag or flow parameter."""
    assert resolve().recipe.clip_len_s == 10
    (elsewhere / ".env").write_text("CLIPPING_CLIP_LEN_S=7\nCLIPPING_ENCODER_THREADS=4\n")
    assert resolve().recipe.clip_len_s == 7
    monkeypatch.setenv("CLIPPING_CLIP_LEN_S", "6")
    assert resolve().recipe.clip_len_s == 6
    assert parse(["--clip-len-s", "5"]).clip_len_s == 5
    assert resolve(Recipe(clip_len_s=4), Execution()).recipe.clip_len_s == 4
    # What was not set explicitly does not hide the environment.
    assert resolve(Recipe(clip_stride_s=4), Execution()).recipe.clip_len_s == 6
    assert parse(["--clip-len-s", "5"]).encoder_threads == 4


def test_short_clips_need_no_second_flag() -> None:
    """The default minimum gives way to a shorter clip length."""
    assert parse(["--clip-len-s", "1"]).min_clip_length_s == 1
    assert resolve(Recipe(clip_len_s=1)).recipe.min_clip_length_s == 1
    assert resolve().recipe.min_clip_length_s == 2


@pytest.mark.parametrize(
    ("text", "total", "allowed"), [("0", 9, 0), ("20", 9, 20), ("0.05", 100, 5), ("5%", 100, 5)]
)
def test_allowed_failures(text: str, total: int, allowed: int) -> None:
    """A number, a share, a percentage."""
    assert allowed_failures(text, total) == allowed


def test_no_setting_is_without_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every number refuses what is not finite, in a flow's parameters as well; no list is empty."""
    for model in (Recipe, Execution):
        for name, field in model.model_fields.items():
            default: Any = field.get_default(call_default_factory=True)
            if isinstance(default, float) or name == "quality":
                for value in (float("inf"), float("-inf"), float("nan")):
                    with pytest.raises(ValidationError, match=f"{name}\\n"):
                        model.model_validate({name: value})
            if isinstance(default, list):
                with pytest.raises(ValidationError, match=f"{name}\\n.*at least one"):
                    model.model_validate({name: []})
    monkeypatch.setenv("CLIPPING_EXTENSIONS", "[]")
    with pytest.raises(UsageError, match="CLIPPING_EXTENSIONS: give at least one, like"):
        resolve()


def test_the_digest_follows_the_recipe_alone() -> None:
    """Each recipe field changes it, however the value was typed; execution does not."""
    base = Recipe()
    assert Recipe(clip_len_s=10).digest() == base.digest()
    assert resolve(Recipe(), Execution(num_clips_per_chunk=3)).recipe.digest() == base.digest()
    assert Recipe(quality=20).digest() != base.digest()
    assert Recipe(clip_stride_s=5).digest() != base.digest()


def test_an_environment_error_in_a_flow_names_the_field() -> None:
    """`resolve` is what the flow calls: it raises the package's own error."""
    with pytest.raises(UsageError, match="min_clip_length_s"):
        resolve(clip_len_s=1, min_clip_length_s=5)
