"""PySceneDetect's own way to cut a video, on spans that are given."""

import json
import sys
from pathlib import Path


def main() -> None:
    """Do what the JSON on the command line says."""
    from scenedetect import FrameTimecode, open_video, split_video_ffmpeg

    options = json.loads(sys.argv[1])
    rate = open_video(options["video"]).frame_rate
    spans = [(FrameTimecode(a, rate), FrameTimecode(b, rate)) for a, b in options["spans"]]
    status = split_video_ffmpeg(
        options["video"], spans, output_dir=Path(options["output"]),
        arg_override=options["arguments"],
    )  # fmt: skip
    raise SystemExit(status)


if __name__ == "__main__":
    main()
