"""Where a file's clock jumps for good, because another recording begins."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from clipping.errors import SourceError
from clipping.plan.frame_times import LONGEST_STEP
from clipping.storage.seams import Place

__all__ = ["ClockJumps", "JoinedError"]

# Containers without header and index, whose recordings can be told apart by their bytes.
_JOINABLE = ("mpegts", "mpeg")
_BACK = 1  # seconds
# Video packets that a clock goes on for; what lasts shorter is a wrong timestamp, or damage.
_FOR_GOOD = 8


class JoinedError(SourceError):
    """A file that cannot be read as one video: another clock begins at each of `places`."""

    def __init__(self, message: str, places: tuple[Place, ...] = ()) -> None:
        super().__init__(message)
        self.places = places

    def __reduce__(self) -> Any:
        return (type(self), (self.message, self.places), self._context())


@dataclass(slots=True)
class ClockJumps:
    """Watches the decoding times of a video's packets.

    A step back is a jump, and one forward of more than an hour: a clock of 33 bits cannot tell one
    from the other.
    """

    container: str
    time_base: Fraction
    _places: list[Place] = field(default_factory=list[Place])
    _last: tuple[int, int | None] | None = None
    _since: int = _FOR_GOOD
    _is_wild: bool = False

    def see(self, dts: int | None, position: int | None) -> None:
        """Take in the next packet."""
        if dts is None or self.container not in _JOINABLE:
            return
        if self._last is not None:
            before, place = self._last
            step = (dts - before) * self.time_base
            if step < -_BACK or step > LONGEST_STEP:
                self._is_wild |= self._since < _FOR_GOOD or place is None or position is None
                if not self._is_wild and place is not None and position is not None:
                    self._places.append(Place(place, position, before, dts))
                self._since = 0
        self._since += 1
        self._last = (dts, position)

    @property
    def places(self) -> tuple[Place, ...]:
        """Where another clock begins; none if the times are too wild for that."""
        return () if self._is_wild else tuple(self._places)
