"""A chunk to the segments that are each encoded in one go. Pure; exact throughout.

An encoder's bytes depend on all that it encoded before, and on its number of threads. Both follow
from the chunk alone, never from how many CPUs there are or what is done already, so that the same
recipe gives the same bytes.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import groupby, pairwise, product
from math import ceil, floor

from clipping.models import Chunk, Clip
from clipping.plan.frame_times import unpack
from clipping.plan.resampled import ShownFrames
from clipping.plan.shapes import changes_between

__all__ = ["Segment", "copied_segments", "segments"]

# A process costs about as much as decoding these frames, so a second one for what lies beyond a
# gap is worth it only if it spares more.
_SPLIT_SAVES_FRAMES = 48
# Decoding a frame costs about a fourth of encoding it (libx264 veryfast: a third where the source
# has 16 Mbit/s, less where it has fewer). What is decoded twice may cost this share of encoding.
_DECODE_COST = 1 / 4
_MOST_DECODED_TWICE = 0.02
# Cuts at even distances are tried first, then cuts where keyframes are, if no segment differs by
# more than this share from the mean.
_LEAD_IN_WEIGHTS = (_DECODE_COST, 4.0)
_MOST_UNEVEN = 0.5
# Processes side by side never take the same time: with more segments than CPUs, whoever is early
# takes the next. A further segment costs 0.1 s of CPU, the 1/50 of so many pixels' (veryfast).
_SEGMENT_PIXELS = 200e6
_MOST_SEGMENTS = 24
# A chunk that cannot be split gets a thread for so many pixels, if there are CPUs or not: threads
# take 2 to 3 % more CPU than one (veryfast), and the last chunk of a run leaves CPUs idle.
_THREAD_PIXELS = 100e6
_MOST_THREADS = 4
# How many frames have to be decoded before a frame when decoding starts for it alone.
_LeadIn = Callable[[int], int]


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of the source that one ffmpeg process encodes.

    Frame numbers index the whole source; `pts` are those of the frames to encode, in order.
    ranges: the half-open PTS ranges that are encoded; frames between them are decoded only.
    decoded: PTS of the source's frames that are decoded for it, if its own are those of another
    frame rate.
    boundaries: half-way points, in PTS, before each frame that must become an IDR.
    seek: PTS of the keyframe to start decoding from, None to start with the file.
    threads: of its encoder, on which the bytes depend.
    shape: number of the shape that its frames have in the source; shown_as: of the one that they
    get, which is that of its clips' first frames.
    """

    first_frame: int
    end_frame: int
    pts: tuple[int, ...]
    ranges: tuple[tuple[int, int], ...]
    boundaries: tuple[Fraction, ...]
    seek: int | None
    threads: int = 1
    shape: int = 0
    shown_as: int = 0
    decoded: tuple[int, ...] = ()

    @property
    def frame_count(self) -> int:
        """How many frames the segment encodes."""
        return len(self.pts)

    @property
    def source_pts(self) -> tuple[int, ...]:
        """PTS of the source's frames that it is made of, in order."""
        return self.decoded or self.pts

    @property
    def source_ranges(self) -> tuple[tuple[int, int], ...]:
        """The half-open PTS ranges of the source that it is made of."""
        if not self.decoded:
            return self.ranges
        return ((self.decoded[0], self.decoded[-1] + 1),)

    def overlaps(self, clip: Clip) -> bool:
        """Whether frames of the clip lie in it."""
        return self.first_frame < clip.end_frame and clip.start_frame < self.end_frame


