"""Where a file's clock jumps for good, because another recording begins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, dataclass, field
from fractions import Fraction
from typing import Any

from clipping.errors import SourceError
from clipping.plan.frame_times import LONGEST_STEP
from clipping.storage.seams import Place

__all__ = ["ClockJumps", "JoinedError"]

# Containers without header and index, whose recordings can be told apart by their bytes.
_JOINABLE = ("mpegts", "mpeg")
_BACK = 1  # seconds
_PAUSE = 10  # seconds: what ffmpeg takes for a jump in a transport stream
_MOST_LOOKED_AT = 100
# Video packets that a clock goes on for; what lasts shorter is a wrong timestamp, or damage.
_FOR_GOOD = 8


class JoinedError(SourceError):
    """A file that cannot be read as one video: another clock begins at each of `places`."""

    def __init__(
        self, message: str, places: tuple[Place, ...] = (), *, is_transport: bool = True
    ) -> None:
        super().__init__(message)
        self.places, self.is_transport = places, is_transport


@dataclass(slots=True)
class ClockJumps:
    """Watches the decoding times of a video's packets.

    A step back of more than a second is a jump, and one forward of more than an hour: a clock of 33
    bits cannot tell one from the other. A smaller one may also be a loss, or a pause.
    """

    container: str
    time_base: Fraction
    _sure: list[Place] = field(default_factory=list[Place])
    _perhaps: list[Place] = field(default_factory=list[Place])
    _last: tuple[int, int | None] | None = None
    _since: int = _FOR_GOOD
    _was_sure: bool = False
    _is_wild: bool = False
    _second: int = 1  # in ticks: whole numbers, since there are many packets

    def __post_init__(self) -> None:
        self._second = self.time_base.denominator // self.time_base.numerator

    @classmethod
    def told(cls, container: str, time_base: Fraction, seen: dict[str, Any]) -> ClockJumps:
        """What another one has seen, by its `seen`."""
        sure, perhaps = ([Place(*place) for place in seen[name]] for name in ("sure", "perhaps"))
        return cls(container, time_base, sure, perhaps, _is_wild=seen["is_wild"])

    @property
    def seen(self) -> dict[str, Any]:
        """What it has seen, as JSON holds it."""
        places = {"sure": self._sure, "perhaps": self._perhaps}
        found = {name: [astuple(place) for place in of] for name, of in places.items()}
        return {**found, "is_wild": self._is_wild}

    @property
    def is_transport(self) -> bool:
        """Whether it is a transport stream, not a program stream."""
        return self.container == "mpegts"

    def see(self, dts: int | None, position: int | None) -> None:
        """Take in the next packet."""
        if dts is None or self.container not in _JOINABLE:
            return
        if self._last is not None:
            self._step(*self._last, dts, position)
        self._since += 1
        self._last = (dts, position)

    def _step(self, before: int, place: int | None, dts: int, position: int | None) -> None:
        step, second = dts - before, self._second
        if 0 <= step <= _PAUSE * second:
            return
        is_sure = step < -_BACK * second or step > LONGEST_STEP * second
        found = None
        if place is not None and position is not None:
            found = Place(place, position, before, dts)
        restless = self._since < _FOR_GOOD
        self._is_wild |= (is_sure and found is None) or (restless and (is_sure or self._was_sure))
        if found is not None and is_sure:
            self._sure.append(found)
        elif found is not None and len(self._perhaps) < _MOST_LOOKED_AT:
            self._perhaps.append(found)
        self._since, self._was_sure = 0, is_sure

    def places(self, is_join: Callable[[Place], bool]) -> tuple[Place, ...]:
        """Where another clock begins; none if the times are too wild for that.

        is_join: whether bytes show that another recording begins at a place.
        """
        if self._is_wild:
            return ()
        shown = [p for p in self._perhaps if self.is_transport and is_join(p)]
        return tuple(sorted([*self._sure, *shown], key=lambda p: p.at))
