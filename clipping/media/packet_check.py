"""Find the damaged packets of a stretch of a source, and with them the damaged frames.

It costs a decode of the stretch by one thread, so that it is for stretches where something was
complained of. ffmpeg itself does not tell which packet a complaint is about: its decoder gives
frames later than it complains, and its threads' lines mix.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import floor
from pathlib import Path
from typing import Any

from clipping.errors import FfmpegError
from clipping.ffmpeg.commands import PATIENCE, reading_options, seek_target
from clipping.ffmpeg.complaints import is_complaint
from clipping.media.damage import CheckedPacket, damaged_frames
from clipping.media.method import Job
from clipping.models import Chunk, VideoFacts
from clipping.plan.frame_times import unpack
from clipping.plan.segments import Segment

__all__ = ["FrameCheck", "check_frames"]

_PROGRAM = Path(__file__).with_name("decode_packets.py")
_ROW = "packet="
_NO_END = 1 << 62
_ERROR = 16  # FFmpeg's AV_LOG_ERROR; what is worse is less


@dataclass(frozen=True, slots=True)
class FrameCheck:
    """PTS of a segment's frames that are damaged, and whether decoding may begin at its keyframe.

    It may not where frames only get whole one after the other (H.264 intra refresh).
    """

    damaged: frozenset[int]
    begins_whole: bool = True


def check_frames(
    job: Job, chunk: Chunk, segment: Segment, lost: Sequence[int], *, from_start: bool = False
) -> FrameCheck:
    """Find which of the source's frames in a segment are damaged; the same in every run.

    lost: PTS of its frames that did not come out of the decoder; from_start: begin with the file.
    If the stretch cannot be decoded packet by packet, all its frames count as damaged. Raises
    FfmpegError for what is not the source's fault.
    """
    video = chunk.source.video
    # A seek may land in another part of an edit list.
    from_start |= video.is_edited
    target = None if from_start else seek_target(segment.seek, video)
    packets: list[CheckedPacket] = []
    times = unpack(chunk.source_frame_pts)
    # Some packets give no frame by design; then the frames' times were not read from packets.
    is_planned = times.__contains__ if video.index != "packets" else _is_timed

    def on_out(line: str) -> None:
        if line.startswith(_ROW):
            packets.append(_checked(json.loads(line.removeprefix(_ROW)), is_planned))

    what = f"finding the damage in frames {segment.first_frame} to {segment.end_frame - 1}"
    try:
        job.reading.run(
            _command(job.reading.url, video, segment, target),
            what=what,
            on_out=on_out,
            stall_limit=job.execution.stall_timeout_s,
            stop=job.stop,
        )
    except FfmpegError as error:
        if not error.kind.is_clips_own:
            raise
        return FrameCheck(frozenset(segment.source_pts))
    damaged = damaged_frames(segment.source_pts, lost, packets, times, video.nominal_duration)
    first = packets[0] if packets and target is not None else None
    begins_whole = first is None or not first.is_key or first.clean_from == first.pts
    return FrameCheck(damaged, begins_whole)


def _is_timed(pts: int | None) -> bool:
    return pts is not None


def _command(url: str, video: VideoFacts, segment: Segment, target: Fraction | None) -> list[str]:
    asked: dict[str, Any] = {
        "url": url,
        "options": reading_options(url) | (PATIENCE if video.is_late else {}),
        "stream": video.stream,
        "edited": video.is_edited,
        "seek": None if target is None else floor(target / video.time_base),
        "start": segment.seek,
        "stop": segment.source_ranges[-1][1] if video.in_order else _NO_END,
    }
    # -P: what lies beside the program is not for it to import.
    return [sys.executable, "-P", str(_PROGRAM), json.dumps(asked)]


def _checked(row: dict[str, Any], is_planned: Callable[[int | None], bool]) -> CheckedPacket:
    # What is lost before a keyframe does not matter to it.
    said: list[tuple[int, str]] = row["said"] + ([] if row["key"] else row["read"])
    complains = any(is_complaint(text, is_error=level <= _ERROR) for level, text in said)
    is_lost = row["shown"] is False and is_planned(row["pts"])
    return CheckedPacket(
        pts=row["pts"],
        is_key=row["key"],
        is_damaged=row["corrupt"] or complains or is_lost,
        clean_from=row.get("clean"),
        is_hidden=row["hidden"],
        begins=row["begins"],
    )
