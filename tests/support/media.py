"""Videos made for tests: every frame carries its number, so that a clip can be checked by eye.

A frame is sixteen stripes, black for 0 and white for 1: its number in binary. Stripes survive
lossy encoding, scaling, rotation and a change of pixel format. Sound is noise from a fixed
seed, whose place is found to the sample by correlation.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
BITS = 16
RATE = 48_000

Numbered = tuple[Fraction, int]


def ffmpeg(*arguments: str | Path, feed: bytes | None = None) -> bytes:
    """Run the bundled ffmpeg; its standard output."""
    command = [FFMPEG, "-hide_banner", "-loglevel", "error", "-y", *map(str, arguments)]
    done = subprocess.run(command, input=feed, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    return done.stdout


def picture(number: int, width: int = 160, height: int = 96) -> np.ndarray:
    """A gray frame that shows `number`, with some texture so that it costs an encoder bits."""
    stripes = np.array([(number >> bit) & 1 for bit in range(BITS)], dtype=np.uint8)
    row = stripes[(np.arange(width) * BITS) // width] * 200 + 20
    texture = np.random.default_rng(number).integers(0, 16, (height, width), dtype=np.uint8)
    return (row[None, :] + texture).astype(np.uint8)


def number_in(image: np.ndarray) -> int:
    """The number that a gray frame shows."""
    width = image.shape[1]
    number = 0
    for bit in range(BITS):
        a, b = (bit * width) // BITS, ((bit + 1) * width) // BITS
        margin = max(1, (b - a) // 4)
        number |= int(image[:, a + margin : b - margin].mean() > 128) << bit
    return number


def counter_video(
    path: Path,
    pts: Sequence[int],
    time_base: Fraction,
    *,
    options: dict[str, str] | None = None,
    size: tuple[int, int] = (160, 96),
    container: str | None = None,
) -> list[Numbered]:
    """Write a video whose n-th frame shows n at `pts[n]`; its frames as (seconds, number)."""
    settings = {"preset": "veryfast", "crf": "20", **(options or {})}
    with av.open(str(path), "w", format=container) as output:
        stream = output.add_stream("libx264", rate=Fraction(1, 1) / time_base, options=settings)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = time_base
        for number, at in enumerate(pts):
            frame = av.VideoFrame.from_ndarray(picture(number, *size), format="gray")
            frame = frame.reformat(format="yuv420p")
            frame.pts, frame.time_base = at, time_base
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return [((p - pts[0]) * time_base, n) for n, p in enumerate(pts)]


def large_video(path: Path, seconds: int, *options: str) -> None:
    """Noise with a tone, about 1.5 MB a second."""
    ffmpeg(
        *["-f", "lavfi", "-i", f"nullsrc=s=640x360:r=25:d={seconds},noise=alls=60:allf=t"],
        *["-f", "lavfi", "-i", f"sine=f=440:d={seconds}"],
        *["-c:v", "libx264", "-preset", "ultrafast", "-b:v", "12M", "-g", "50", "-c:a", "aac"],
        *["-pix_fmt", "yuv420p", *options, path],
    )


def steady(frames: int, rate: Fraction | int = 24) -> tuple[list[int], Fraction]:
    """PTS and time base of a constant frame rate."""
    rate = Fraction(rate)
    return [i * rate.denominator for i in range(frames)], Fraction(1, rate.numerator)


def read_numbers(path: Path, turns: int = 0) -> list[Numbered]:
    """Every frame of a video as (seconds, number shown), in order; `turns` undo a rotation."""
    found: list[Numbered] = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        for frame in container.decode(stream):
            assert frame.pts is not None
            assert stream.time_base is not None
            image = np.rot90(frame.to_ndarray(format="gray"), turns)
            found.append((Fraction(frame.pts) * Fraction(stream.time_base), number_in(image)))
    return found


def noise(seconds: float, seed: int = 1) -> np.ndarray:
    """White noise, mono, as floats at 48 kHz."""
    samples = np.random.default_rng(seed).standard_normal(round(seconds * RATE))
    return (samples * 0.2).astype(np.float32)


def add_sound(video: Path, sound: np.ndarray, path: Path, *codec: str) -> None:
    """Mux `sound` to `video`, encoded by `codec` options, into `path`."""
    ffmpeg(
        *["-i", video, "-f", "f32le", "-ar", str(RATE), "-ac", "1", "-i", "-"],
        *["-map", "0:v", "-map", "1:a", "-c:v", "copy", *codec, path],
        feed=sound.tobytes(),
    )


def add_channels(video: Path, sound: np.ndarray, path: Path, *codec: str) -> None:
    """The same with a column for each channel."""
    channels = str(sound.shape[1])
    ffmpeg(
        *["-i", video, "-f", "f32le", "-ar", str(RATE), "-ac", channels, "-i", "-"],
        *["-map", "0:v", "-map", "1:a", "-c:v", "copy", *codec, path],
        feed=sound.astype(np.float32).tobytes(),
    )


def heard(path: Path) -> np.ndarray:
    """A file's first audio track decoded, mono at 48 kHz, from its time 0."""
    raw = ffmpeg("-i", path, "-map", "0:a:0", "-ac", "1", "-ar", str(RATE), "-f", "f32le", "-")
    return np.frombuffer(raw, np.float32)


def lag(reference: np.ndarray, sound: np.ndarray, reach: int = 4_000) -> int:
    """By how many samples `sound` is later than `reference`, by cross-correlation."""
    n = min(len(reference), len(sound))
    assert n > reach, "too little sound to compare"
    size = 1 << (2 * n - 1).bit_length()
    spectrum = np.fft.rfft(sound[:n], size) * np.conj(np.fft.rfft(reference[:n], size))
    correlation = np.fft.irfft(spectrum, size)
    around = np.concatenate([correlation[-reach:], correlation[: reach + 1]])
    return int(np.argmax(around)) - reach
