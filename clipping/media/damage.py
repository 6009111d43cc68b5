"""Which frames of a source are damaged, and what that means for a clip. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from clipping.models import Clip

__all__ = ["CheckedPacket", "clip_damage", "damage_note", "damaged_frames"]


@dataclass(frozen=True, slots=True)
class CheckedPacket:
    """What was found of one packet of the source.

    clean_from: of a keyframe, PTS from which frames are whole when decoding begins there; None
    if none is.
    is_hidden: whether it is only there to be decoded, and none of the source's frames.
    begins: whether a part of an edit list begins with it; no picture is built on one of another
    part.
    """

    pts: int | None
    is_key: bool
    is_damaged: bool
    clean_from: int | None = None
    is_hidden: bool = False
    begins: bool = False


def damaged_frames(
    frames: Iterable[int],
    lost: Iterable[int],
    packets: Sequence[CheckedPacket],
    times: Sequence[int],
    longest: int,
) -> frozenset[int]:
    """Of the PTS in `frames`, those of frames that are damaged.

    lost: PTS of frames that did not come out of the decoder; packets: in decoding order; times:
    PTS of all frames of the source there, ascending; longest: what a frame may last, where no
    next one says how long it does.

    A picture that is built on a damaged one is damaged: everything from the damaged packet on
    to the next keyframe, the pictures shown before that keyframe included (open GOP). Nothing
    shown after a keyframe is built on what is shown before it, so that damage in pictures that
    are decoded after it and shown before it ends there.
    """
    if not packets:
        return frozenset(frames)
    shown = _Shown(packets, times, longest)
    found = list(packets)
    for pts in lost:
        for place in shown.places(pts):
            found[place] = replace(found[place], is_damaged=True)
    begins = [i for i, p in enumerate(found) if p.begins or i == 0]
    parts = [found[a:b] for a, b in pairwise([*begins, len(found)])]
    spoilt = [is_spoilt for part in parts for is_spoilt in _spread(part)]
    return frozenset(p for p in frames if any(spoilt[place] for place in shown.places(p)))


class _Shown:
    """Which packets a frame came of."""

    def __init__(
        self, packets: Sequence[CheckedPacket], times: Sequence[int], longest: int
    ) -> None:
        timed = sorted(
            (p.pts, i) for i, p in enumerate(packets) if p.pts is not None and not p.is_hidden
        )
        self._pts = [pts for pts, _ in timed]
        self._places = [place for _, place in timed]
        self._every = range(len(packets))
        self._next = dict(pairwise(times))
        self._longest = longest

    def places(self, pts: int) -> Sequence[int]:
        """Positions of the packets shown from `pts` until the next frame.

        Fields of one picture may have a packet each. Packets that are shown much later are of
        frames that were lost before the source's frames were counted. Where no packet has such a
        time, it is the last one before it; all packets, if they have no times at all.
        """
        if not self._pts:
            return self._every
        first = bisect_left(self._pts, pts)
        end = min(self._next.get(pts, pts + 1), pts + self._longest)
        stop = bisect_left(self._pts, end)
        if first < stop:
            return self._places[first:stop]
        return [self._places[max(0, first - 1)]]


def _spread(packets: Sequence[CheckedPacket]) -> list[bool]:
    """Of each packet, whether it is damaged or built on one that is."""
    ends: list[float] = []  # of each packet, PTS of the keyframe that ends its damage
    following = float("inf")
    for packet in reversed(packets):
        ends.append(following)
        if packet.is_key and packet.clean_from is not None:
            following = packet.clean_from
    ends.reverse()
    spoilt: list[bool] = []
    until, key, last = float("-inf"), float("-inf"), float("-inf")
    for packet, end in zip(packets, ends, strict=True):
        last = packet.pts if packet.pts is not None else last
        if packet.is_key:
            key = last
        if packet.is_damaged:
            until = max(until, key if last < key else end)
        spoilt.append(packet.is_damaged or last < until)
    return spoilt


def clip_damage(frames: Iterable[int], held: Iterable[int], damaged: Iterable[int]) -> int:
    """How many of a clip's frames are lost or damaged.

    frames: PTS of the frames planned; held: of those encoded; damaged: of those damaged.
    """
    whole = set(held).difference(damaged)
    return sum(1 for p in frames if p not in whole)


def damage_note(clip: Clip, damage: int) -> str:
    """What the record of a damaged clip says of it."""
    return f"{damage} of {clip.frame_count} frames are lost or damaged in the source"
