"""Where one recording ends and the next begins in a file of several joined ones. Pure.

Transport streams (ISO/IEC 13818-1, 2.4.3) and program streams (2.5.3) have no header and no index:
recordings are joined by putting one file behind the other, or by an encoder that starts again. Each
has its own clock of 33 bits, at 90 kHz.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import takewhile

__all__ = ["Place", "begins_anew", "part_ranges"]

# Gives bytes [start, end) of a file, perhaps fewer.
Read = Callable[[int, int], bytes]

_WRAP = 1 << 33
_SYNC = 0x47
_SIZES = (188, 192, 204)  # plain, with a time before each packet (M2TS), with a checksum behind
_EMPTY = 0x1FFF
_TABLES = {0, 1, 16, 17, 18, 20, _EMPTY}  # PAT, CAT, NIT, SDT, EIT, TDT
_PACKS = b"\0\0\1\xba"
_LOOKED_BACK = 4 * 1024 * 1024
_MOST_BETWEEN = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Place:
    """Where the clock jumps between two packets of the video.

    before, at: byte positions of the last packet of the old clock and of the first of the new one;
    old, new: their times in ticks of the clock.
    """

    before: int
    at: int
    old: int
    new: int

    def is_new(self, ticks: int) -> bool:
        """Whether a time is nearer to the new clock than to the old one."""
        return _apart(ticks, self.new) < _apart(ticks, self.old)


def part_ranges(
    read: Read, size: int, places: list[Place], *, is_transport: bool
) -> list[tuple[tuple[int, int], ...]]:
    """Byte ranges of each recording that, one after the other, are a file of its own.

    places: of the seams, in order. More than one range is needed where a recording's tables, which
    say what it holds, come late in it: those before it are put before it.
    """
    find = _transport_seam if is_transport else _program_seam
    starts = [(0, ()), *(find(read, place) for place in places)]
    ends = [start for start, _ in starts[1:]] + [size]
    return [(*tables, (start, end)) for (start, tables), end in zip(starts, ends, strict=True)]


def _apart(a: int, b: int) -> int:
    """How far two times of a clock that wraps are apart."""
    return min((a - b) % _WRAP, (b - a) % _WRAP)


@dataclass(frozen=True, slots=True)
class _Packet:
    """A packet of a transport stream.

    offset: of the packet with what is before it; counter: of its PID, None if it does not count.
    """

    offset: int
    pid: int
    starts: bool
    counter: int | None
    payload: bytes


def _transport_seam(read: Read, place: Place) -> tuple[int, tuple[tuple[int, int], ...]]:
    """Where a new recording begins, and byte ranges of the tables that it lacks there."""
    packets, size = _between(read, place)
    if not packets:
        return place.at, ()
    first = _first_of_new(packets, place)
    start = packets[first].offset
    if _begins_with_tables(packets[first:]):
        return start, ()
    return start, _tables_before(read, start, size)


def begins_anew(read: Read, place: Place) -> bool:
    """Whether another recording begins where a transport stream's clock makes a small step.

    Its tables come first, and the counters of its packets do not go on from those before. Where
    packets were lost, the tables hardly come first; where a clock jumps in one recording, counters
    go on.
    """
    packets, _ = _between(read, place)
    if not packets:
        return False
    first = _first_of_new(packets, place)
    if not _begins_with_tables(packets[first:]):
        return False
    counters: dict[int, int] = {}
    for i, packet in enumerate(packets):
        if packet.counter is None:
            continue
        before = counters.get(packet.pid)
        if i >= first and before is not None and packet.counter != (before + 1) % 16:
            return True
        counters[packet.pid] = packet.counter
    return False


def _between(read: Read, place: Place) -> tuple[list[_Packet], int]:
    """The packets from the last one of the old clock's video to the first of the new one's.

    And their size; none if they are not there.
    """
    content = read(place.before, min(place.at, place.before + _MOST_BETWEEN) + 3 * 204)
    size, lead = _packet_size(content)
    if not size:
        return [], 0
    found = _packets(content, place.before, size, lead)
    return [p for p in found if p.offset <= place.at], size


def _first_of_new(packets: list[_Packet], place: Place) -> int:
    """Number of the packet that another recording begins with, its tables included."""
    # The sound of a recording may come before its pictures.
    first = next((i for i, p in enumerate(packets) if _is_of_new(p, place)), len(packets) - 1)
    tables = _TABLES | _maps(packets[:first])
    while first > 0 and packets[first - 1].pid in tables:
        first -= 1
    return first


def _begins_with_tables(packets: list[_Packet]) -> bool:
    tables = _TABLES | _maps(packets)
    leading = takewhile(lambda packet: packet.pid in tables, packets)
    return any(packet.pid == 0 for packet in leading)


def _tables_before(read: Read, start: int, size: int) -> tuple[tuple[int, int], ...]:
    """Byte ranges of the last PAT before a place, and of the maps of programs that it names."""
    origin = max(0, start - _LOOKED_BACK)
    content = read(origin, start)
    _, lead = _packet_size(content)
    packets = list(_packets(content, origin, size, lead))
    named = [p for p in packets if p.pid == 0 and p.starts]
    if not named:
        return ()
    found = [named[-1]]
    for pid in _maps(named[-1:]):
        begun = [i for i, p in enumerate(packets) if p.pid == pid and p.starts]
        if begun:  # the last one may go on behind the place
            chosen = begun[-2] if len(begun) > 1 else begun[-1]
            stop = begun[-1] if len(begun) > 1 else len(packets)
            found += [p for p in packets[chosen:stop] if p.pid == pid]
    return tuple((p.offset, p.offset + size) for p in found)


def _packet_size(content: bytes) -> tuple[int, int]:
    """The size of packets, and where the first begins; 0 if there are none."""
    for size in _SIZES:
        for lead in range(min(size, len(content))):
            places = range(lead + (4 if size == 192 else 0), len(content), size)
            checked = list(places)[:8]
            if checked and all(content[at] == _SYNC for at in checked):
                return size, lead
    return 0, 0


def _packets(content: bytes, origin: int, size: int, lead: int) -> Iterator[_Packet]:
    inside = 4 if size == 192 else 0
    for at in range(lead, len(content) - size + 1, size):
        packet = content[at + inside : at + inside + 188]
        if packet[0] != _SYNC:
            continue
        control = packet[3] >> 4 & 3
        skipped = 4 + (1 + packet[4] if control & 2 else 0)
        payload = packet[skipped:] if control & 1 else b""
        pid = int.from_bytes(packet[1:3], "big") & 0x1FFF
        counter = packet[3] & 15 if control & 1 and pid != _EMPTY else None
        yield _Packet(origin + at, pid, bool(packet[1] & 0x40), counter, payload)


def _is_of_new(packet: _Packet, place: Place) -> bool:
    """Whether an elementary stream's unit begins with it, at a time of the new clock."""
    payload = packet.payload
    if not packet.starts or payload[:3] != b"\0\0\1" or len(payload) < 14 or not payload[7] & 0x80:
        return False
    return place.is_new(_ticks(payload[9:14]))