def segments(
    chunk: Chunk, group: Sequence[Clip], clips_per_segment: int = 16, *, side_by_side: bool = True
) -> list[Segment]:
    """Plan the segments that make `group` (clips of `chunk`) with no frame encoded twice.

    Frames between clips are skipped over by decoding where a keyframe does not offer a
    shorter way, and by a new segment where it does. A long stretch is split at clip boundaries
    into segments of at most about `clips_per_segment` clips, and into enough of them that they keep
    several CPUs busy if they may be encoded `side_by_side`; into fewer where too much would be
    decoded twice, for want of keyframes. The encoder of a single segment gets threads instead.
    Where the source's pictures change their shape a segment ends; all first frames of `group` have
    the same one (`shapes.by_shape`).
    """
    pts = unpack(chunk.frame_pts)
    keys = list(unpack(chunk.keyframes))
    base = chunk.first_frame
    real = [c for c in group if c.frame_count > 0]
    if not real:
        return []
    edges = sorted({e for c in real for e in (c.start_frame, c.end_frame)})
    covered = _union([(c.start_frame, c.end_frame) for c in real])

    def lead_in(frame: int) -> int:
        return _lead_in(pts, keys, base, frame)

    video = chunk.source.video
    frames = ShownFrames.of(chunk) if chunk.resampled else None
    shown = frames.shown(pts) if frames else pts

    def shape(frame: int) -> int:
        return video.shape_number(shown[frame - base])

    changes = [base + i for i in changes_between(shown, video)]
    gaps = [base + i for i, (a, b) in enumerate(pairwise(pts), 1) if b - a > 1] if frames else []
    stretches = [
        part
        for same in _alike(
            _cut_at(covered, sorted({*changes, *gaps})),
            lambda frame: (shape(frame), bisect_right(gaps, frame)),
        )
        for part in _stretches(same, lead_in)
    ]
    total = _size(covered)
    pixels = total * video.width * video.height
    enough = min(_MOST_SEGMENTS, pixels / _SEGMENT_PIXELS) if side_by_side else 0
    planned: list[Segment] = []
    for stretch in stretches:
        size = _size(stretch)
        inside = sum(1 for c in real if stretch[0][0] <= c.start_frame < stretch[-1][1])
        pieces = [stretch]
        most = max(ceil(inside / clips_per_segment), floor(enough * size / total))
        for number, weight in product(_fewer_and_fewer(most), _LEAD_IN_WEIGHTS):
            pieces = _split(stretch, edges, number, lead_in, weight)
            again = sum(lead_in(piece[0][0]) for piece in pieces[1:])
            is_even = weight == _DECODE_COST or _is_even(pieces)
            if again * _DECODE_COST <= _MOST_DECODED_TWICE * size and is_even:
                break
        made = [_segment(piece, edges, pts, keys, base) for piece in pieces]
        planned += [
            replace(s, shape=shape(s.first_frame), shown_as=shape(real[0].start_frame))
            for s in (_resampled(m, chunk, frames) if frames else m for m in made)
        ]
    if not side_by_side or len(planned) > 1:
        return planned
    threads = max(1, min(_MOST_THREADS, floor(pixels / _THREAD_PIXELS)))
    return [replace(segment, threads=threads) for segment in planned]


def copied_segments(chunk: Chunk, group: Sequence[Clip]) -> list[Segment]:
    """The segments of clips that are copied: stretches of frames, from one keyframe to another."""
    pts, keys = unpack(chunk.frame_pts), list(unpack(chunk.keyframes))
    base = chunk.first_frame
    covered = _union([(c.start_frame, c.end_frame) for c in group if c.frame_count])
    edges = sorted({e for c in group for e in (c.start_frame, c.end_frame)})
    return [_segment([part], edges, pts, keys, base) for part in covered]


def _fewer_and_fewer(most: int) -> Iterator[int]:
    """Numbers of segments to try, down to 1."""
    while most > 1:
        yield most
        most = most * 3 // 4
    yield 1


