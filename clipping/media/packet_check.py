"""Find the damaged packets of a stretch of a source, and with them the damaged frames.

It costs a decode of the stretch by one thread, so that it is for stretches where something was
complained of. ffmpeg itself does not tell which packet a complaint is about: its decoder gives
frames later than it complains, and its threads' lines mix.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from math import floor
from pathlib import Path
from typing import Any

from clipping.errors import FfmpegError
from clipping.ffmpeg.commands import DEMUXERS, protocols, seek_target
from clipping.ffmpeg.complaints import is_complaint
from clipping.media.damage import CheckedPacket, damaged_frames
from clipping.media.method import Job
from clipping.models import VideoFacts
from clipping.plan.segments import Segment

__all__ = ["check_frames"]

_PROGRAM = Path(__file__).with_name("decode_packets.py")
_ROW = "packet="
_ERROR = 16  # FFmpeg's AV_LOG_ERROR; what is worse is less


def check_frames(
    job: Job, video: VideoFacts, segment: Segment, lost: Sequence[int]
) -> frozenset[int]:
    """PTS of the segment's frames that are damaged, the same in every run.

    lost: PTS of its frames that did not come out of the decoder. If the stretch cannot be decoded
    packet by packet, all count as damaged. Raises FfmpegError for what is not the source's fault.
    """
    packets: list[CheckedPacket] = []

    def on_out(line: str) -> None:
        if line.startswith(_ROW):
            packets.append(_checked(json.loads(line.removeprefix(_ROW))))

    what = f"finding the damage in frames {segment.first_frame} to {segment.end_frame - 1}"
    try:
        job.reading.run(
            _command(job.reading.url, video, segment),
            what=what,
            on_out=on_out,
            stall_limit=job.execution.stall_timeout_s,
            stop=job.stop,
        )
    except FfmpegError as error:
        if not error.kind.is_clips_own:
            raise
        return frozenset(segment.pts)
    return damaged_frames(segment.pts, lost, packets)


def _command(url: str, video: VideoFacts, segment: Segment) -> list[str]:
    target = seek_target(segment.seek, video)
    asked: dict[str, Any] = {
        "url": url,
        "options": {"format_whitelist": DEMUXERS, "protocol_whitelist": protocols(url)},
        "stream": video.stream,
        "seek": None if target is None else floor(target / video.time_base),
        "start": segment.seek,
        "stop": segment.ranges[-1][1],
    }
    # -P: what lies beside the program is not for it to import.
    return [sys.executable, "-P", str(_PROGRAM), json.dumps(asked)]


def _checked(row: dict[str, Any]) -> CheckedPacket:
    complains = any(is_complaint(text, is_error=level <= _ERROR) for level, text in row["said"])
    return CheckedPacket(
        pts=row["pts"],
        is_key=row["key"],
        is_damaged=row["corrupt"] or complains,
        clean_from=row.get("clean"),
    )
