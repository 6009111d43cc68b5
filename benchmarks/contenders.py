"""Who competes: each turns a video into clips in a folder, by one command."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path

import imageio_ffmpeg

from benchmarks.others import NEMO, PYSCENEDETECT

__all__ = ["CONTENDERS", "NEEDS", "Work", "command"]

FFMPEG: str = imageio_ffmpeg.get_ffmpeg_exe()
_BATCH = 16


@dataclass(frozen=True)
class Work:
    """What is to be done: clips of `length` s every `stride` s of a video, with an encoder."""

    video: Path
    seconds: int
    length: Fraction
    stride: Fraction
    cpus: int
    encoder: str = "libx264"

    @property
    def spans(self) -> list[tuple[float, float]]:
        """Starts and ends in seconds; a last clip below two seconds (or the length) is left out."""
        least = min(Fraction(2), self.length)
        starts = [i * self.stride for i in range(int(self.seconds / self.stride) + 1)]
        spans = [(s, min(s + self.length, Fraction(self.seconds))) for s in starts]
        return [(float(a), float(b)) for a, b in spans if b - a >= least]


def _ours(work: Work, out: Path) -> list[str]:
    options = {
        "video": str(work.video),
        "output": str(out),
        "length": float(work.length),
        "stride": float(work.stride),
        "cpus": work.cpus,
        "encoder": work.encoder,
    }
    return [sys.executable, "-m", "benchmarks.ours", json.dumps(options)]


def _flow(work: Work, out: Path) -> list[str]:
    script = Path(__file__).parent.parent / "flows" / "clip_flow.py"
    return [
        *[sys.executable, str(script), "--input", str(work.video), "--output", str(out)],
        *["--clip-len-s", str(float(work.length)), "--clip-stride-s", str(float(work.stride))],
        *["--encoder", work.encoder],
    ]


def _reference(work: Work, out: Path) -> list[str]:
    """What NeMo Curator runs: an input, a decoder and an encoder for each of sixteen clips.

    One ffmpeg after the other in one shell, or as many side by side as there are CPUs.
    """
    batches = [work.spans[i : i + _BATCH] for i in range(0, len(work.spans), _BATCH)]
    if work.cpus > 1 and len(batches) < work.cpus:
        each = max(1, -(-len(work.spans) // work.cpus))
        batches = [work.spans[i : i + each] for i in range(0, len(work.spans), each)]
    commands: list[list[str]] = []
    number = 0
    for batch in batches:
        inputs: list[str] = []
        outputs: list[str] = []
        for place, (start, end) in enumerate(batch):
            inputs += ["-threads", "1", "-ss", f"{start}", "-to", f"{end}", "-i", str(work.video)]
            outputs += ["-map", f"{place}:v:0", "-c:v", work.encoder, "-threads", "1"]
            outputs += ["-map", f"{place}:a:0?", "-c:a", "copy", str(out / f"{number:05d}.mp4")]
            number += 1
        commands.append([FFMPEG, "-hide_banner", "-loglevel", "error", *inputs, *outputs])
    return _side_by_side(commands, work.cpus)


def _bound(work: Work, out: Path) -> list[str]:
    """The covered stretch encoded once to one file, in as many parts as there are CPUs."""
    end = work.spans[-1][1]
    part = end / work.cpus
    commands = [
        [
            *[FFMPEG, "-hide_banner", "-loglevel", "error", "-threads", "1"],
            *["-ss", f"{i * part}", "-t", f"{part}", "-i", str(work.video), "-map", "0:v:0"],
            *["-c:v", work.encoder, "-threads", "1", "-an", str(out / f"{i:05d}.mp4")],
        ]
        for i in range(work.cpus)
    ]
    return _side_by_side(commands, work.cpus)


def _segments(work: Work, out: Path) -> list[str]:
    """The segment muxer of ffmpeg, where clips neither overlap nor leave gaps."""
    times = ",".join(str(start) for start, _ in work.spans[1:])
    return [
        *[FFMPEG, "-hide_banner", "-loglevel", "error", "-threads", "1", "-i", str(work.video)],
        *["-map", "0:v:0", "-map", "0:a:0?", "-c:v", work.encoder, "-threads", str(work.cpus)],
        *["-c:a", "copy", "-force_key_frames", times, "-f", "segment", "-segment_times", times],
        *["-reset_timestamps", "1", str(out / "%05d.mp4")],
    ]


def _scenedetect(work: Work, out: Path) -> list[str]:
    options = {"video": str(work.video), "output": str(out), "spans": work.spans}
    return [PYSCENEDETECT.python, "-m", "benchmarks.split", json.dumps(options)]


def _nemo(work: Work, out: Path, *, pipeline: bool) -> list[str]:
    options = {
        "video": str(work.video),
        "output": str(out),
        "length": float(work.length),
        "stride": float(work.stride),
        "cpus": work.cpus,
        "encoder": work.encoder,
        "pipeline": pipeline,
    }
    return [NEMO.python, "-m", "benchmarks.nemo", json.dumps(options)]


def _side_by_side(commands: list[list[str]], cpus: int) -> list[str]:
    """A shell that keeps `cpus` of the commands running."""
    lines = " ".join(shlex.quote(shlex.join(command)) for command in commands)
    return ["bash", "-c", f"printf '%s\\0' {lines} | xargs -0 -n 1 -P {cpus} bash -c"]


CONTENDERS = {
    "ours: chunk function": _ours,
    "ours: the whole command": _flow,
    "reference: 16 in, 16 out": _reference,
    "bound: encoded once": _bound,
    "segment muxer": _segments,
    "PySceneDetect": _scenedetect,
    "NeMo Curator 1.1.0, stages in-process": partial(_nemo, pipeline=False),
    "NeMo Curator 1.1.0, pipeline": partial(_nemo, pipeline=True),
}

# What has to be asked for, and installed.
NEEDS = {name: NEMO for name in CONTENDERS if name.startswith("NeMo")}
NEEDS["PySceneDetect"] = PYSCENEDETECT


def command(name: str, work: Work, out: Path) -> list[str] | None:
    """A contender's command line; None where it cannot do the work."""
    if name == "segment muxer" and (work.length != work.stride or len(work.spans) < 2):
        return None
    if name == "bound: encoded once" and work.stride > work.length:
        return None
    return CONTENDERS[name](work, out)
