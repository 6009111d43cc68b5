"""How much of a run's work is done, and how long the rest will take. Pure: it is told the time.

Work is counted in pixels, since an encoder's speed goes by them; what a chunk and a clip cost
besides is counted as so many pixels more. Videos that are not opened yet are taken to hold as much
for each byte as those that are.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp

from clipping.models import Chunk

__all__ = ["Estimate", "effort"]

# About 0.3 s for a chunk (a process, a task) and 0.03 s for a clip, at 70 Mpx/s on a CPU.
_PER_CHUNK = 2e7
_PER_CLIP = 2e6
# 720p at 30 frames/s and 3 Mb/s, which a few opened videos hardly change.
_USUAL_PER_BYTE = 74.0
_BYTES_OF_DOUBT = 20e6
# Nothing is said before that: of the first seconds, and from the first videos.
_MEASURED_SECONDS = 10.0
_MEASURED_SECONDS_WHILE_OPENING = 20.0
_LEAST_SHARE = 0.02
_KNOWN_BYTES = 0.3
_KNOWN_VIDEOS = 50
# How fast the guess follows: seconds, and a share of the time measured so far.
_SLOWEST, _FOLLOWS = 10.0, 0.15


def effort(chunk: Chunk, pixels: float) -> float:
    """What a chunk costs, counted in pixels; pixels: of its clips, overlaps counted once."""
    return pixels + _PER_CHUNK + _PER_CLIP * len(chunk.clips)


@dataclass(slots=True)
class Estimate:
    """Follows a run. videos, size: how many there are to open, and their bytes.

    share: of the work that is done, between 0 and 1; it never falls. seconds_left: None until
    enough is known.
    """

    videos: int
    size: int
    share: float = 0.0
    seconds_left: float | None = None
    _began: float | None = None
    _done_then: float = 0.0
    _ends: float | None = None
    _last: float = 0.0

    def update(
        self, now: float, *, done: float, known: float, videos_opened: int, bytes_opened: int
    ) -> None:
        """Take in how far the run is at `now` (seconds of any clock).

        done: effort so far, of the `known` effort of the videos that are opened.
        """
        unopened = max(0, self.size - bytes_opened)
        per_byte = (known + _USUAL_PER_BYTE * _BYTES_OF_DOUBT) / (bytes_opened + _BYTES_OF_DOUBT)
        total = known + unopened * per_byte
        share = min(1.0, done / total) if total else 0.0
        self.share = max(self.share, share)
        if self._began is None:
            if done:
                self._began, self._done_then = now, done
            return
        measured = now - self._began
        speed = (done - self._done_then) / measured if measured else 0.0
        opened_enough = bytes_opened >= _KNOWN_BYTES * self.size or videos_opened >= _KNOWN_VIDEOS
        needed = _MEASURED_SECONDS_WHILE_OPENING if unopened else _MEASURED_SECONDS
        if measured < needed or share < _LEAST_SHARE or not opened_enough or not speed:
            return
        ends = now + (total - done) / speed
        if self._ends is None:
            self._ends = ends
        else:
            # Videos differ: the guess moves towards the newest one, it does not jump.
            weight = 1 - exp((self._last - now) / max(_SLOWEST, _FOLLOWS * measured))
            self._ends += weight * (ends - self._ends)
        self._last = now
        self.seconds_left = max(0.0, self._ends - now) if share < 1 else 0.0
