"""Every real and damaged video gives what its manifest expects; none crashes or hangs.

The folder lies beside the project where it is developed; CLIPPING_TEST_MEDIA names another.
"""

from __future__ import annotations

import csv
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from clipping.config.execution import Execution
from clipping.config.recipe import Recipe
from clipping.config.run_config import RunConfig
from clipping.errors import FailureKind
from clipping.models import ChunkRecord, ClipStatus, ProbedSource, SourceFile
from clipping.run.chunk import make_chunk, plan_chunks, probe_file
from clipping.storage.outputs import open_output

pytestmark = pytest.mark.corpus

RECIPE = Recipe(
    clip_len_s=2, clip_stride_s=1.5, min_clip_length_s=0, preset="ultrafast", max_damage=1
)
EXECUTION = Execution(verify="decode", stall_timeout_s=60)
LECTURE = "lecture_122s_1080p30.mp4"

# Where the manifest says less, or something else, than what the files turned out to hold.
NO_DECODER_EXPECTED = "clear error: no decoder for this codec"  # ffmpeg 9 decodes VVC


def rows(corpus: Path) -> list[dict[str, str]]:
    """The manifest's rows."""
    with open(corpus / "MANIFEST.tsv", encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))


def clip(
    corpus: Path, name: str, out: Path, recipe: Recipe = RECIPE, cpus: int = 1
) -> tuple[ProbedSource, list[ChunkRecord]]:
    """Probe and make all clips of one file."""
    path = corpus / name.replace("\\\\", "\\")
    file = SourceFile(
        key=name, uri=str(path), size=path.stat().st_size,
        fingerprint=f"{path.stat().st_size}-{path.stat().st_mtime_ns}",
    )  # fmt: skip
    probed = probe_file(file, EXECUTION)
    output = open_output(str(out))
    chunks = plan_chunks(probed, recipe, 64)
    config = RunConfig(recipe, EXECUTION)
    return probed, [make_chunk(c, config, output, cpus=cpus) for c in chunks]


def complaints(row: dict[str, str], probed: ProbedSource, chunks: list[ChunkRecord]) -> list[str]:
    """What is not as the manifest expects."""
    expected = row["expected"]
    clips = [c for chunk in chunks for c in chunk.clips]
    written = [c for c in clips if c.status is ClipStatus.WRITTEN]
    failed = [c for c in clips if c.status is ClipStatus.FAILED]
    found: list[str] = []
    noted = any(c.errors for c in clips) or (probed.source and probed.source.warnings)
    told = probed.failure or failed or noted
    if expected.startswith("clear error") and not expected.startswith(NO_DECODER_EXPECTED):
        # What a decoder finds nothing wrong with cannot be told; the video's other clips are.
        garbage = [] if any(c.errors for c in clips) else written
        if not told:
            found.append("nothing was told")
        if garbage and "damaged frame" not in expected and "1-frame" not in expected:
            found.append(f"{len(garbage)} clips of garbage, silently")
    elif expected.startswith("clips") and "or clear error" not in expected:
        if not written and "or skipped" not in expected:
            found.append(f"no clip: {probed.failure or failed[:1]}")
        if "damage" not in expected and "readable" not in expected and failed:
            found.append(f"failed: {failed[0].errors}")
        if "damage reported" in expected and not any(c.errors for c in clips):
            found.append("damage is not reported")
    if probed.failure and probed.failure.kind is FailureKind.UNKNOWN:
        found.append(f"not classified: {probed.failure.message}")
    if probed.failure and ("\n" in probed.failure.message or len(probed.failure.message) > 500):
        found.append(f"not a short line: {probed.failure.message}")
    counted = row["nb_frames_decoded"]
    sound = not any(c.errors for c in clips) and not expected.startswith("clear error")
    if probed.source and sound and counted.isdigit() and int(row["decode_error_lines"] or 0) == 0:
        frames = probed.source.video.frame_count
        repeated = row["VFR"].startswith("yes 0.0..")  # two frames with one timestamp
        if frames != int(counted) and not repeated:
            found.append(f"{frames} frames, the manifest counts {counted}")
    return found


def test_the_whole_corpus(corpus: Path, tmp_path: Path) -> None:
    """One test, so that no file is left out: the list of what is not as expected is empty."""
    every = rows(corpus)
    assert len(every) >= 150
    every = [row for row in every if row["file"] != LECTURE]  # the longest has tests of its own
    # The longest first, so that no CPU waits for one at the end.
    every.sort(key=lambda row: int("0" + row["nb_frames_decoded"].strip("-")), reverse=True)
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        results = pool.map(lambda row: clip(corpus, row["file"], tmp_path / "out"), every)
        found = {
            row["file"]: complaints(row, probed, chunks)
            for row, (probed, chunks) in zip(every, results, strict=True)
        }
    assert not {name: what for name, what in found.items() if what}


@pytest.mark.parametrize(("stride", "count"), [(5, 25), (10, 13)])
def test_the_lecture(corpus: Path, tmp_path: Path, stride: float, count: int) -> None:
    """A real talk at 30 frames/s: as its manifest expects, and the frames per clip exactly."""
    [row] = [row for row in rows(corpus) if row["file"] == LECTURE]
    recipe = Recipe(clip_len_s=10, clip_stride_s=stride, min_clip_length_s=2, preset="ultrafast")
    probed, made = clip(corpus, LECTURE, tmp_path / "out", recipe, cpus=2)
    assert complaints(row, probed, made) == []
    clips = [c for record in made for c in record.clips]
    # 3678 frames: the last clip at 10 s starts with frame 3600, the last at 5 s too.
    expected = [300] * (12 if stride == 10 else 23) + ([78] if stride == 10 else [228, 78])
    assert len(clips) == count
    assert [c.frames for c in clips] == expected
