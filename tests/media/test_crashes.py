"""A source that crashes what reads it fails alone, with the reason, wherever it is read."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from clipping.config.execution import Execution
from clipping.config.recipe import Recipe
from clipping.config.run_config import RunConfig
from clipping.errors import FailureKind, SourceError
from clipping.media import stream_reader
from clipping.models import ProbedSource
from clipping.run.chunk import probe_file
from clipping.run.dry_run import describe
from clipping.storage.discover import find_sources
from tests.media.conftest import Make
from tests.support.media import add_sound, counter_video, noise, steady

# `read_streams` in front of a library that some files crash, and that others hold up.
FRAGILE = """
import os, runpy, sys, time, types
program = runpy.run_path({program!r})
work = program["_WORK"]
def fragile(name):
    real = work[name]
    def look(asked):
        if asked["work"] in asked["url"]:
            print('{{"done": {{"half', end="", flush=True)
            os.kill(os.getpid(), {signal})
        return real(asked)
    return look
for name in list(work):
    work[name] = fragile(name)
program["main"]()
"""


@pytest.fixture
def fragile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> int:
    """Files with "look" in their name crash what opens them, those with "sound" what cuts sound."""
    number = getattr(request, "param", signal.SIGSEGV)
    program = tmp_path / "fragile.py"
    text = FRAGILE.format(program=str(stream_reader._PROGRAM), signal=int(number))
    program.write_text(text)
    monkeypatch.setattr(stream_reader, "_PROGRAM", program)
    return number


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """A folder with a video that can be read."""
    folder = tmp_path / "videos"
    folder.mkdir()
    counter_video(folder / "good.mp4", *steady(50, 25))
    return folder


def probed(path: Path) -> ProbedSource:
    [file] = find_sources([str(path)], [".mp4"]).sources
    return probe_file(file, Execution())


@pytest.mark.parametrize(
    "fragile",
    [signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL],
    indirect=True,
)
def test_a_crash_is_the_files_own(fragile: int, video: Path) -> None:
    """It names the file and the signal, and is not tried again; other files are read."""
    shutil.copy(video / "good.mp4", video / "look.mp4")
    failure = probed(video / "look.mp4").failure
    assert failure is not None
    assert failure.kind is FailureKind.CRASHED
    assert not failure.kind.is_transient
    assert failure.kind.is_clips_own
    assert failure.message.startswith("look.mp4: the library that reads it")
    assert signal.Signals(fragile).name in failure.message
    assert probed(video / "good.mp4").failure is None


@pytest.mark.parametrize("fragile", [signal.SIGKILL], indirect=True)
def test_what_is_killed_from_outside_may_pass(fragile: int, video: Path) -> None:
    """The kernel kills for memory: that is no verdict on the file."""
    shutil.copy(video / "good.mp4", video / "look.mp4")
    with pytest.raises(SourceError) as caught:
        probed(video / "look.mp4")
    assert caught.value.kind is FailureKind.KILLED
    assert fragile == signal.SIGKILL


@pytest.mark.usefixtures("fragile")
def test_a_dry_run_goes_on(video: Path, tmp_path: Path) -> None:
    """It names the file that crashed beside those that are fine."""
    for name in ("look-1.mp4", "look-2.mp4", "also good.mp4"):
        shutil.copy(video / "good.mp4", video / name)
    config = RunConfig(
        Recipe(clip_len_s=1, clip_stride_s=1), Execution(), (str(video),), str(tmp_path / "out")
    )
    lines = describe(config)
    assert lines[0] == "4 videos found"
    assert "  2 cannot be clipped:" in lines
    assert sum("crashed on it (SIGSEGV)" in line for line in lines) == 2
    assert any(line.startswith("4 clips, 0 of them there already") for line in lines)


@pytest.mark.usefixtures("fragile")
def test_a_crash_over_sound_leaves_the_pictures(make: Make, video: Path) -> None:
    """The clips are written without it, and say why."""
    add_sound(video / "good.mp4", noise(2), video / "sound.mp4", "-c:a", "aac")
    made = make(video / "sound.mp4", clip_len_s=1, clip_stride_s=1)
    assert [c.status.value for c in made.clips] == ["written", "written"]
    assert all(c.audio is None for c in made.clips)
    assert all("without sound" in e and "SIGSEGV" in e for c in made.clips for e in c.errors)
    assert all(c.errors for c in made.clips)


def reading_programs() -> list[psutil.Process]:
    """The programs that this process keeps to read sources."""
    name = stream_reader._PROGRAM.name
    return [p for p in psutil.Process().children() if any(name in w for w in p.cmdline())]


def test_one_program_reads_many_files(video: Path) -> None:
    """It is started once, and once more if somebody ends it."""
    for _ in range(5):
        assert probed(video / "good.mp4").failure is None
    programs = reading_programs()
    assert programs
    for program in programs:
        program.kill()
        program.wait()
    assert probed(video / "good.mp4").failure is None
    assert not set(programs) & set(reading_programs())


def test_threads_do_not_get_each_others_answers(video: Path) -> None:
    """Each is told of its own file."""
    for frames in range(26, 34):
        counter_video(video / f"{frames}.mp4", *steady(frames, 25))

    def frames_of(number: int) -> int:
        source = probed(video / f"{number}.mp4").source
        return source.video.frame_count if source else 0

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(frames_of, [*range(26, 34)] * 4))
    assert found == [*range(26, 34)] * 4


# Opens a source that never ends: a pipe that nobody writes into.
ENDLESS = """
import sys
from clipping.media import stream_reader
from clipping.models import SourceFile
from clipping.storage.source import Reading
file = SourceFile(key="x", uri=sys.argv[1], size=1, fingerprint="")
stream_reader.look(Reading(file, f"file:{sys.argv[1]}"))
"""


def test_no_process_outlives_the_one_that_asked(tmp_path: Path) -> None:
    """Not even when that is killed in the middle."""
    pipe = tmp_path / "endless.mp4"
    os.mkfifo(pipe)
    asking = psutil.Popen([sys.executable, "-c", ENDLESS, str(pipe)])
    family: list[psutil.Process] = []
    for _ in range(200):
        time.sleep(0.1)
        family = asking.children(recursive=True)
        if len(family) == 2:  # the program, and what it forked
            break
    assert len(family) == 2
    asking.kill()
    asking.wait()
    gone, alive = psutil.wait_procs(family, timeout=10)
    assert len(gone) == len(family), alive


def test_an_ffmpeg_that_crashes_is_told_with_its_signal(video: Path, tmp_path: Path) -> None:
    """The trial decode's crash is the file's own failure too."""
    fake = tmp_path / "ffmpeg"
    fake.write_text("#!/bin/sh\nkill -SEGV $$\n")
    fake.chmod(0o755)
    [file] = find_sources([str(video / "good.mp4")], [".mp4"]).sources
    failure = probe_file(file, Execution(ffmpeg_binary=str(fake))).failure
    assert failure is not None
    assert failure.kind is FailureKind.CRASHED
    assert "SIGSEGV" in failure.message
