"""The videos that are clipped: made once, by ffmpeg, from pictures that move."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import imageio_ffmpeg

__all__ = ["VIDEOS", "Video", "made"]

FFMPEG: str = imageio_ffmpeg.get_ffmpeg_exe()


@dataclass(frozen=True)
class Video:
    """A video to make: seconds, frames a GOP, and what makes it unlike the others.

    times: how often it is repeated in its file; files: how many copies of the file.
    """

    name: str
    size: str
    seconds: int
    gop: int
    codec: tuple[str, ...] = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "20")
    times: int = 1
    files: int = 1

    @property
    def length(self) -> int:
        """Seconds of each file."""
        return self.seconds * self.times

    def command(self, path: Path) -> list[str]:
        """Zooming fractals over noise, 24 frames/s, with a tone."""
        width, _, height = self.size.partition("x")
        picture = (
            f"mandelbrot=s={self.size}:r=24:end_scale=0.02:end_pts={self.seconds * 24},"
            f"noise=alls=6:allf=t,drawgrid=w={int(width) // 8}:h={int(height) // 8}:c=white@0.2"
        )
        return [
            *[FFMPEG, "-hide_banner", "-loglevel", "error", "-y", "-f", "lavfi", "-i", picture],
            *["-f", "lavfi", "-i", "sine=f=330:r=48000", "-t", str(self.seconds)],
            *[*self.codec, "-g", str(self.gop), "-keyint_min", str(self.gop)],
            *["-pix_fmt", "yuv420p", "-c:a", "aac", "-b:a", "96k", str(path)],
        ]


_X264 = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "20", "-sc_threshold", "0")
_HEVC10 = ("-c:v", "libx265", "-preset", "fast", "-crf", "22", "-x265-params", "log-level=error")

VIDEOS = {
    "720p, GOP 2 s": Video("720p_web.mp4", "1280x720", 40, 48, _X264),
    "720p, one GOP": Video("720p_long.mp4", "1280x720", 40, 960, _X264),
    "720p, GOP 0.5 s": Video("720p_short.mp4", "1280x720", 40, 12, _X264),
    "1080p, GOP 2 s": Video("1080p_web.mp4", "1920x1080", 40, 48, _X264),
    "1080p HEVC 10 bit": Video("1080p_hevc10.mp4", "1920x1080", 20, 48, _HEVC10),
    "10 min of 720p": Video("10min.mp4", "1280x720", 40, 48, _X264, times=15),
    "200 files of 5 s": Video("5s.mp4", "640x360", 5, 48, _X264, files=200),
}


def made(video: Video, folder: Path) -> list[Path]:
    """The video's files in `folder`; they are made if they are not there."""
    path = folder / video.name
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / f"partial-{video.name}"
        command = video.command(partial)
        if "hevc" in video.name:
            command[command.index("yuv420p")] = "yuv420p10le"
        subprocess.run(command, check=True)
        if video.times > 1:
            _repeat(partial, video.times)
        partial.rename(path)
    if video.files == 1:
        return [path]
    many = folder / f"{path.stem}_{video.files}"
    many.mkdir(exist_ok=True)
    copies = [many / f"{i:04d}.mp4" for i in range(video.files)]
    for copy in copies:
        if not copy.exists():
            copy.hardlink_to(path)
    return copies


def _repeat(path: Path, times: int) -> None:
    """The same packets again and again, in one file."""
    longer = path.with_name(f"longer-{path.name}")
    subprocess.run(
        [
            *[FFMPEG, "-hide_banner", "-loglevel", "error", "-y"],
            *["-stream_loop", str(times - 1), "-i", str(path), "-c", "copy", str(longer)],
        ],
        check=True,
    )
    longer.replace(path)
