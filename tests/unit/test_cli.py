"""The command line: flags, help, and mistakes answered in a line."""

from __future__ import annotations

from pathlib import Path

import pytest

import clipping
from clipping.cli import main, parse
from clipping.config.execution import Execution
from clipping.config.recipe import Recipe


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder without a .env file."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_flags_are_flat_and_kebab_case() -> None:
    """The flags that the README shows; inputs keep their commas and blanks."""
    settings = parse(
        ["--input", "a, b.mp4", "--input", "c[1].mp4", "--clip-len-s", "10", "--clip-stride-s",
         "5", "--encoder", "libopenh264", "--num-clips-per-chunk", "8", "--no-audio", "--verbose"]
    )  # fmt: skip
    assert settings.input == ["a, b.mp4", "c[1].mp4"]
    assert (settings.clip_stride_s, settings.encoder) == (5, "libopenh264")
    assert (settings.num_clips_per_chunk, settings.audio, settings.verbose) == (8, False, True)


def test_help_explains_every_parameter(capsys: pytest.CaptureFixture[str]) -> None:
    """Each flag has a sentence."""
    with pytest.raises(SystemExit):
        main(["--help", "all"])
    text = capsys.readouterr().out
    for model in (Recipe, Execution):
        for name, field in model.model_fields.items():
            assert f"--{name.replace('_', '-')}" in text
            assert field.description
            assert field.description.endswith(".")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (
            ["--clip-stride-s", "0"],
            "--clip-stride-s: input should be greater than or equal to 0.001",
        ),
        (
            ["--clip-stride-s", "5e-324"],
            "--clip-stride-s: input should be greater than or equal to",
        ),
        (["--clip-stride-s", "1e-9"], "--clip-stride-s: input should be greater than or equal to"),
        (["--clip-stride-s", "0.005"], "a frame would be in more than 1000 clips; give 0.01 or"),
        (["--clip-len-s", "-1"], "--clip-len-s: input should be greater than or equal to 0.001"),
        (["--clip-len-s", "inf"], "--clip-len-s: input should be a finite number"),
        (["--min-clip-length-s", "nan"], "--min-clip-length-s: input should be a finite number"),
        (["--max-damage", "nan"], "--max-damage: input should be a finite number"),
        (["--stall-timeout-s", "inf"], "--stall-timeout-s: input should be a finite number"),
        (["--stall-timeout-s", "1e9"], "--stall-timeout-s: input should be less than or equal to"),
        (["--stall-timeout-s", "1e-9"], "--stall-timeout-s: input should be greater than or equal"),
        (["--node-wait-s", "inf"], "--node-wait-s: input should be a finite number"),
        (["--retry-delay-s", "1e300"], "--retry-delay-s: input should be less than or equal to"),
        (
            ["--num-cpus-per-worker", "inf"],
            "--num-cpus-per-worker: input should be a finite number",
        ),
        (["--extensions", ""], "--extensions: give extensions like .mp4, not ''"),
        (["--extensions", "[]"], "--extensions: give extensions like .mp4, not '[]'"),
        (["--extensions", ".mp4,.mov"], "--extensions: give extensions like .mp4, not '.mp4,.mov'"),
        (["--extensions", "*.mp4"], "--extensions: give extensions like .mp4, not '*.mp4'"),
        (["--allow-failures", "1e999999999"], "allow_failures takes a number or a share"),
        (
            ["--clip-len-s", "2", "--min-clip-length-s", "3"],
            "--min-clip-length-s (3) is more than --clip-len-s (2)",
        ),
        (["--encoder", "x265"], "--encoder: 'x265' is not one of libx264,"),
        (["--use-hwaccel"], "use_hwaccel"),
        (["--bogus"], "there is no flag --bogus (--help all lists them)"),
        (["--clip-len"], "there is no flag --clip-len; did you mean --clip-len-s? ("),
        (["--preset", "warp"], "libx264 has no preset 'warp'"),
        (["--encoder", "libopenh264", "--preset", "fast"], "it has none"),
        (["--quality", "20", "--use-input-bit-rate"], "exclude each other"),
        (["--allow-failures", "many"], "allow_failures takes a number or a share"),
        (["--input", "/no/such/place"], "there is no such file or folder"),
        (["--input", "v\udcff.mp4"], "v\\xff.mp4 is not valid UTF-8; rename it"),
        (["--output", "v\udcff"], "--output: is not valid UTF-8; rename it"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(
    flags: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """No traceback for what a user can cause."""
    assert main(flags) == 2
    printed = capsys.readouterr()
    assert words in printed.err
    assert printed.err.count("\n") == 1
    assert not printed.out


def test_a_working_folder_that_is_not_utf8_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is part of every path, and no record could hold it."""
    odd = tmp_path / "v\udcff"
    odd.mkdir()
    (odd / "a.mp4").write_bytes(b"x")
    monkeypatch.chdir(odd)
    assert main(["--input", "a.mp4", "--output", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert "v\\xff/a.mp4 is not valid UTF-8" in error
    assert error.count("\n") == 1


def test_a_mistake_in_the_environment_is_one_line_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The environment is checked like the flags."""
    monkeypatch.setenv("CLIPPING_CLIP_LEN_S", "long")
    assert main([]) == 2
    assert capsys.readouterr().err.startswith("clip-videos: CLIPPING_CLIP_LEN_S:")


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a server, a cluster or an input."""
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"clip-videos {clipping.__version__}\n"
