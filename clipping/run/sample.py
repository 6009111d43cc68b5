"""A short video to try the program on: ffmpeg's test picture with a running counter, and a tone."""

from __future__ import annotations

from pathlib import Path

from clipping.ffmpeg import process
from clipping.ffmpeg.binary import ffmpeg_path
from clipping.ffmpeg.encoders import DEFAULT

__all__ = ["make_sample"]

_SECONDS = 30


def make_sample(folder: Path, ffmpeg_binary: str = "") -> Path:
    """Make `folder/counter.mp4` unless it is there; its path. Raises FfmpegError."""
    path = folder / "counter.mp4"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / "counter.partial.mp4"
    command = [
        ffmpeg_path(ffmpeg_binary),
        *["-hide_banner", "-nostdin", "-y", "-loglevel", "error"],
        *[
            "-f",
            "lavfi",
            "-i",
            f"testsrc=size=640x360:rate=30:duration={_SECONDS}:decimals=2",
        ],
        *[
            "-f",
            "lavfi",
            "-i",
            f"sine=frequency=440:sample_rate=48000:duration={_SECONDS}",
        ],
        *["-c:v", DEFAULT.name, "-preset", "veryfast", "-pix_fmt", DEFAULT.pixel_format],
        *["-c:a", "aac", "-movflags", "+faststart", str(partial)],
    ]
    process.run(command, what="making a sample")
    partial.replace(path)
    return path
