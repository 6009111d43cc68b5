"""What only a machine with an NVIDIA GPU can show: decoding there, and what its encoder says."""

from __future__ import annotations

import ctypes
from fractions import Fraction
from pathlib import Path

import pytest

from clipping.config.execution import Execution
from clipping.config.recipe import Recipe
from clipping.errors import FailureKind, FfmpegError
from clipping.ffmpeg import process
from clipping.ffmpeg.commands import encoder_trial_command, input_url
from clipping.ffmpeg.encoders import ENCODERS, Rate
from clipping.media.method import Job
from clipping.media.methods.encode_once import EncodeOnce
from clipping.media.transcode import transcode
from clipping.models import ClipRecord, ClipStatus, SourceFile
from clipping.run.chunk import plan_chunks, probe_file
from clipping.storage.source import Reading
from tests.media.conftest import Make
from tests.support.media import FFMPEG, counter_video, read_numbers, steady
from tests.support.media import ffmpeg as run_ffmpeg

pytestmark = pytest.mark.gpu


@pytest.fixture(autouse=True)
def gpu() -> None:
    """Skip where no NVIDIA driver finds a device."""
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError:
        pytest.skip("there is no NVIDIA driver (libcuda.so.1) on this machine")
    if cuda.cuInit(0):
        pytest.skip("the NVIDIA driver finds no device")


def nvenc_kind(name: str = "h264_nvenc") -> FailureKind | None:
    """How a test encode with NVENC ends here; None if it works."""
    command = encoder_trial_command(FFMPEG, ENCODERS[name], Rate(quality=23))
    try:
        process.run(command, what="a test encode")
    except FfmpegError as error:
        print(error)
        return error.kind
    return None


@pytest.mark.parametrize(
    "options",
    [
        ["-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p"],
        ["-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p10le", "-tag:v", "hvc1"],
    ],
    ids=["h264", "hevc-10-bit"],
)
def test_the_gpu_decodes_the_same_frames(tmp_path: Path, options: list[str]) -> None:
    """Frames that stay on the GPU until they are converted, encoded in software for the trial."""
    rate = Fraction(30_000, 1001)
    counter_video(tmp_path / "numbers.mp4", *steady(150, rate), size=(320, 192))
    path = tmp_path / "in.mp4"
    run_ffmpeg("-i", tmp_path / "numbers.mp4", *options, "-fps_mode", "passthrough", path)
    file = SourceFile(key="in.mp4", uri=str(path), size=1, fingerprint="x")
    recipe = Recipe(clip_len_s=1, clip_stride_s=0.5, preset="ultrafast")
    (chunk,) = plan_chunks(probe_file(file, Execution()), recipe, 100)
    notes: list[str] = []
    job = Job(
        recipe=recipe, execution=Execution(), reading=Reading(file, input_url(file.uri)),
        binary=FFMPEG, scratch=tmp_path, encoder=ENCODERS["libx264"], use_hwaccel=True,
        note=notes.append,
    )  # fmt: skip

    def publish(draft: ClipRecord, made: Path, _preview: Path | None) -> ClipRecord:
        shown = [n for _, n in read_numbers(made)]
        assert shown == list(range(draft.clip.start_frame, draft.clip.end_frame))
        return draft

    records = list(transcode(chunk, chunk.clips, EncodeOnce(chunk, job), job, publish))
    assert {r.status for r in records} == {ClipStatus.WRITTEN}
    assert {r.decoder for r in records} == {"cuda"}, notes


def test_a_gpu_without_an_encoder_says_so() -> None:
    """NVENC works, or the reason is one that sends chunks elsewhere."""
    kind = nvenc_kind()
    assert kind is None or kind.is_nodes_own, kind


@pytest.mark.parametrize("name", [row.name for row in ENCODERS.values() if row.on_gpu])
@pytest.mark.parametrize("recipe", [{}, {"use_input_bit_rate": True}, {"fps": "12"}])
def test_nvenc_makes_exact_clips(
    make: Make, tmp_path: Path, name: str, recipe: dict[str, object]
) -> None:
    """A forced keyframe is an IDR picture, and no GOP is open."""
    kind = nvenc_kind(name)
    if kind is not None:
        pytest.skip(f"this GPU does not encode: {kind.value}")
    counter_video(tmp_path / "in.mp4", *steady(200, 25), size=(320, 192))
    made = make(tmp_path / "in.mp4", encoder=name, clip_len_s=1, clip_stride_s=0.5, **recipe)
    assert {c.status for c in made.clips} == {ClipStatus.WRITTEN}
    for record in made.clips:
        shown = [n for _, n in read_numbers(Path(record.location or ""))]
        numbers = range(record.clip.start_frame, record.clip.end_frame)
        assert shown == ([k * 25 // 12 for k in numbers] if "fps" in recipe else list(numbers))
