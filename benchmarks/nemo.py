"""NeMo Curator's own stages on one video; run by the Python of its own environment.

Its transcoding stage with libx264 asks for neither preset nor CRF: libx264's own medium, 23.
"""

import json
import os
import shlex
import shutil
import sys
import tempfile
from pathlib import Path

# Ray would have its workers started by the `uv run` that the benchmark was started with.
os.environ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] = "0"

# Its records lie in folders that are named as ours are: the judge must not meet them.
_WRITTEN = "written"


def main() -> None:
    """Do what the JSON on the command line says."""
    options = json.loads(sys.argv[1])
    output = Path(options["output"])
    with tempfile.TemporaryDirectory() as folder:
        if shutil.which("ffprobe") is None:
            stand_in_for_ffprobe(Path(folder))
        tasks = (_pipeline if options["pipeline"] else _in_process)(options)
    clips = sorted((clip for task in tasks for clip in task.data.clips), key=lambda c: c.span[0])
    for number, clip in enumerate(clips):
        assert not clip.errors, clip.errors
        written = output / _WRITTEN / "clips" / f"{clip.uuid}.mp4"
        written.rename(output / f"{number:05d}.mp4")


def _stages(options):
    from nemo_curator.stages.video.clipping.clip_extraction_stages import (
        ClipTranscodingStage,
        FixedStrideExtractorStage,
    )
    from nemo_curator.stages.video.io.clip_writer import ClipWriterStage
    from nemo_curator.stages.video.io.video_reader import VideoReaderStage

    return [
        VideoReaderStage(),
        FixedStrideExtractorStage(
            clip_len_s=options["length"],
            clip_stride_s=options["stride"],
            min_clip_length_s=min(2.0, options["length"]),
            limit_clips=0,
        ),
        ClipTranscodingStage(encoder=options["encoder"], num_cpus_per_worker=options["cpus"]),
        ClipWriterStage(
            output_path=str(Path(options["output"]) / _WRITTEN),
            input_path=str(Path(options["video"]).parent),
            upload_clips=True,
            dry_run=False,
            generate_embeddings=False,
            generate_previews=False,
            generate_captions=False,
        ),
    ]


def _first(options):
    from nemo_curator.tasks.file_group import FileGroupTask

    return [FileGroupTask(task_id="0", dataset_name="benchmark", data=[options["video"]])]


def _in_process(options):
    """One stage after the other, as its executors would call them."""
    tasks = _first(options)
    for stage in _stages(options):
        stage.setup()
        tasks = stage.process_batch(tasks)
    return tasks


def _pipeline(options):
    """Its pipeline with its default executor, which asks Ray's dashboard for its actors' states."""
    import ray
    from nemo_curator.backends.xenna import XennaExecutor
    from nemo_curator.pipeline import Pipeline

    # Room for the three stages that read and write: it refuses to start otherwise.
    ray.init(num_cpus=options["cpus"] + 3)
    executor = XennaExecutor({"cpu_allocation_percentage": 1.0})
    return Pipeline("benchmark", stages=_stages(options)).run(executor, _first(options))


def stand_in_for_ffprobe(folder: Path) -> None:
    """The bundled ffmpeg comes without ffprobe; a tenth of a second each, much as the real one.

    The reader asks it about the video, the writer about every clip.
    """
    script = folder / "ffprobe"
    script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m benchmarks.ffprobe "$@"\n')
    script.chmod(0o755)
    os.environ["PATH"] = f"{folder}:{os.environ['PATH']}"


if __name__ == "__main__":
    main()
