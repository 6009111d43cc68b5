"""Other people's readers read our clips right: docs/readers.md has the same table.

Every reader is asked everything of every kind of clip; frames prove themselves by the numbers
burned into them, sound by its place in the source.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from tests.media.read_clips import (
    NTSC,
    SOUNDS,
    VFR,
    Kinds,
    ReadClip,
    picture_clips,
    sound_clips,
)
from tests.support.media import RATE, lag
from tests.support.readers import READERS, Reader

DOCS = Path(__file__).parents[2] / "docs" / "readers.md"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Kinds:
    return dict(picture_clips(tmp_path_factory.mktemp("pictures")))


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Kinds:
    return dict(sound_clips(tmp_path_factory.mktemp("sounds")))


# What is asked of a clip: what the reader says, and what it should say.
Check = Callable[[Any, ReadClip], tuple[object, object]]


def _order(clip: ReadClip) -> list[int]:
    """Six indices forth and back, the last frame among them."""
    inside = random.Random(5).sample(range(len(clip.frames)), 5)
    return [*inside[:3], len(clip.frames) - 1, *inside[3:]]


def _close(tolerance: float) -> Callable[[Fraction], object]:
    return lambda value: pytest.approx(float(value), abs=tolerance)


CHECKS: dict[str, Check] = {
    "number of frames": lambda r, clip: (r.count(), len(clip.frames)),
    # To two decimals: that is what ffmpeg prints.
    "rate": lambda r, clip: (r.rate(), _close(0.006)(clip.rate)),
    "duration": lambda r, clip: (r.seconds(), _close(0.006)(clip.end)),
    "every frame in order": lambda r, clip: (
        [r.frame(i) for i in range(len(clip.frames))],
        clip.numbers,
    ),
    "last frame": lambda r, clip: (r.frame(len(clip.frames) - 1), clip.numbers[-1]),
    "frames in any order": lambda r, clip: (
        [r.frame(i) for i in _order(clip)],
        [clip.numbers[i] for i in _order(clip)],
    ),
    "frames by time": lambda r, clip: (
        [r.at(clip.moments[i]) for i in _order(clip)],
        [clip.numbers[i] for i in _order(clip)],
    ),
}

# The cells that are not right for some kinds, which no writer of clips can help: notes in the docs.
# 1: takes every clip for one of constant rate.
# 2: multiplies the duration with the rate, and drops what is behind the point.
# 3: has to guess how long a frame of a variable rate lasts (FFmpeg before 8).
EXPLAINED: dict[tuple[str, str], tuple[str, frozenset[str]]] = {
    ("torchcodec", "rate"): ("3", frozenset({VFR})),
    ("torchcodec", "duration"): ("3", frozenset({VFR})),
    ("torchcodec", "frames by time"): ("3", frozenset({VFR})),
    ("torchcodec, approximate", "rate"): ("1", frozenset({VFR})),
    ("torchcodec, approximate", "last frame"): ("1", frozenset({VFR})),
    ("torchcodec, approximate", "frames in any order"): ("1", frozenset({VFR})),
    ("torchcodec, approximate", "frames by time"): ("1", frozenset({VFR})),
    ("decord", "duration"): ("3", frozenset({VFR})),
    ("OpenCV", "every frame in order"): ("1", frozenset({VFR})),
    ("OpenCV", "frames in any order"): ("1", frozenset({VFR})),
    ("OpenCV", "frames by time"): ("1", frozenset({VFR})),
    ("imageio", "every frame in order"): ("1", frozenset({VFR})),
    ("imageio", "last frame"): ("1", frozenset({VFR})),
    ("imageio", "frames in any order"): ("1", frozenset({VFR})),
    ("moviepy", "number of frames"): ("2", frozenset({VFR, NTSC})),
    ("moviepy", "every frame in order"): ("1", frozenset({VFR})),
    ("moviepy", "last frame"): ("1", frozenset({VFR})),
    ("moviepy", "frames in any order"): ("1", frozenset({VFR})),
    ("moviepy", "frames by time"): ("1", frozenset({VFR})),
}


def _ready(reader: Reader) -> None:
    """Skip what is not installed; where all are said to be (in CI), that is a failure."""
    missing = reader.missing()
    if missing is None:
        return
    if os.environ.get("CLIPPING_TEST_READERS"):
        pytest.fail(f"{reader.name}: {missing}; docs/readers.md says what to install")
    pytest.skip(f"{missing}; docs/readers.md says what to install")


def _complaint(reader: Reader, kind: str, clip: ReadClip, check: Check) -> str | None:
    with reader.open(clip.path) as opened:
        try:
            said, wanted = check(opened, clip)
        except Exception as error:  # whatever a reader may raise
            return f"{kind}: {type(error).__name__}: {str(error)[:200]}"
    return None if said == wanted else f"{kind}: {said} instead of {wanted}"


def _params() -> Iterator[Any]:
    for reader in READERS:
        for name in CHECKS:
            if name != "frames by time" or reader.has_times:
                yield pytest.param(reader, name, id=f"{reader.name}-{name}")


@pytest.mark.parametrize(("reader", "name"), _params())
def test_pictures(pictures: Kinds, reader: Reader, name: str) -> None:
    """What a reader says of a clip, and every frame that it gives, is right."""
    _ready(reader)
    _, explained = EXPLAINED.get((reader.name, name), ("", frozenset()))
    wrong = [
        complaint
        for kind, clip in pictures.items()
        if kind not in explained
        if (complaint := _complaint(reader, kind, clip, CHECKS[name]))
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("kind", SOUNDS)
@pytest.mark.parametrize(
    "reader", [pytest.param(r, id=r.name) for r in READERS if r.sound is not None]
)
def test_sound(sounds: Kinds, reader: Reader, kind: str) -> None:
    """The first sample that a reader gives is the one that sounds with the first picture."""
    _ready(reader)
    assert reader.sound is not None
    clip = sounds[kind]
    assert abs(lag(clip.sound, reader.sound(clip.path)[:RATE])) <= 1


def test_the_table_in_the_docs() -> None:
    """It has a row for each reader, a column for each question, and the notes that hold."""
    lines = [line.split("|")[1:-1] for line in DOCS.read_text().splitlines() if line[:1] == "|"]
    rows = [[cell.strip() for cell in line] for line in lines if "---" not in line[0]]
    asked = rows[0][1:]
    assert asked == [*CHECKS, "sound"]
    found = {row[0]: row[1:] for row in rows[1:] if len(row) == len(rows[0])}
    assert found == {
        reader.name: [
            "–" if name == "frames by time" and not reader.has_times
            else " ".join(["right", EXPLAINED.get((reader.name, name), ("", ""))[0]]).strip()
            for name in CHECKS
        ] + ["right" if reader.sound else "–"]
        for reader in READERS
    }  # fmt: skip
