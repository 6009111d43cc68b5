"""Videos with damage in known packets, and which of their frames look different for it."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import av
import av.error

from tests.support.media import ffmpeg

GOP = 12  # frames, and a second
GOPS = 8

_X264 = ["-c:v", "libx264", "-preset", "veryfast", "-x264-params"]
_X265 = ["-c:v", "libx265", "-preset", "veryfast", "-x265-params"]
_KEYS = f"keyint={GOP}:min-keyint={GOP}:scenecut=0"
# Name, ending and encoder options of videos of eight GOPs.
CODECS: dict[str, tuple[str, list[str]]] = {
    "h264": ("mp4", [*_X264, f"{_KEYS}:bframes=0"]),
    "h264-open-gop": ("mp4", [*_X264, f"{_KEYS}:bframes=3:open-gop=1"]),
    "h264-intra-refresh": ("mp4", [*_X264, f"{_KEYS}:bframes=0:intra-refresh=1"]),
    "h264-ts": ("ts", [*_X264, f"{_KEYS}:bframes=2"]),
    "hevc": ("mp4", [*_X265, f"{_KEYS}:open-gop=0:log-level=error", "-tag:v", "hvc1"]),
    "mpeg2": ("mpg", ["-c:v", "mpeg2video", "-q:v", "4", "-g", f"{GOP}", "-bf", "2"]),
    "av1": ("mp4", ["-c:v", "libsvtav1", "-preset", "12", "-crf", "30", "-g", f"{GOP}"]),
    "vp9": ("webm", ["-c:v", "libvpx-vp9", "-cpu-used", "8", "-g", f"{GOP}", "-b:v", "500k"]),
}


def gop_video(path: Path, codec: str) -> Path:
    """Write eight GOPs of a second each; the file."""
    ending, options = CODECS[codec]
    video = path / f"{codec}.{ending}"
    size, seconds = "size=192x128", f"duration={GOPS}"
    ffmpeg(
        *["-f", "lavfi", "-i", f"testsrc2={size}:rate={GOP}:{seconds},noise=alls=8:allf=t"],
        *["-sc_threshold", "1000000000"] * (codec == "mpeg2"),
        *["-pix_fmt", "yuv420p", *options, video],
    )
    return video


def packets(video: Path) -> list[Any]:
    """The packets of a video, in decoding order."""
    with av.open(str(video)) as container:
        return [p for p in container.demux(container.streams.video[0]) if p.size]


def flip_bits(video: Path, damage: Iterable[tuple[int, int, int]], flips: int = 40) -> Path:
    """A copy with bits flipped in packets, each named by its GOP, its place in that, and a seed."""
    data, found = bytearray(video.read_bytes()), packets(video)
    keys = [i for i, p in enumerate(found) if p.is_keyframe]
    for gop, place, seed in damage:
        packet = found[keys[gop] + place]
        rng = random.Random(f"{gop} {place} {seed}")
        first, size = packet.pos, packet.size
        if video.suffix in (".mpg", ".ts"):  # cut into the container's own packets
            first, size = first + 188, min(size, 1_500)
        for _ in range(flips):
            data[first + rng.randrange(min(6, size // 2), size)] ^= 1 << rng.randrange(8)
    copy = video.with_name(f"flipped-{video.name}")
    copy.write_bytes(data)
    return copy


def pictures(video: Path) -> dict[int, str]:
    """PTS of every frame to a digest of its pixels."""
    found: dict[int, str] = {}
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        stream.codec_context.flags |= 1 << 3  # AV_CODEC_FLAG_OUTPUT_CORRUPT, as ffmpeg does
        for packet in container.demux(stream):
            try:
                frames = packet.decode()
            except av.error.FFmpegError:
                continue
            for frame in frames:
                assert frame.pts is not None
                found[frame.pts] = hashlib.sha256(frame.to_ndarray().tobytes()).hexdigest()
    return found


def visible_damage(original: Path, damaged: Path) -> list[int]:
    """PTS of the frames that look different, or are gone."""
    after = pictures(damaged)
    return sorted(p for p, shown in pictures(original).items() if after.get(p) != shown)