def _ticks(field: bytes) -> int:
    """A time of 33 bits, with a marker bit behind 3, 15 and 15 of them."""
    bits = int.from_bytes(field, "big")
    return (bits >> 33 & 7) << 30 | (bits >> 17 & 0x7FFF) << 15 | bits >> 1 & 0x7FFF


def _maps(packets: list[_Packet]) -> set[int]:
    """PIDs of the maps of programs that PATs name."""
    found: set[int] = set()
    for packet in packets:
        if packet.pid != 0 or not packet.starts or not packet.payload:
            continue
        table = packet.payload[1 + packet.payload[0] :]
        end = min(len(table), 3 + (int.from_bytes(table[1:3], "big") & 0xFFF)) - 4
        for at in range(8, end - 3, 4):
            if table[at : at + 2] != b"\0\0":
                found.add(int.from_bytes(table[at + 2 : at + 4], "big") & 0x1FFF)
    return found


def _program_seam(read: Read, place: Place) -> tuple[int, tuple[tuple[int, int], ...]]:
    """The first pack of the new clock, at the latest the one with the video's packet."""
    content = read(place.before, min(place.at, place.before + _MOST_BETWEEN))
    last, at = place.at, content.find(_PACKS)
    while at >= 0:
        last = place.before + at
        clock = _pack_clock(content[at + 4 : at + 10])
        if clock is not None and place.is_new(clock):
            break
        at = content.find(_PACKS, at + 4)
    return last, ()


def _pack_clock(field: bytes) -> int | None:
    """The clock of a pack, in the form of MPEG-2 or of MPEG-1."""
    if len(field) < 6:
        return None
    if field[0] >> 6 == 1:
        bits = int.from_bytes(field, "big")
        return (bits >> 43 & 7) << 30 | (bits >> 27 & 0x7FFF) << 15 | bits >> 11 & 0x7FFF
    return _ticks(field[:5]) if field[0] >> 4 == 2 else None
