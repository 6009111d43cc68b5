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
    assert (settings.num_clips_per_chunk, settings.audio, settings.verbose) == (8, "none", True)


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
            "--clip-stride-s: input should be greater than or",
        ),
        (
            ["--clip-stride-s", "5e-324"],
            "--clip-stride-s: input should be greater than or",
        ),
        (["--clip-stride-s", "1e-9"], "--clip-stride-s: input should be greater than or"),
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
            "--num-cpus-per-worker: input should be a finite",
        ),
        (["--extensions", ""], "--extensions: give extensions like .mp4, not ''"),
        (["--extensions", "[]"], "--extensions: give extensions like .mp4, not '[]'"),
        (["--extensions", ".mp4,.mov"], "--extensions: give extensions like .mp4, not '.mp4,.mov'"),
        (["--extensions", "*.mp4"], "--extensions: give extensions like .mp4, not '*.mp4'"),
        (["--allow-failures", "1e999999999"], "--allow-failures takes a number or a share"),
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
        (["--allow-failures", "many"], "--allow-failures takes a number or a share"),
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


def test_videos_may_stand_anywhere() -> None:
    """As a shell gives them that has expanded a glob; with and without `--input`."""
    settings = parse(["a.mp4", "--input", "b.mp4", "c.mp4", "-o", "out", "-i", "d.mp4", "e.mp4"])
    assert sorted(settings.input) == ["a.mp4", "b.mp4", "c.mp4", "d.mp4", "e.mp4"]
    assert settings.output == "out"
    assert parse(["--", "-odd.mp4"]).input == ["-odd.mp4"]


def test_underscores_are_as_good_as_hyphens() -> None:
    """In flags with their value beside them or behind an equals sign; values are left alone."""
    settings = parse(["--clip_len_s=4", "--min_clip_length_s", "1", "--no_audio", "my_a.mp4"])
    assert (settings.clip_len_s, settings.min_clip_length_s) == (4, 1)
    assert settings.audio == "none"
    assert settings.input == ["my_a.mp4"]


@pytest.mark.parametrize(
    ("flags", "audio"),
    [
        (["--audio"], "auto"),
        (["--audio", "--verbose"], "auto"),
        (["--no-audio"], "none"),
        (["--audio", "aac", "a.mp4"], "aac"),
        (["--audio", "a.mp4"], "auto"),
        (["--audio", "true", "a.mp4"], "auto"),
        (["--audio=false"], "none"),
        (["--audio=none"], "none"),
        ([], "auto"),
    ],
)
def test_sound_is_still_yes_or_no_as_well(flags: list[str], audio: str) -> None:
    """As flags, and as saved environments and deployments have it."""
    assert parse(flags).audio == audio


@pytest.mark.parametrize(
    ("value", "audio"),
    [(True, "auto"), (False, "none"), ("true", "auto"), ("0", "none"), ("aac", "aac")],
)
def test_sound_of_saved_settings(
    value: object, audio: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a flow's parameters and in the environment."""
    assert Recipe.model_validate({"audio": value}).audio == audio
    monkeypatch.setenv("CLIPPING_AUDIO", str(value))
    assert parse([]).audio == audio


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("10", 10), ("10s", 10), ("0.5", 0.5), ("1500ms", 1.5), ("1.5m", 90), ("1h", 3600),
     ("00:00:10", 10), ("1:30", 90), ("01:02:03.04", 3723.04), (" 4.2 s ", 4.2)],
)  # fmt: skip
def test_times_as_people_write_them(text: str, seconds: float) -> None:
    """The same number that was typed: 4.2 s is 4.2, whose digits count."""
    assert parse(["--clip-len-s", text, "--clip-stride-s", "60s"]).clip_len_s == seconds
    assert Recipe.model_validate({"clip_len_s": text, "clip_stride_s": "60"}).clip_len_s == seconds


def test_lengths_in_frames() -> None:
    """As the settings that are made for them; both, or the length alone."""
    settings = parse(["--clip-len-s", "81f", "--clip-stride-s=40 frames"])
    assert (settings.frames, settings.frame_stride, settings.clip_len_s) == (81, 40, 10)
    settings = parse(["--clip-len-s", "81F", "--clip-stride-s", "3s"])
    assert (settings.frames, settings.frame_stride, settings.clip_stride_s) == (81, 0, 3)


