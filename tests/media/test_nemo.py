"""NeMo Curator's own stages go on from our output; its writer's records say what ours say.

Left out unless it is asked for by its mark, since that installs NeMo Curator:

    uv run pytest -n0 -m nemo tests/media/test_nemo.py
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from benchmarks.others import NEMO
from tests.support.command_line import command
from tests.support.media import ffmpeg

ROOT = Path(__file__).parent.parent.parent
# Where it lies, and what its own later stages have not done here either.
THEIR_OWN = {"clip_location", "valid", "motion_score"}

pytestmark = [pytest.mark.nemo, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def output(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips of two videos, one with sound in a folder of its own, in several chunks."""
    if "nemo" not in str(request.config.option.markexpr):
        pytest.skip("installs NeMo Curator: asked for by -m nemo")
    NEMO.install()
    folder = tmp_path_factory.mktemp("nemo")
    videos = folder / "videos"
    (videos / "sub").mkdir(parents=True)
    picture = "testsrc2=s=640x360:r={}:d=10"
    quick = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
    ffmpeg("-f", "lavfi", "-i", picture.format(30), *quick, videos / "silent.mp4")
    ffmpeg(
        *["-f", "lavfi", "-i", picture.format(25), "-f", "lavfi", "-i", "sine=r=48000:d=10"],
        *[*quick, "-c:a", "aac", videos / "sub" / "tone.mp4"],
    )
    flags = "--clip-len-s 2 --clip-stride-s 2 --min-clip-length-s 2 --num-clips-per-chunk 2"
    run = command("--input", videos, "--output", folder / "out", *flags.split())
    subprocess.run(run, check=True, cwd=folder)
    return folder / "out"


@pytest.fixture(scope="module")
def seen(output: Path) -> dict[str, Any]:
    """What its stages said, with what its writer wrote in `again` beside the output."""
    options = {
        "output": output,
        "input": output.parent / "videos",
        "again": output.parent / "again",
    }
    given = json.dumps({name: str(path) for name, path in options.items()})
    done = subprocess.run(
        [NEMO.python, "-m", "benchmarks.nemo_next", given],
        cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


def rows(output: Path) -> list[dict[str, Any]]:
    """The manifest."""
    return pq.read_table(output / "manifest.parquet").to_pylist()


def test_its_reader_takes_our_clips_for_what_they_are(
    output: Path, seen: Mapping[str, Any]
) -> None:
    """Size, rate, number of frames, duration and codecs, as the manifest has them."""
    found = {Path(path).stem: facts for path, facts in seen["read"].items()}
    assert found.keys() == {row["clip"] for row in rows(output)}
    assert len(found) == 10
    for row in rows(output):
        facts = found[row["clip"]]
        exact = {
            "size": "bytes", "width": "width", "height": "height", "num_frames": "frames",
            "framerate": "fps", "video_codec": "video_codec", "audio_codec": "audio_codec",
        }  # fmt: skip
        assert {k: facts[k] for k in exact} == {k: row[v] for k, v in exact.items()}
        assert facts["duration"] == pytest.approx(row["duration_s"], abs=1e-6)
        assert facts["pixel_format"] == "yuv420p"


def test_its_stages_decode_our_clips(output: Path, seen: Mapping[str, Any]) -> None:
    """Frames at 0, 0.5, 1, 1.5 and 2 s, without an error; motion, where torch is installed."""
    assert seen["clips"].keys() == {row["clip"] for row in rows(output)}
    for clip in seen["clips"].values():
        assert (clip["frames"], clip["errors"]) == ([5], {})
        assert clip["motion"] is None or clip["motion"] > 0


def test_its_writer_writes_what_our_records_say(output: Path, seen: Mapping[str, Any]) -> None:
    """The same files, and in each the same keys, types and values, beside ours."""
    assert seen
    again = output.parent / "again"
    names = {path.relative_to(again) for path in again.rglob("*") if path.is_file()}
    folders = ("clips", "metas", "processed_videos", "processed_clip_chunks")
    ours = {p.relative_to(output) for f in folders for p in (output / f).rglob("*") if p.is_file()}
    assert names == ours
    assert len([name for name in names if name.parts[0] == "processed_clip_chunks"]) == 6
    for name in sorted(names):
        if name.suffix == ".mp4":
            assert (again / name).read_bytes() == (output / name).read_bytes()
            continue
        theirs = json.loads((again / name).read_text())
        mine = json.loads((output / name).read_text())
        for key in theirs.keys() - THEIR_OWN:
            assert type(mine[key]) is type(theirs[key]), f"{name}: {key}"
            told = theirs[key]
            wanted = pytest.approx(told, rel=1e-9) if isinstance(told, float) else told
            assert mine[key] == wanted, f"{name}: {key}"
