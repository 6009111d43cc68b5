"""What a method is: how the packets of a chunk's clips come to be, and how that is proved.

A method is made for one chunk (`media.methods`); `transcode` drives it. Its cost is known before
anything is opened, since the queue of chunks and the scratch space go by it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Protocol

from clipping.config.execution import Execution
from clipping.config.recipe import Recipe
from clipping.ffmpeg.encoders import Encoder
from clipping.media.cut import EncodedSegment
from clipping.models import Clip
from clipping.plan.segments import Segment
from clipping.plan.time_line import TimeLine
from clipping.storage.source import Reading

__all__ = ["Job", "Method", "PictureChanged"]


class PictureChanged(Exception):  # noqa: N818  not a failure: the chunk is planned anew
    """The source's pictures change in mid-stream, which was not known when it was planned."""


@dataclass(frozen=True, slots=True)
class Job:
    """What making a chunk needs besides the chunk.

    reading: the source, opened; binary: the ffmpeg to run; scratch: an empty folder.
    encoder: what encodes; cpus: how many CPUs the task has.
    use_hwaccel: decode on the GPU; what it cannot decode is decoded by the CPU.
    node: what the records say of where it was made.
    on_frames: called with the number of frames encoded so far, from any thread.
    note: takes what a person should know; log: takes ffmpeg's own lines.
    stop: set when the work is given up.
    """

    recipe: Recipe
    execution: Execution
    reading: Reading
    binary: str
    scratch: Path
    encoder: Encoder
    cpus: int = 1
    use_hwaccel: bool = False
    node: str | None = None
    on_frames: Callable[[int], None] | None = None
    note: Callable[[str], None] | None = None
    log: Callable[[str], None] | None = None
    stop: Event = field(default_factory=Event)


class Method(Protocol):
    """How the packets of one chunk's clips come to be."""

    def size_of(self, clip: Clip) -> tuple[int, int]:
        """Width and height of the clip's picture, in pixels."""
        ...

    def side_by_side(self, plan: Sequence[Segment]) -> int:
        """How many segments of `plan` may be made side by side."""
        ...

    def segments(self, group: Sequence[Clip]) -> list[Segment]:
        """The segments that together hold the frames of `group`; the same on any machine."""
        ...

    def make(self, segment: Segment) -> EncodedSegment:
        """Make one segment; called from several threads. Raises ClippingError, PictureChanged."""
        ...

    def prove(self, path: Path, clip: Clip, time_line: TimeLine) -> None:
        """Raise VerificationError unless the file is the clip with the frames of `time_line`."""
        ...
