"""What is a jump of a clock for good, and what only a wrong timestamp."""

from __future__ import annotations

from fractions import Fraction

from clipping.media.clock_jumps import ClockJumps
from clipping.storage.seams import Place

SECOND = 25  # ticks


def seams(
    *runs: tuple[int, int], container: str = "mpegts", is_join: bool = False
) -> list[tuple[int, int]]:
    """Old and new times where a clock jumps, of runs of so many packets from a second on."""
    jumps = ClockJumps(container, Fraction(1, SECOND))
    position = 0
    for packets, begin in runs:
        for tick in range(packets):
            jumps.see(begin * SECOND + tick, position)
            position += 188

    def shown(place: Place) -> bool:
        assert place.at == place.before + 188
        return is_join

    return [(p.old // SECOND, p.new // SECOND) for p in jumps.places(shown)]


def test_a_step_back_is_a_jump() -> None:
    """Of more than a second; and one forward of more than an hour."""
    assert seams((50, 100), (50, 7)) == [(101, 7)]
    assert seams((50, 100), (50, 5000)) == [(101, 5000)]
    assert seams((50, 100), (50, 7), (50, 9000)) == [(101, 7), (8, 9000)]


def test_a_smaller_step_is_one_where_bytes_show_it() -> None:
    """A pause of more than ten seconds, or a step back of less than one."""
    for runs in (((50, 100), (50, 200)), ((50, 100), (50, 101))):
        assert seams(*runs) == []
        assert len(seams(*runs, is_join=True)) == 1
    assert seams((50, 100), (50, 105), is_join=True) == []


def test_wrong_timestamps_are_none() -> None:
    """Where a clock comes back after a few packets, nothing can be told apart."""
    assert seams((50, 100), (1, 7), (50, 102)) == []
    assert seams((50, 100), (3, 200), (50, 102), is_join=True) == []
    assert seams((50, 100), (1, 7), (1, 5), (1, 3), (50, 200)) == []


def test_other_containers_have_none() -> None:
    """Their headers and indexes belong to the whole file."""
    assert seams((50, 100), (50, 7), container="flv") == []
    assert seams((50, 100), (50, 7), container="mpeg") == [(101, 7)]
    assert seams((50, 100), (50, 200), container="mpeg", is_join=True) == []