def _union(ranges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(ranges):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _cut_at(ranges: Sequence[tuple[int, int]], places: Sequence[int]) -> list[tuple[int, int]]:
    cut: list[tuple[int, int]] = []
    for start, end in ranges:
        bounds = [start, *(p for p in places if start < p < end), end]
        cut += pairwise(bounds)
    return cut


def _alike(
    ranges: Sequence[tuple[int, int]], kind: Callable[[int], tuple[int, int]]
) -> list[list[tuple[int, int]]]:
    """Ranges in groups whose frames may be encoded in one go, by their kind."""
    return [list(group) for _, group in groupby(ranges, key=lambda r: kind(r[0]))]


def _resampled(segment: Segment, chunk: Chunk, frames: ShownFrames) -> Segment:
    """A segment of a resampled chunk with the source's frames that are decoded for it."""
    assert chunk.resampled is not None
    first, last = (frames.index_at(segment.pts[place]) for place in (0, -1))
    keys = unpack(chunk.resampled.keyframes)
    at = bisect_right(keys, frames.pts[first])
    return replace(
        segment,
        decoded=tuple(frames.pts[first : last + 1]),
        seek=keys[at - 1] if at else None,
    )


def _lead_in(pts: Sequence[int], keys: Sequence[int], base: int, frame: int) -> int:
    """How many frames of the chunk must be decoded before `frame` when starting there."""
    at = frame - base
    i = bisect_right(keys, pts[at])
    if i == 0:
        return at
    return at - min(at, bisect_right(pts, keys[i - 1] - 1))


def _stretches(covered: Sequence[tuple[int, int]], lead_in: _LeadIn) -> list[list[tuple[int, int]]]:
    stretches = [[covered[0]]]
    for (_, previous_end), following in pairwise(covered):
        saved = (following[0] - previous_end) - lead_in(following[0])
        if saved > _SPLIT_SAVES_FRAMES:
            stretches.append([following])
        else:
            stretches[-1].append(following)
    return stretches


def _split(
    stretch: list[tuple[int, int]],
    edges: Sequence[int],
    parts: int,
    lead_in: _LeadIn,
    weight: float,
) -> list[list[tuple[int, int]]]:
    """Cut a stretch at clip boundaries into `parts` of about the same number of frames.

    weight: how many frames a cut may be away from the even place to spare a frame of lead-in.
    """
    inner = [e for e in edges if e > stretch[0][0] and any(s <= e < t for s, t in stretch)]
    size = _size(stretch)
    cuts: list[int] = []
    for part in range(1, parts):
        free = [e for e in inner if not cuts or e > cuts[-1]]
        if not free:
            break
        target = size * part / parts
        cuts.append(
            min(
                free,
                key=lambda e: abs(_before(stretch, e) - target) + weight * lead_in(e),
            )
        )
    pieces: list[list[tuple[int, int]]] = []
    begin = stretch[0][0]
    for cut in [*cuts, stretch[-1][1]]:
        piece = [(max(s, begin), min(t, cut)) for s, t in stretch]
        piece = [(s, t) for s, t in piece if s < t]
        if piece:
            pieces.append(piece)
        begin = cut
    return pieces


def _is_even(pieces: Sequence[Sequence[tuple[int, int]]]) -> bool:
    sizes = [_size(piece) for piece in pieces]
    mean = sum(sizes) / len(sizes)
    return all(abs(size - mean) <= _MOST_UNEVEN * mean for size in sizes)


def _size(ranges: Sequence[tuple[int, int]]) -> int:
    return sum(t - s for s, t in ranges)


def _before(stretch: Sequence[tuple[int, int]], frame: int) -> int:
    return sum(min(t, frame) - s for s, t in stretch if s < frame)


def _segment(
    ranges: Sequence[tuple[int, int]],
    edges: Sequence[int],
    pts: Sequence[int],
    keys: Sequence[int],
    base: int,
) -> Segment:
    first, end = ranges[0][0], ranges[-1][1]
    encoded = tuple(pts[f - base] for s, t in ranges for f in range(s, t))
    starts = {s for s, _ in ranges}
    forced = [e for e in edges if first < e < end and any(s <= e < t for s, t in ranges)]
    at = bisect_right(keys, pts[first - base])
    return Segment(
        first_frame=first,
        end_frame=end,
        pts=encoded,
        ranges=tuple((pts[s - base], pts[t - base - 1] + 1) for s, t in ranges),
        boundaries=tuple(
            Fraction(pts[e - base - 1] + pts[e - base], 2)
            for e in sorted({*forced, *(starts - {first})})
        ),
        seek=keys[at - 1] if at else None,
    )
