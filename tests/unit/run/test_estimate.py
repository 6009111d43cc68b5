"""Share and time left of made-up runs: nobody is told what has to be taken back."""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest

from clipping.run.estimate import Estimate

MEGABYTE = 1_000_000


@dataclass
class Video:
    """size: bytes; effort: pixels, and so much of it a second."""

    size: int
    effort: float


def told(videos: list[Video], speed: float, opened_a_second: float) -> list[tuple[float, float]]:
    """Share and time left over the actual time left, second by second, of a run over `videos`.

    The first videos are made while the later ones are still opened.
    """
    estimate = Estimate(len(videos), sum(v.size for v in videos))
    whole = sum(v.effort for v in videos)
    seen: list[tuple[float, float]] = []
    now, done = 0.0, 0.0
    while done < whole:
        now += 1
        opened = min(len(videos), int(now * opened_a_second))
        known = sum(v.effort for v in videos[:opened])
        done = min(done + speed, known) if opened else 0.0
        estimate.update(
            now, done=done, known=known, videos_opened=opened,
            bytes_opened=sum(v.size for v in videos[:opened]),
        )  # fmt: skip
        if estimate.seconds_left is not None:
            seen.append((estimate.share, estimate.seconds_left))
    assert estimate.share == 1
    assert estimate.seconds_left in (0, None)
    ends = now
    assert seen == sorted(seen, key=lambda each: each[0]), "the share fell"
    first = ends - len(seen) + 1
    return [(share, left - (ends - first - i)) for i, (share, left) in enumerate(seen)]


def alike(number: int) -> list[Video]:
    """Videos of one length."""
    return [Video(5 * MEGABYTE, 4e8) for _ in range(number)]


def mixed(seed: int) -> list[Video]:
    """A few large ones among many small ones, in no order."""
    chance = random.Random(seed)
    sizes = [chance.lognormvariate(0, 1.5) * MEGABYTE for _ in range(120)]
    return [Video(int(size), size * chance.uniform(40, 160)) for size in sizes]


def test_alike_videos_are_told_to_the_second() -> None:
    """Speed and size are constant: so is the end that is told."""
    off = told(alike(40), speed=1e8, opened_a_second=2)
    assert all(abs(error) < 5 for share, error in off if share > 0.3)


@pytest.mark.parametrize("seed", range(8))
def test_time_left_does_not_rise_by_more_than_a_fifth(seed: int) -> None:
    """From a tenth of the work on; however the videos differ."""
    videos = mixed(seed)
    estimate = Estimate(len(videos), sum(v.size for v in videos))
    whole = sum(v.effort for v in videos)
    now, done, lowest = 0.0, 0.0, float("inf")
    while done < whole:
        now += 1
        opened = min(len(videos), int(now * 3))
        known = sum(v.effort for v in videos[:opened])
        done = min(done + whole / 100, known)
        bytes_opened = sum(v.size for v in videos[:opened])
        estimate.update(
            now, done=done, known=known, videos_opened=opened, bytes_opened=bytes_opened
        )
        left = estimate.seconds_left
        if left is not None and estimate.share >= 0.1 and left > 3:
            assert left <= 1.2 * lowest, f"{lowest:.0f} s became {left:.0f} s"
            lowest = min(lowest, left)
    assert lowest < float("inf"), "nothing was ever told"


def test_nothing_is_told_of_the_first_moments() -> None:
    """Nor where nothing has been done."""
    estimate = Estimate(3, 3 * MEGABYTE)
    estimate.update(1, done=0, known=0, videos_opened=0, bytes_opened=0)
    assert (estimate.share, estimate.seconds_left) == (0, None)
    estimate.update(2, done=1e6, known=1e9, videos_opened=1, bytes_opened=MEGABYTE)
    assert estimate.seconds_left is None


def test_videos_that_give_nothing_are_no_work() -> None:
    """All opened, nothing to make: that is all of it."""
    estimate = Estimate(2, MEGABYTE)
    estimate.update(5, done=0, known=0, videos_opened=2, bytes_opened=MEGABYTE)
    assert estimate.share == 0
