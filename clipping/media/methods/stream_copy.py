"""Take the source's own packets: clips are cut out of them, and nothing is encoded.

The packets of a segment are written to an MP4 once, however many clips hold them; from there on
they are cut like encoded ones. A clip is proved by the times of its packets, and by a start that
needs nothing before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from threading import Lock

from clipping.errors import VerificationError
from clipping.ffmpeg.commands import copy_command
from clipping.media.cut import EncodedSegment
from clipping.media.method import Job
from clipping.media.verify import decode_clip, verify_clip
from clipping.models import Chunk, Clip
from clipping.plan.frame_times import unpack
from clipping.plan.segments import Segment, copied_segments
from clipping.plan.time_line import TimeLine

__all__ = ["StreamCopy"]

# ffmpeg reads on to here, in seconds: what is decoded late may be shown early.
_READ_ON = 2


class StreamCopy:
    """The method for one chunk."""

    def __init__(self, chunk: Chunk, job: Job) -> None:
        self.chunk = chunk
        self.job = job
        self._lock = Lock()
        self._made = 0

    def size_of(self, clip: Clip) -> tuple[int, int]:
        """Width and height of the clip's picture as it is shown, in pixels."""
        del clip  # all are alike
        return self.chunk.source.video.width, self.chunk.source.video.height

    def side_by_side(self, plan: Sequence[Segment]) -> int:
        """How many segments of `plan` may be made side by side."""
        del plan
        return 1  # reading is what it waits for

    def segments(self, group: Sequence[Clip]) -> list[Segment]:
        """The segments that together hold the frames of `group`; the same on any machine."""
        return copied_segments(self.chunk, group)

    def make(self, segment: Segment) -> EncodedSegment:
        """Copy a segment's packets. Raises ClippingError."""
        job, video = self.job, self.chunk.source.video
        with self._lock:
            self._made += 1
            path = job.scratch / f"segment-{self._made}.mp4"
        command = copy_command(
            job.binary,
            job.reading.url,
            video,
            segment,
            tag=job.encoder.mp4_tag,
            until=segment.ranges[-1][1] * video.time_base + _READ_ON,
            output=str(path),
        )
        what = f"copying frames {segment.first_frame} to {segment.end_frame - 1}"
        finished = job.reading.run(
            command,
            what=what,
            log=job.log,
            stall_limit=job.execution.stall_timeout_s,
            stop=job.stop,
        )
        copied = EncodedSegment.read(segment, path, video.time_base, finished.seconds)
        if sorted(copied.pts) != list(segment.pts):
            raise VerificationError(
                f"{what}: {len(copied.pts)} packets came out instead of {len(segment.pts)}"
            )
        if job.on_frames:
            job.on_frames(segment.frame_count)
        return copied

    def prove(self, path: Path, clip: Clip, time_line: TimeLine) -> None:
        """Raise VerificationError unless the file is the clip with the frames of `time_line`."""
        job, video = self.job, self.chunk.source.video
        first = self.chunk.first_frame
        frames = unpack(self.chunk.frame_pts)[clip.start_frame - first : clip.end_frame - first]
        if tuple(frames) != time_line.pts:
            raise VerificationError(f"{len(time_line.pts)} of {len(frames)} frames were copied")
        size = video.coded_width, video.coded_height
        verify_clip(path, time_line, size, job.encoder)
        if job.execution.verify == "decode":
            decode_clip(path, len(time_line.pts), job.binary, job.execution.stall_timeout_s)
