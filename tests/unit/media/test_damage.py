"""From damaged packets to damaged frames."""

from __future__ import annotations

from clipping.media.damage import CheckedPacket, clip_damage, damaged_frames

# Two open GOPs in decoding order; B-frames before the second keyframe (8) are decoded after it.
ORDER = [0, 4, 2, 1, 3, 8, 6, 5, 7, 12, 10, 9, 11, 16, 14, 13, 15]
KEYS = {0, 8, 16}


def found(*damaged: int, slow: dict[int, int | None] | None = None) -> list[int]:
    """The damaged frames if the packets of these PTS are; `slow`: keyframes not whole at once."""
    packets = [
        CheckedPacket(p, p in KEYS, p in damaged, (slow or {}).get(p, p) if p in KEYS else None)
        for p in ORDER
    ]
    return sorted(damaged_frames(range(17), (), packets, range(17), 1))


def test_damage_reaches_the_next_keyframe() -> None:
    """All that is decoded after it counts, what an open GOP shows before the keyframe too."""
    assert found() == []
    assert found(2) == [1, 2, 3, 5, 6, 7]
    assert found(0) == list(range(8))
    assert found(12) == [*range(9, 16)]
    assert found(16) == [13, 14, 15, 16]


def test_what_is_shown_before_a_keyframe_damages_nothing_after_it() -> None:
    """No picture after a keyframe is built on one before it, whenever that is decoded."""
    assert found(6) == [5, 6, 7]
    assert found(5) == [5, 7]
    assert found(5, 14) == [5, 7, 13, 14, 15]


def test_a_keyframe_that_is_not_whole_at_once_ends_damage_later() -> None:
    """Intra refresh: damage ends where a decoder that begins at the keyframe is clean."""
    assert found(4, slow={8: 11}) == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
    assert found(4, slow={8: None}) == list(range(1, 16))


def test_a_lost_frame_damages_what_follows() -> None:
    """As if its packet were damaged; one without a packet counts with the packet before it."""
    packets = [CheckedPacket(p, p in (0, 40), False, p) for p in range(0, 80, 10)]
    times = [*range(0, 80, 10)]
    assert sorted(damaged_frames(times, [20], packets, times, 10)) == [20, 30]
    assert sorted(damaged_frames([10, 20, 60], [20], packets, times, 10)) == [20]
    del packets[2]
    assert sorted(damaged_frames(times, [20], packets, times, 10)) == [10, 20, 30]


def test_a_gap_between_clips_damages_nothing() -> None:
    """A packet belongs to the frame it is shown as, not to the last one that a clip holds."""
    packets = [CheckedPacket(p, p % 40 == 0, p == 40, p) for p in range(0, 120, 10)]
    times = [*range(0, 120, 10)]
    assert not damaged_frames([10, 20, 80, 90], (), packets, times, 10)


def test_a_picture_of_two_packets_is_damaged_by_either() -> None:
    """Fields may have a packet each, the second with a time of its own."""
    packets = [CheckedPacket(p, p in (0, 20), p == 15, p) for p in range(0, 40, 5)]
    assert sorted(damaged_frames([0, 10, 20, 30], (), packets, [0, 10, 20, 30], 10)) == [10]


def test_frames_lost_before_they_were_counted_damage_no_frame_before_them() -> None:
    """A frame lasts as long as frames do, not until the next one that was decoded."""
    packets = [CheckedPacket(p, p in (0, 40, 80), 40 <= p < 60, p) for p in range(0, 120, 10)]
    times = [0, 10, 20, 30, 80, 90, 100, 110]
    assert not damaged_frames(times, (), packets, times, 10)


def test_without_packets_or_times_all_counts() -> None:
    """Where nothing can be found out, nothing is called intact."""
    untimed = [CheckedPacket(None, i == 0, i == 2, None) for i in range(4)]
    assert damaged_frames([1, 2], (), untimed, [1, 2], 1) == {1, 2}
    assert damaged_frames([1, 2], (), [], [1, 2], 1) == {1, 2}


def test_lost_and_damaged_frames_are_counted_once() -> None:
    """A frame that is not there cannot be damaged as well."""
    assert clip_damage([1, 2, 3, 4], held=[1, 3, 4], damaged={2, 3, 9}) == 2
    assert clip_damage([1, 2], held=[1, 2], damaged={7}) == 0
