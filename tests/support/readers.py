"""Programs that other people read our clips with, each behind the same few questions.

None of them is a dependency of the tests: docs/readers.md says what to install, and `missing` what
is not there. Frames are asked for by index and by time, and answer with the number that they show.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import av
import imageio_ffmpeg
import numpy as np

from tests.support.media import RATE, number_in


@dataclass(frozen=True)
class Moment:
    """A frame's time in its clip: when it begins, and the middle of its duration, in seconds."""

    start: float
    middle: float


def imported(name: str) -> Any:
    """A module of a reader; what it warns of itself does not matter here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return import_module(name)


def _gray(image: np.ndarray) -> np.ndarray:
    return image.mean(axis=2)


class _Torchcodec:
    mode = "exact"

    def __init__(self, path: Path) -> None:
        decoders = imported("torchcodec.decoders")
        self.video = decoders.VideoDecoder(
            str(path), seek_mode=self.mode, dimension_order="NHWC", num_ffmpeg_threads=1
        )

    def count(self) -> int:
        return self.video.metadata.num_frames

    def rate(self) -> float:
        return float(self.video.metadata.average_fps)

    def seconds(self) -> float:
        return float(self.video.metadata.duration_seconds)

    def frame(self, index: int) -> int:
        return number_in(_gray(self.video[index].numpy().astype(np.float32)))

    def at(self, moment: Moment) -> int:
        shown = self.video.get_frame_played_at(moment.middle)
        return number_in(_gray(shown.data.numpy().astype(np.float32)))


class _TorchcodecApproximate(_Torchcodec):
    mode = "approximate"


def _torchcodec_sound(path: Path) -> np.ndarray:
    decoder = imported("torchcodec.decoders").AudioDecoder(
        str(path), sample_rate=RATE, num_channels=1
    )
    samples = decoder.get_all_samples()
    return _from(float(samples.pts_seconds), samples.data.numpy()[0])


def _from(seconds: float, sound: np.ndarray) -> np.ndarray:
    """Sound that starts at `seconds`, from time 0 on."""
    late = round(seconds * RATE)
    return np.concatenate([np.zeros(max(0, late), np.float32), sound[max(0, -late) :]])


class _Decord:
    def __init__(self, path: Path) -> None:
        self.video = imported("decord").VideoReader(str(path), num_threads=1)

    def count(self) -> int:
        return len(self.video)

    def rate(self) -> float:
        return float(self.video.get_avg_fps())

    def seconds(self) -> float:
        return float(self.video.get_frame_timestamp(len(self.video) - 1)[1])

    def frame(self, index: int) -> int:
        return number_in(_gray(self.video[index].asnumpy()))

    def at(self, moment: Moment) -> int:
        starts = self.video.get_frame_timestamp(range(len(self.video)))[:, 0]
        return self.frame(int(np.searchsorted(starts, moment.middle, side="right")) - 1)


def _decord_sound(path: Path) -> np.ndarray:
    reader = imported("decord").AudioReader(str(path), sample_rate=RATE, mono=True)
    return reader[:].asnumpy()[0]


class _OpenCv:
    def __init__(self, path: Path) -> None:
        self.cv2 = imported("cv2")
        self.video = self.cv2.VideoCapture(str(path), self.cv2.CAP_FFMPEG)

    def count(self) -> int:
        return int(self.video.get(self.cv2.CAP_PROP_FRAME_COUNT))

    def rate(self) -> float:
        return float(self.video.get(self.cv2.CAP_PROP_FPS))

    def seconds(self) -> float:
        return self.count() / self.rate()

    def _next(self) -> int:
        ok, image = self.video.read()
        assert ok, "no frame is read"
        return number_in(_gray(image))

    def frame(self, index: int) -> int:
        self.video.set(self.cv2.CAP_PROP_POS_FRAMES, index)
        return self._next()

    def at(self, moment: Moment) -> int:
        self.video.set(self.cv2.CAP_PROP_POS_MSEC, 1000 * moment.start)
        return self._next()


class _Imageio:
    def __init__(self, path: Path) -> None:
        self.video = imported("imageio").get_reader(str(path), "ffmpeg")
        self.facts = self.video.get_meta_data()

    def count(self) -> int:
        return self.video.count_frames()

    def rate(self) -> float:
        return self.facts["fps"]

    def seconds(self) -> float:
        return self.facts["duration"]

    def frame(self, index: int) -> int:
        return number_in(_gray(self.video.get_data(index)))

    def close(self) -> None:
        self.video.close()


class _Moviepy:
    def __init__(self, path: Path) -> None:
        self.video = imported("moviepy").VideoFileClip(str(path), audio=False)

    def count(self) -> int:
        return self.video.n_frames

    def rate(self) -> float:
        return float(self.video.fps)

    def seconds(self) -> float:
        return float(self.video.duration)

    def frame(self, index: int) -> int:
        # It has no indices; this is how it goes over the frames itself, to the microsecond.
        return number_in(_gray(self.video.get_frame(index / self.video.fps)))

    def at(self, moment: Moment) -> int:
        return number_in(_gray(self.video.get_frame(moment.middle)))

    def close(self) -> None:
        self.video.close()


def _moviepy_sound(path: Path) -> np.ndarray:
    clip = imported("moviepy").AudioFileClip(str(path), fps=RATE)
    try:
        return clip.to_soundarray(fps=RATE, buffersize=RATE // 2).mean(axis=1).astype(np.float32)
    finally:
        clip.close()


class _PyAv:
    def __init__(self, path: Path) -> None:
        self.container = av.open(str(path))
        self.stream = self.container.streams.video[0]
        self.time_base = Fraction(self.stream.time_base or 1)
        self.times = sorted(p.pts for p in self.container.demux(self.stream) if p.pts is not None)

    def count(self) -> int:
        return self.stream.frames

    def rate(self) -> float:
        return float(self.stream.average_rate or 0)

    def seconds(self) -> float:
        return float((self.stream.duration or 0) * self.time_base)

    def _shown(self, pts: int) -> int:
        self.container.seek(pts, stream=self.stream, backward=True)
        shown: Any = None
        for frame in self.container.decode(self.stream):
            if frame.pts is None or frame.pts > pts:
                break
            shown = frame
        return number_in(shown.to_ndarray(format="gray"))

    def frame(self, index: int) -> int:
        return self._shown(self.times[index])

    def at(self, moment: Moment) -> int:
        return self._shown(int(moment.middle / self.time_base))

    def close(self) -> None:
        self.container.close()


def _pyav_sound(path: Path) -> np.ndarray:
    resampler = av.AudioResampler("flt", "mono", RATE)
    parts: list[np.ndarray] = []
    start = 0.0
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            if not parts:
                start = float(frame.time or 0)
            parts += [f.to_ndarray()[0] for f in resampler.resample(frame)]
    parts += [f.to_ndarray()[0] for f in resampler.resample(None)]
    return _from(start, np.concatenate(parts))


class _Ffmpeg:
    """A binary: all frames in order, what it prints of the file, and a frame after a seek."""

    binary = imageio_ffmpeg.get_ffmpeg_exe()
    as_it_is = "-fps_mode"

    def __init__(self, path: Path) -> None:
        self.path = path
        self.said = subprocess.run(
            [self.binary, "-hide_banner", "-i", str(path)], capture_output=True, check=False
        ).stderr.decode()
        size = re.search(r"Video: .*?, (\d+)x(\d+)", self.said)
        assert size, self.said
        self.shape = int(size[2]), int(size[1])

    @cached_property
    def all(self) -> list[int]:
        return self._numbers(["-i", str(self.path)])

    def _numbers(self, arguments: list[str]) -> list[int]:
        raw = ["-an", self.as_it_is, "passthrough", "-f", "rawvideo", "-pix_fmt", "gray", "-"]
        done = subprocess.run(
            [self.binary, "-v", "error", "-nostdin", *arguments, *raw],
            capture_output=True,
            check=True,
        )
        images = np.frombuffer(done.stdout, np.uint8).reshape(-1, *self.shape)
        return [number_in(image) for image in images]

    def count(self) -> int:
        return len(self.all)

    def rate(self) -> float:
        said = re.search(r"([\d.]+) fps", self.said)
        assert said, self.said
        return float(said[1])

    def seconds(self) -> float:
        said = re.search(r"Duration: (\d+):(\d+):([\d.]+)", self.said)
        assert said, self.said
        return 3600 * int(said[1]) + 60 * int(said[2]) + float(said[3])

    def frame(self, index: int) -> int:
        return self.all[index]

    def at(self, moment: Moment) -> int:
        # It gives the first frame that does not begin before the time: a little earlier.
        seek = max(0.0, moment.start - 0.005)
        return self._numbers(["-ss", f"{seek:.6f}", "-i", str(self.path), "-frames:v", "1"])[0]


class _SystemFfmpeg(_Ffmpeg):
    binary = shutil.which("ffmpeg") or "ffmpeg"
    as_it_is = "-vsync"  # its name until FFmpeg 8


def _ffmpeg_sound(path: Path, binary: str = _Ffmpeg.binary) -> np.ndarray:
    raw = ["-map", "0:a:0", "-ac", "1", "-ar", str(RATE), "-f", "f32le", "-"]
    command = [binary, "-v", "error", "-nostdin", "-i", str(path), *raw]
    done = subprocess.run(command, capture_output=True, check=True)
    return np.frombuffer(done.stdout, np.float32)


@dataclass(frozen=True)
class Reader:
    """A program that reads clips; `modules` are what it needs, `sound` how it reads sound."""

    # In `make` are count(), rate(), seconds(), frame(index), and at(moment) if it has times.
    name: str
    make: Callable[[Path], Any]
    modules: tuple[str, ...] = ()
    sound: Callable[[Path], np.ndarray] | None = None

    @contextmanager
    def open(self, path: Path) -> Iterator[Any]:
        opened = self.make(path)
        try:
            yield opened
        finally:
            getattr(opened, "close", lambda: None)()

    @property
    def has_times(self) -> bool:
        """Whether it can be asked for the frame at a time."""
        return hasattr(self.make, "at")

    def missing(self) -> str | None:
        """Why it cannot be used here; None if it can."""
        if self.make is _SystemFfmpeg and not shutil.which("ffmpeg"):
            return "no ffmpeg on PATH"
        for module in self.modules:
            try:
                imported(module)
            except (ImportError, OSError, RuntimeError) as error:
                return f"{module} cannot be imported: {str(error).strip().splitlines()[0]}"
        return None


READERS = [
    Reader("torchcodec", _Torchcodec, ("torch", "torchcodec.decoders"), _torchcodec_sound),
    Reader("torchcodec, approximate", _TorchcodecApproximate, ("torch", "torchcodec.decoders")),
    Reader("decord", _Decord, ("decord",), _decord_sound),
    Reader("OpenCV", _OpenCv, ("cv2",)),
    Reader("imageio", _Imageio, ("imageio",)),
    Reader("moviepy", _Moviepy, ("moviepy",), _moviepy_sound),
    Reader("PyAV", _PyAv, (), _pyav_sound),
    Reader("ffmpeg 9", _Ffmpeg, (), _ffmpeg_sound),
    Reader(
        "ffmpeg 5",
        _SystemFfmpeg,
        (),
        lambda path: _ffmpeg_sound(path, _SystemFfmpeg.binary),
    ),
]
