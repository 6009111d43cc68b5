"""Who competes: each turns a video into clips in a folder, by one command."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from math import ceil
from pathlib import Path

import imageio_ffmpeg

from benchmarks.others import NEMO, PYSCENEDETECT

__all__ = [
    "BOUND",
    "BOUND_WITH_KEYFRAMES",
    "CONTENDERS",
    "NEEDS",
    "OURS",
    "WHOLE",
    "Work",
    "command",
]

FFMPEG: str = imageio_ffmpeg.get_ffmpeg_exe()
_BATCH = 16
_SCALING = "bicubic+accurate_rnd+full_chroma_int"  # what ours does
_QUIET = [FFMPEG, "-hide_banner", "-loglevel", "error"]


@dataclass(frozen=True)
class Work:
    """What is to be done: clips of `length` s every `stride` s of videos of `seconds` each.

    All encode with libx264, `preset` and CRF `quality`. short_side: of the picture, in pixels, and
    fps: frames per second, as settings have them; as in the videos where they are empty.
    """

    videos: tuple[Path, ...]
    seconds: int
    length: Fraction
    stride: Fraction
    cpus: int
    preset: str
    quality: float
    short_side: str = ""
    fps: str = ""

    @property
    def spans(self) -> list[tuple[float, float]]:
        """Starts and ends in seconds; a last clip below two seconds (or the length) is left out."""
        least = min(Fraction(2), self.length)
        starts = [i * self.stride for i in range(int(self.seconds / self.stride) + 1)]
        spans = [(s, min(s + self.length, Fraction(self.seconds))) for s in starts]
        return [(float(a), float(b)) for a, b in spans if b - a >= least]

    @property
    def input(self) -> Path:
        """The video, or the folder of all of them."""
        return self.videos[0] if len(self.videos) == 1 else self.videos[0].parent

    @property
    def encoder(self) -> list[str]:
        """What ffmpeg is told of the encoder."""
        quality = ["-preset", self.preset, "-crf", f"{self.quality:g}"]
        filters = [
            *([f"fps={self.fps}"] if self.fps else []),
            *(
                [f"scale=-2:{self.short_side.rstrip('p')}:flags={_SCALING}"]
                if self.short_side
                else []
            ),
        ]
        made = ["-vf", ",".join(filters)] if filters else []
        # 8 bits for all: x264 would encode ten where the source has them, and takes longer.
        return [*made, "-c:v", "libx264", "-pix_fmt", "yuv420p", *quality, "-threads", "1"]


def _ours(work: Work, out: Path) -> list[str]:
    options = {
        "input": str(work.input),
        "output": str(out),
        "length": float(work.length),
        "stride": float(work.stride),
        "cpus": work.cpus,
        "preset": work.preset,
        "quality": work.quality,
        "size": work.short_side,
        "fps": work.fps,
    }
    return [sys.executable, "-m", "benchmarks.ours", json.dumps(options)]


def _ours_on_one(work: Work, out: Path) -> list[str]:
    return _ours(replace(work, cpus=1), out)


def _flow(work: Work, out: Path) -> list[str]:
    script = Path(__file__).parent.parent / "flows" / "clip_flow.py"
    return [
        *[sys.executable, str(script), "--input", str(work.input), "--output", str(out)],
        *["--clip-len-s", str(float(work.length)), "--clip-stride-s", str(float(work.stride))],
        *["--preset", work.preset, "--quality", str(work.quality)],
        *["--size", work.short_side, "--fps", work.fps],
    ]


def _reference(work: Work, out: Path) -> list[str]:
    """What NeMo Curator runs: an input, a decoder and an encoder for each of sixteen clips.

    As many ffmpeg side by side as there are CPUs; for that, batches may be smaller.
    """
    each = _BATCH
    if len(work.videos) == 1:
        each = min(_BATCH, max(1, ceil(len(work.spans) / work.cpus)))
    commands: list[list[str]] = []
    for place, video in enumerate(work.videos):
        for begin in range(0, len(work.spans), each):
            inputs: list[str] = []
            outputs: list[str] = []
            for i, (start, end) in enumerate(work.spans[begin : begin + each]):
                inputs += ["-threads", "1", "-ss", f"{start}", "-to", f"{end}", "-i", str(video)]
                outputs += ["-map", f"{i}:v:0", *work.encoder, "-map", f"{i}:a:0?", "-c:a", "copy"]
                outputs.append(str(out / f"{place:04d}_{begin + i:05d}.mp4"))
            commands.append([*_QUIET, *inputs, *outputs])
    return _side_by_side(commands, work.cpus)


def _bound(work: Work, out: Path, *, keyframes: bool = False) -> list[str]:
    """What is covered encoded once, without sound, in as many files as there are CPUs.

    keyframes: one wherever a clip begins or ends, which whoever cuts without encoding again needs.
    """
    commands: list[list[str]] = []
    for place, video in enumerate(work.videos):
        stretches = _covered(work, 1 if len(work.videos) > 1 else work.cpus)
        for part, spans in enumerate(stretches):
            inputs: list[str] = []
            for start, end in spans:
                inputs += ["-threads", "1", "-ss", f"{start}", "-to", f"{end}", "-i", str(video)]
            joined = "".join(f"[{i}:v:0]" for i in range(len(spans)))
            chosen = ["-map", "0:v:0"]
            if len(spans) > 1:
                chosen = ["-filter_complex", f"{joined}concat=n={len(spans)}:v=1[v]", "-map", "[v]"]
            target = str(out / f"{place:04d}_{part:05d}.mp4")
            forced = ["-force_key_frames", _edges(work, *spans[0])] if keyframes else []
            commands.append([*_QUIET, *inputs, *chosen, *work.encoder, *forced, "-an", target])
    return _side_by_side(commands, work.cpus)


def _edges(work: Work, begin: float, end: float) -> str:
    """Where clips begin and end within a stretch, from its own beginning, for ffmpeg."""
    edges = sorted({edge for span in work.spans for edge in span if begin < edge < end})
    return ",".join(f"{edge - begin:.6f}" for edge in edges) or "0"


def _covered(work: Work, parts: int) -> list[list[tuple[float, float]]]:
    """The stretches of a video that clips cover, dealt out to `parts` processes."""
    if work.stride > work.length:
        each = ceil(len(work.spans) / parts)
        return [work.spans[i : i + each] for i in range(0, len(work.spans), each)]
    end = work.spans[-1][1]
    return [[(i * end / parts, (i + 1) * end / parts)] for i in range(parts)]


def _segments(work: Work, out: Path) -> list[str]:
    """The segment muxer of ffmpeg, where clips neither overlap nor leave gaps."""
    times = ",".join(str(start) for start, _ in work.spans[1:])
    cuts = ["-force_key_frames", times, "-f", "segment", "-segment_times", times] if times else []
    cuts = cuts or ["-f", "segment", "-segment_time", str(work.seconds + 1)]
    commands = [
        [
            *[*_QUIET, "-threads", "1", "-i", str(video), "-map", "0:v:0", "-map", "0:a:0?"],
            *[*work.encoder[:-1], str(work.cpus if len(work.videos) == 1 else 1), "-c:a", "copy"],
            *[*cuts, "-reset_timestamps", "1", str(out / f"{place:04d}_%05d.mp4")],
        ]
        for place, video in enumerate(work.videos)
    ]
    return _side_by_side(commands, work.cpus)


def _scenedetect(work: Work, out: Path) -> list[str]:
    sound = "-map 0:v:0 -map 0:a? -c:a copy"
    options = {
        "video": str(work.videos[0]),
        "output": str(out),
        "spans": work.spans,
        "arguments": f"{sound} {' '.join(work.encoder[:-2])}",
    }
    return [PYSCENEDETECT.python, "-m", "benchmarks.split", json.dumps(options)]


def _nemo(work: Work, out: Path, *, pipeline: bool) -> list[str]:
    options = {
        "video": str(work.videos[0]),
        "output": str(out),
        "length": float(work.length),
        "stride": float(work.stride),
        "cpus": work.cpus,
        "encoder": "libx264",
        "pipeline": pipeline,
    }
    return [NEMO.python, "-m", "benchmarks.nemo", json.dumps(options)]


def _side_by_side(commands: list[list[str]], cpus: int) -> list[str]:
    """A shell that keeps `cpus` of the commands running; the first that fails ends it."""
    lines = " ".join(shlex.quote("exec " + shlex.join(command)) for command in commands)
    return ["bash", "-c", f"printf '%s\\0' {lines} | xargs -0 -n 1 -P {cpus} bash -c"]


OURS, WHOLE = "ours: chunk function", "ours: whole command"
BOUND = "bound: encoded once"
BOUND_WITH_KEYFRAMES = f"{BOUND}, keyframes at the clips' edges"
CONTENDERS = {
    OURS: _ours,
    "ours: chunk function, 1 CPU": _ours_on_one,
    WHOLE: _flow,
    BOUND: _bound,
    BOUND_WITH_KEYFRAMES: partial(_bound, keyframes=True),
    "16 in, 16 out (NeMo Curator's ffmpeg)": _reference,
    "ffmpeg's segment muxer": _segments,
    "PySceneDetect": _scenedetect,
    "NeMo Curator 1.1.0, stages in-process": partial(_nemo, pipeline=False),
    "NeMo Curator 1.1.0, pipeline": partial(_nemo, pipeline=True),
}

# What has to be asked for, and installed.
NEEDS = {name: NEMO for name in CONTENDERS if name.startswith("NeMo")}
NEEDS["PySceneDetect"] = PYSCENEDETECT


def command(name: str, work: Work, out: Path) -> list[str] | None:
    """A contender's command line; None where it cannot do the work.

    NeMo Curator encodes with libx264's own defaults and nothing else.
    """
    if name == "ffmpeg's segment muxer" and work.length != work.stride:
        return None
    if name == BOUND_WITH_KEYFRAMES and (work.length < work.stride or len(work.spans) == 1):
        return None
    if name in NEEDS and len(work.videos) > 1:
        return None
    if name.startswith("NeMo") and (work.preset, work.quality) != ("medium", 23):
        return None
    return CONTENDERS[name](work, out)
