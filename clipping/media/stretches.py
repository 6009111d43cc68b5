"""A file of several recordings, one behind the other, each with a clock of its own.

Each of them is a stretch: read as if it were a file of its own, so that what makes clips of a video
makes them of a stretch, and two frames of one timestamp are never taken for each other. They are
laid end to end on one time line (`plan.stretches`).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from fractions import Fraction

from clipping.errors import SourceError
from clipping.media.probe import probe
from clipping.models import Chunk, ProbedSource, ProbedStretch, Source, Stretch
from clipping.plan.frame_times import pack
from clipping.storage.seams import Place, part_ranges
from clipping.storage.source import Reading, part_of
from clipping.wording import count

__all__ = ["probe_stretches", "read_stretch"]

_MOST_STRETCHES = 1000


def read_stretch(reading: Reading, chunk: Chunk) -> AbstractContextManager[Reading]:
    """What a chunk is made from: the source, or the stretch of it that the chunk lies in."""
    stretch = chunk.stretch
    return nullcontext(reading) if stretch is None else part_of(reading, stretch.ranges)


def probe_stretches(
    reading: Reading, places: Sequence[Place], binary: str, *, is_transport: bool
) -> ProbedSource:
    """Probe each stretch of a file as a video of its own.

    places: where another clock begins; is_transport: in a transport stream, not a program stream.
    A stretch that is no video is left out, with a warning.
    Raises SourceError if none is.
    """
    file = reading.file
    if len(places) >= _MOST_STRETCHES:
        raise SourceError(
            f"{file.key}: its timestamps jump {len(places)} times; no clips can be made of it"
        )
    found: list[ProbedStretch] = []
    warnings: list[str] = []
    failure: SourceError | None = None
    start, frames = Fraction(0), 0
    ranges = part_ranges(reading.part, reading.size, list(places), is_transport=is_transport)
    for number, part in enumerate(ranges):
        try:
            with part_of(reading, part) as view:
                source, times = probe(view, binary)
        except SourceError as error:
            if error.kind.is_transient:
                raise
            failure = error
            reason = error.message.removeprefix(f"{file.key}: ")
            warnings.append(f"recording {number + 1} of {len(ranges)} in it is left out: {reason}")
            continue
        stretch = Stretch(
            number=number,
            ranges=part,
            start=start,
            first_frame=frames,
            frame_count=len(times.pts),
            first_pts=times.first,
            end_pts=times.end,
            time_base=times.time_base,
            width=source.video.width,
            height=source.video.height,
            codec=source.video.codec,
        )
        found.append(
            ProbedStretch(
                stretch=stretch,
                source=source,
                frame_pts=pack(times.pts),
                keyframes=pack(times.keyframes),
                repeated=pack(times.repeated),
                cut_points=pack(times.cut_points),
            )
        )
        start += times.duration
        frames += len(times.pts)
        warnings += [f"in recording {number + 1}: {warning}" for warning in source.warnings]
    if not found:
        assert failure is not None
        raise failure
    source = _whole(found, [*_seams(found), *warnings])
    return ProbedSource(file=file, source=source, stretches=tuple(found))


def _seams(found: Sequence[ProbedStretch]) -> list[str]:
    """What a person should know of it, if there is a seam at all."""
    if len(found) < 2:
        return []
    at = ", ".join(f"{float(s.stretch.start):.3f} s" for s in found[1:4])
    more = " …" if len(found) > 4 else ""
    return [
        f"its clock jumps {count(len(found) - 1, 'time')}, at {at}{more}: {len(found)} recordings"
        " laid end to end; no clip crosses from one to the next"
    ]


def _whole(found: Sequence[ProbedStretch], warnings: Sequence[str]) -> Source:
    """The file as one source: the facts of its first recording, as long as all of them."""
    first = found[0].source
    last = found[-1].stretch
    video = first.video
    duration = last.start + last.duration
    gaps = sum(s.source.video.gap_pts * s.source.video.time_base for s in found)
    facts = {
        "frame_count": last.first_frame + last.frame_count,
        "end_pts": video.first_pts + round(duration / video.time_base),
        "grid": None,  # each recording has its own
        "gap_pts": round(gaps / video.time_base),
    }
    return first.model_copy(
        update={
            "video": video.model_copy(update=facts),
            "warnings": tuple(warnings),
            "stretches": tuple(s.stretch for s in found),
        }
    )
