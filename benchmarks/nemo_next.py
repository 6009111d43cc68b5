"""NeMo Curator's next stages on our output; run by the Python of its own environment.

What its pipeline holds in memory after its own transcoding stage is built from our records: a task
for each chunk, with the clips' bytes. Its stages then go on, and its writer writes what it writes.
With torch in the environment its motion filter scores them too.

    python -m benchmarks.nemo_next '{"output": "clips", "input": "videos", "again": "elsewhere"}'
"""

import importlib.util
import json
import os
import shutil
import sys
import tempfile
import uuid
from pathlib import Path

from benchmarks.nemo import stand_in_for_ffprobe

os.environ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] = "0"


def main() -> None:
    """Do what the JSON on the command line says; print what was seen as JSON."""
    options = json.loads(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        if shutil.which("ffprobe") is None:
            stand_in_for_ffprobe(Path(folder))
        seen = {"read": _read(options["output"]), "clips": _stages(options)}
    print(json.dumps(seen))


def _read(output):
    """Its reader over the folder of clips: what it takes each file to be."""
    from dataclasses import asdict

    from nemo_curator.stages.video.io.video_reader import VideoReader
    from nemo_curator.tasks import EmptyTask

    reader = VideoReader(input_video_path=str(Path(output) / "clips"))
    tasks = [EmptyTask]
    for stage in reader.decompose():
        stage.setup()
        done = [stage.process(task) for task in tasks]
        tasks = [t for each in done for t in (each if isinstance(each, list) else [each])]
    return {task.data.input_path: asdict(task.data.metadata) for task in tasks}


def _stages(options):
    """Its stages on clips, from our records to its own."""
    from nemo_curator.stages.video.clipping.clip_frame_extraction import ClipFrameExtractionStage
    from nemo_curator.stages.video.io.clip_writer import ClipWriterStage

    stages = [ClipFrameExtractionStage(num_cpus=1, target_fps=[2])]
    if importlib.util.find_spec("torch"):
        from nemo_curator.stages.video.filtering.motion_filter import (
            MotionFilterStage,
            MotionVectorDecodeStage,
        )

        stages += [
            MotionVectorDecodeStage(num_cpus_per_worker=1),
            MotionFilterStage(score_only=True),
        ]
    writer = ClipWriterStage(
        output_path=options["again"],
        input_path=options["input"],
        upload_clips=True,
        dry_run=False,
        generate_embeddings=False,
        generate_previews=False,
        generate_captions=False,
        caption_models=[],
        enhanced_caption_models=[],
    )
    seen = {}
    tasks = list(_tasks(Path(options["output"])))
    for stage in stages:
        stage.setup()
        tasks = [stage.process(task) for task in tasks]
    for task in tasks:
        for clip in [*task.data.clips, *task.data.filtered_clips]:
            frames = [len(f) for f in clip.extracted_frames.values()]
            motion = clip.motion_score_global_mean
            seen[str(clip.uuid)] = {"frames": frames, "motion": motion, "errors": clip.errors}
    writer.setup()
    for task in tasks:
        writer.process(task)
    return seen


def _tasks(output):
    """A task for each chunk, as its own pipeline has it before this point."""
    from nemo_curator.tasks.video import Clip, Video, VideoMetadata, VideoTask

    for path in sorted((output / "processed_videos").rglob("*.json")):
        record = json.loads(path.read_text())
        name = path.relative_to(output / "processed_videos").as_posix().removesuffix(".json")
        for index in range(record["num_clip_chunks"]):
            chunk_path = output / "processed_clip_chunks" / f"{name}_{index}.json"
            chunk = json.loads(chunk_path.read_text())
            metas = [
                json.loads((output / "metas" / "v0" / f"{clip}.json").read_text())
                for clip in chunk["clips"]
            ]
            metadata = VideoMetadata(
                height=record["height"],
                width=record["width"],
                framerate=record["framerate"],
                num_frames=record["num_frames"],
                duration=record["duration"],
                video_codec=record["video_codec"],
                pixel_format=record["pixel_format"],
                audio_codec=record["audio_format"],
            )
            clips = [
                Clip(
                    uuid=uuid.UUID(meta["span_uuid"]),
                    source_video=meta["source_video"],
                    span=tuple(meta["duration_span"]),
                    buffer=Path(meta["clip_location"]).read_bytes(),
                )
                for meta in metas
            ]
            video = Video(
                input_video=Path(record["video"]),
                metadata=metadata,
                clips=clips,
                num_total_clips=record["num_total_clips"],
                num_clip_chunks=record["num_clip_chunks"],
                clip_chunk_index=chunk["clip_chunk_index"],
            )
            yield VideoTask(task_id=f"{name}-{index}", dataset_name="ours", data=video)


if __name__ == "__main__":
    main()
