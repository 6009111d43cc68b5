"""Which channels AAC takes, and how others are brought into a layout that it does. Pure.

AAC in MP4 has a number for seven layouts (ISO/IEC 14496-3, table 1.19); others need a program
config element, which few players read. FFmpeg's own mixing refuses layouts whose channels are in
an order of their own or have one place twice, and leaves out what it has no rule for, so that
every gain is given here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Mix", "mix", "mixed_to", "opus_mix"]

_SURROUND = ("FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR")
# From the smallest. The names are FFmpeg's.
_TAKEN: dict[str, tuple[str, ...]] = {
    "mono": ("FC",),
    "stereo": _SURROUND[:2],
    "3.0": _SURROUND[:3],
    "4.0": (*_SURROUND[:3], "BC"),
    "5.0": (*_SURROUND[:3], "BL", "BR"),
    "5.1": _SURROUND[:6],
    "7.1": _SURROUND,
}
# What channels without places are taken for, by their number, as players do.
_BY_COUNT = {len(places): name for name, places in _TAKEN.items()}
_EQUAL = 0.7071  # to two channels at equal loudness
# Places that are others by another name (left and right of a stereo or binaural mix).
_ALIASES = {"DL": "FL", "DR": "FR", "BIL": "FL", "BIR": "FR", "SDL": "SL", "SDR": "SR"}
# Where a channel goes in 7.1, which has no place for it.
_NEAREST: dict[str, dict[str, float]] = {
    "BC": {"BL": _EQUAL, "BR": _EQUAL},
    "LFE2": {"LFE": 1.0},
    "FLC": {"FL": _EQUAL, "FC": _EQUAL},
    "FRC": {"FR": _EQUAL, "FC": _EQUAL},
    "WL": {"FL": _EQUAL, "SL": _EQUAL},
    "WR": {"FR": _EQUAL, "SR": _EQUAL},
    "SSL": {"SL": 1.0},
    "SSR": {"SR": 1.0},
    "TFL": {"FL": _EQUAL},
    "TFC": {"FC": _EQUAL},
    "TFR": {"FR": _EQUAL},
    "TSL": {"SL": _EQUAL},
    "TSR": {"SR": _EQUAL},
    "TTL": {"SL": _EQUAL},
    "TTR": {"SR": _EQUAL},
    "TBL": {"BL": _EQUAL},
    "TBC": {"BL": 0.5, "BR": 0.5},
    "TBR": {"BR": _EQUAL},
    "TC": {"FL": 0.35, "FR": 0.35, "BL": 0.35, "BR": 0.35},
    "BFL": {"FL": _EQUAL},
    "BFC": {"FC": _EQUAL},
    "BFR": {"FR": _EQUAL},
}
# A pan of which no gain is between 0 and 1 makes FFmpeg mix by its own rules after all.
_SILENCE = "0.000000001*c0"


@dataclass(frozen=True, slots=True)
class Mix:
    """What becomes of a track's channels when it is encoded.

    layout: that AAC gets; channels: how many those are; filters: what makes them, if that takes
    anything; is_lossy: whether channels were mixed together.
    """

    layout: str
    filters: tuple[str, ...] = ()
    is_lossy: bool = False

    @property
    def channels(self) -> int:
        """How many channels the layout has."""
        return len(_TAKEN[self.layout])


def mix(places: Sequence[str]) -> Mix:
    """How channels at these places ("FL", "" where none is told) are brought into AAC.

    The smallest layout with a place for each of them; 7.1 if none has. Channels without places
    are taken for a usual layout of their number, else (and if several claim one place) the odd
    ones are put to the left and the even ones to the right. A channel that is said to be unused
    is left out. Of Ambisonics, two directions are kept.
    """
    if not places:  # FFmpeg does not say; it may know how
        return Mix("stereo", ("aformat=channel_layouts=stereo",))
    if _is_ambisonic(places):
        return _heard_from_ahead(places)
    told = _told(places)
    if tuple(places) in _TAKEN.values():
        return Mix(next(name for name, usual in _TAKEN.items() if usual == tuple(places)))
    if not any(told):
        return _unplaced(places)
    layout = _smallest(told)
    gains: dict[str, list[tuple[int, float]]] = {place: [] for place in _TAKEN[layout]}
    for channel, place in enumerate(told):
        for target, gain in _targets(place, layout).items():
            gains[target].append((channel, gain))
    return _mixed(layout, len(told), gains)


def mixed_to(made: Mix, channels: int) -> Mix:
    """The same as mono (1) or stereo (2), by FFmpeg's own rules; 0 leaves it as it is."""
    if channels in (0, made.channels):
        return made
    layout = "mono" if channels == 1 else "stereo"
    is_lossy = made.is_lossy or made.channels > channels
    return Mix(layout, (*made.filters, f"aformat=channel_layouts={layout}"), is_lossy)


