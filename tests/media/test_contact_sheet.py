"""A picture of the first frames of clips."""

from __future__ import annotations

import io
from pathlib import Path

import av
import numpy as np

from clipping.media.contact_sheet import contact_sheet
from tests.support.media import counter_video, ffmpeg, number_in, steady

# Of a tile, and from one to the next.
WIDTH, HEIGHT = 240, 136
RIGHT, DOWN = WIDTH + 4, HEIGHT + 4


def opened(path: Path) -> io.BytesIO:
    return io.BytesIO(path.read_bytes())


def picture(jpeg: bytes) -> np.ndarray:
    """Its pixels, in gray."""
    with av.open(io.BytesIO(jpeg), "r") as container:
        return next(container.decode(video=0)).to_ndarray(format="gray")


def test_each_tile_shows_the_first_frame_of_its_clip(tmp_path: Path) -> None:
    """Row by row, whatever the clips' shape; one that cannot be read stays black."""
    counter_video(tmp_path / "all.mp4", *steady(60), options={"g": "1"})
    clips: list[io.BytesIO] = []
    for number in range(5):
        path = tmp_path / f"{number}.mp4"
        shape = ("640:360", "160:400", "48:32", "320:192", "1000:100")[number]
        cut = f"trim=start_frame={7 * number + 1},setpts=PTS-STARTPTS,scale={shape}:flags=neighbor"
        ffmpeg("-i", tmp_path / "all.mp4", "-vf", cut, "-frames:v", "3", path)
        clips.append(opened(path))
    clips.insert(1, io.BytesIO(b"no video"))
    jpeg = contact_sheet(clips)
    assert jpeg
    assert len(jpeg) < 60_000
    sheet = picture(jpeg)
    assert sheet.shape == (2 * DOWN - 4, 4 * RIGHT - 4)
    shown: list[int | None] = []
    for place in range(6):
        row, column = divmod(place, 4)
        top, left = row * DOWN, column * RIGHT
        tile = sheet[top : top + HEIGHT, left : left + WIDTH]
        bright = np.flatnonzero(tile.max(axis=0) > 10)
        high = np.flatnonzero(tile.max(axis=1) > 10)
        if not len(bright):
            shown.append(None)
            continue
        inside = tile[high[0] : high[-1] + 1, bright[0] : bright[-1] + 1]
        shown.append(number_in(inside))
    assert shown == [1, None, 8, 15, 22, 29]


def test_nothing_to_show_gives_no_picture() -> None:
    """No clip, or none that can be read."""
    assert contact_sheet([]) is None
    assert contact_sheet([io.BytesIO(b"")]) is None