@pytest.mark.parametrize("text", ["10x", "1:60", "1:2:3:4", "s", ""])
def test_what_is_no_time_is_told(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With the flag."""
    assert main(["--clip-len-s", text]) == 2
    assert capsys.readouterr().err.startswith("clip-videos: --clip-len-s: ")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--clip-stride-s", "9f"], "--clip-stride-s needs frames"),
        (["--node-wait-s", "9f"], "--node-wait-s: give seconds (10, 10s, 00:00:10); of frames"),
        (["--clip-len-s", "0f", "--clip-stride-s", "5f"], "needs frames"),
    ],
)
def test_frames_where_there_are_none_are_told(
    flags: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the flag that they stand in."""
    assert main(flags) == 2
    assert words in capsys.readouterr().err


def test_help_is_short_unless_all_is_asked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The flags used most, with examples; as wide as the terminal, but for a command."""
    texts: dict[int, str] = {}
    for width in (60, 80, 100):
        monkeypatch.setenv("COLUMNS", str(width))
        with pytest.raises(SystemExit) as ended:
            main(["--help"])
        assert not ended.value.code
        texts[width] = capsys.readouterr().out
        prose = [line for line in texts[width].splitlines() if not line.startswith("  clip-videos")]
        assert max(map(len, prose)) <= width
    assert "clip-videos VIDEOS/ -o clips/" in texts[80]
    assert "--clip-len-s" in texts[80]
    assert "--stall-timeout-s" not in texts[80]
    assert texts[80].count("\n") < 60


def test_settings_from_a_file(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The flag wins over the file, the file over the environment."""
    Path("clip.toml").write_text(
        'input = ["a.mp4"]\nclip-stride-s = "00:00:05"\n'
        '[recipe]\nclip_len_s = 4\npreset = "slow"\n[execution]\nretries = 7\n'
    )
    monkeypatch.setenv("CLIPPING_CLIP_LEN_S", "3")
    monkeypatch.setenv("CLIPPING_CRASH_RETRIES", "1")
    settings = parse(["--config", "clip.toml", "--preset", "fast"])
    assert (settings.input, settings.clip_stride_s, settings.clip_len_s) == (["a.mp4"], 5, 4)
    assert (settings.preset, settings.retries, settings.crash_retries) == ("fast", 7, 1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("clip_len = 4", "clip.toml: there is no setting clip_len; did you mean clip_len_s?"),
        ("[recipe]\nretries = 4", "clip.toml: there is no setting [recipe] retries"),
        ("[speed]\nretries = 4", "clip.toml: there is no table [speed]"),
        ("clip_len_s = 4\n[recipe]\nclip_len_s = 5", "clip_len_s stands there twice"),
        ("clip_len_s = ", "clip.toml: it is not TOML: "),
        ("clip_len_s = -4", "clip.toml: clip_len_s: input should be greater than or equal"),
        ("encoder = 'x'", "clip.toml: encoder: choose one of"),
    ],
)
def test_a_mistake_in_the_file_is_told(
    text: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the file and the setting."""
    Path("clip.toml").write_text(text)
    assert main(["--config", "clip.toml"]) == 2
    printed = capsys.readouterr()
    assert words in printed.err
    assert printed.err.count("\n") == 1


def test_a_file_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    """Is told, like any other path."""
    assert main(["--config", "none.toml"]) == 2
    assert "--config none.toml: No such file or directory" in capsys.readouterr().err


def test_an_error_names_where_a_setting_came_from(
    elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The line of the .env file, too."""
    (elsewhere / ".env").write_text("CLIPPING_RETRIES=-1\n")
    assert main(["--clip-len-s", "2"]) == 2
    assert "clip-videos: .env: CLIPPING_RETRIES: input should be" in capsys.readouterr().err


@pytest.mark.parametrize("dry", [["--dry-run"], []])
def test_what_cannot_work_is_told_before_anything_starts(
    dry: list[str], elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No ffmpeg; a folder that cannot be: also in a dry run, which writes nothing."""
    (elsewhere / "a.mp4").write_bytes(b"x")
    (elsewhere / "file").write_text("x")
    other = elsewhere / "ffmpeg"
    other.write_text(
        "#!/bin/sh\n[ $# = 1 ] && echo ffmpeg version 7.0 && exit\n"
        "echo \"[error] Unknown encoder 'libx264'\" >&2; exit 8\n"
    )
    other.chmod(0o755)
    for flags, words in (
        (["--ffmpeg-binary", "/no/ffmpeg"], "/no/ffmpeg"),
        (["--ffmpeg-binary", str(other)], f"libx264 does not work with {other}: encoder not"),
        (["--output", "file/out"], "file/out"),
        (["--scratch-dir", "file/scratch"], "file is not a folder"),
    ):
        assert main(["a.mp4", *flags, *dry]) != 0
        assert words in capsys.readouterr().err, flags