def opus_mix(made: Mix) -> Mix:
    """The same in a layout that Opus has a number for, too (RFC 7845, section 5.1.1.2)."""
    if made.layout != "4.0":
        return made
    return Mix("5.0", (*made.filters, "aformat=channel_layouts=5.0"), is_lossy=made.is_lossy)


def _told(places: Sequence[str]) -> list[str]:
    """The places under their usual names; none at all where they cannot be right."""
    named = [_ALIASES.get(place, place) for place in places]
    known = [p if p in _SURROUND or p in _NEAREST or p == "UNSD" else "" for p in named]
    real = [p for p in known if p and p != "UNSD"]
    is_half_a_pair = len(known) <= 2 and len(real) < len(known) and "UNSD" not in known
    is_one = len(known) == 1
    return [""] * len(known) if len(set(real)) < len(real) or is_half_a_pair or is_one else known


def _is_ambisonic(places: Sequence[str]) -> bool:
    return len(places) >= 4 and all(place.startswith("AMBI") for place in places[:4])


def _heard_from_ahead(places: Sequence[str]) -> Mix:
    """Ambisonics as two cardioids to the sides: W and Y are its first channels."""
    sides = {"FL": [(0, 0.5), (1, 0.5)], "FR": [(0, 0.5), (1, -0.5)]}
    for channel, place in enumerate(places):
        if place in sides:  # stereo that goes with it, and does not turn with the head
            sides[place].append((channel, 1.0))
    return _mixed("stereo", len(places), sides)


def _unplaced(places: Sequence[str]) -> Mix:
    count = len(places)
    claimed = any(places) and count > 2  # each says the same: they are no surround
    if count in _BY_COUNT and not claimed:
        layout = _BY_COUNT[count]
        gains = {place: [(i, 1.0)] for i, place in enumerate(_TAKEN[layout])}
        return _mixed(layout, count, gains)
    channels = range(count)
    sides = {"FL": [(i, 1.0) for i in channels[::2]], "FR": [(i, 1.0) for i in channels[1::2]]}
    return _mixed("stereo", count, sides)


def _smallest(places: Sequence[str]) -> str:
    for layout in _TAKEN:
        targets = [_targets(place, layout) for place in places if place != "UNSD"]
        if all(targets) and all(max(t.values()) == 1 for t in targets):
            taken = [place for target in targets for place in target]
            if len(set(taken)) == len(taken):
                return layout
    return "7.1" if any(p not in ("FL", "FR", "FC", "") for p in places) else "stereo"


def _targets(place: str, layout: str) -> dict[str, float]:
    """Where a channel goes in a layout, with its gains; empty if nowhere."""
    taken = _TAKEN[layout]
    if place in taken:
        return {place: 1.0}
    if place == "UNSD":
        return {}
    if layout == "7.1" and place in _NEAREST:
        return _NEAREST[place]
    if place == "FC" or not place:
        return {"FL": _EQUAL, "FR": _EQUAL} if "FR" in taken else {"FC": 1.0}
    side = {"SL": "BL", "SR": "BR"}.get(place)  # one pair at the sides stands at the back of 5.1
    return {side: 1.0} if side in taken else {}


def _mixed(layout: str, channels: int, gains: dict[str, list[tuple[int, float]]]) -> Mix:
    """Filters for gains of (channel, gain); all are lowered alike where they might clip."""
    numbers = "|".join(map(str, range(channels)))
    rows = [gains[place] for place in _TAKEN[layout]]
    single = [row[0][0] for row in rows if len(row) == 1 and row[0][1] == 1]
    if len(single) == len(rows) == channels:
        return Mix(layout, (f"channelmap={'|'.join(map(str, single))}:{layout}",))
    loudest = max(1.0, *(sum(abs(gain) for _, gain in row) for row in rows))
    parts = [
        f"{place}={'+'.join(f'{gain / loudest:.6f}*c{i}' for i, gain in row) or _SILENCE}"
        for place, row in zip(_TAKEN[layout], rows, strict=True)
    ]
    # FFmpeg takes no layout of an order of its own into a mix: any other will do.
    relabel = f"channelmap={numbers}:0x{(1 << channels) - 1:x}"
    pan = "|".join([layout, *(part.replace("+-", "-") for part in parts)])
    is_lossy = any(len(row) > 1 for row in rows)
    return Mix(layout, (relabel, f"pan={pan}"), is_lossy)
