"""Times of sound packets are put back on their grid."""

from __future__ import annotations

from fractions import Fraction

from clipping.media.audio import SoundPacket, on_grid


def test_rounded_times_are_put_back_on_the_grid() -> None:
    """Milliseconds of a 44.1 kHz AAC track lead back to multiples of 1024 samples."""
    rate, tick = 44_100, Fraction(441, 10)
    rounded = [
        SoundPacket(Fraction(round(i * 1024 * 1000 / rate)) * tick, 1014, b"") for i in range(200)
    ]
    restored = list(on_grid(rounded, tick))
    assert {p.samples for p in restored} == {1024}
    assert all(abs(p.start - i * 1024) <= 2 for i, p in enumerate(restored))


def test_a_real_gap_stays_a_gap() -> None:
    """Restoring the grid moves no packet across a hole in the track."""
    tick = Fraction(48)
    first = [SoundPacket(Fraction(i * 1024), 1024, b"") for i in range(50)]
    later = [SoundPacket(Fraction(500_000 + i * 1024), 1024, b"") for i in range(50)]
    restored = list(on_grid([*first, *later], tick))
    assert abs(restored[50].start - 500_000) <= 2
