"""Which ffmpeg is run, and its version."""

from __future__ import annotations

from functools import cache

import imageio_ffmpeg

from clipping.ffmpeg import process

__all__ = ["ffmpeg_path", "ffmpeg_version"]


def ffmpeg_path(chosen: str = "") -> str:
    """The ffmpeg to run on this node: the one chosen, or the one that comes with the package."""
    return chosen or imageio_ffmpeg.get_ffmpeg_exe()


@cache
def ffmpeg_version(binary: str) -> str:
    """The version an ffmpeg says it is. Raises FfmpegError if it does not run."""
    lines: list[str] = []
    process.run(
        [binary, "-version"],
        what="asking ffmpeg for its version",
        on_out=lines.append,
    )
    return lines[0].split(" ")[2] if lines and lines[0].startswith("ffmpeg version") else "unknown"
