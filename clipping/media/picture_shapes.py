"""What a source's pictures are like, stretch by stretch, as a decoder gives them from its start.

It costs a decode of the whole video, so that it is for sources where `media.header_watch` has seen
a sign of a change.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from clipping.errors import FfmpegError, SourceError
from clipping.ffmpeg.commands import PATIENCE, reading_options
from clipping.models import PictureShape, VideoFacts
from clipping.storage.source import Reading

__all__ = ["shapes_of", "with_shapes"]

_PROGRAM = Path(__file__).with_name("decode_shapes.py")
_ROW = "shape="
_MOST = 65_535

# ISO/IEC 23091-2, 8.1 to 8.3, by ffmpeg's names; what is not here counts as not told.
_RANGES = {1: "tv", 2: "pc"}
_SPACES = {
    0: "gbr",
    1: "bt709",
    4: "fcc",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    8: "ycgco",
    9: "bt2020nc",
    10: "bt2020c",
    14: "ictcp",
}
_PRIMARIES = {
    1: "bt709",
    4: "bt470m",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    8: "film",
    9: "bt2020",
    10: "smpte428",
    11: "smpte431",
    12: "smpte432",
    22: "ebu3213",
}
_TRANSFERS = {
    1: "bt709",
    4: "bt470m",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    8: "linear",
    11: "iec61966-2-4",
    13: "iec61966-2-1",
    14: "bt2020-10",
    15: "bt2020-12",
    16: "smpte2084",
    17: "smpte428",
    18: "arib-std-b67",
}


def with_shapes(
    reading: Reading, video: VideoFacts, times: Sequence[int], *, is_certain: bool = False
) -> VideoFacts:
    """The facts with what changes in the picture in mid-stream, if anything does.

    times: PTS of the source's frames; is_certain: put it down even if all pictures are alike, and
    `times` may be those of a part.
    Raises SourceError, and FfmpegError for what is transient.
    """
    key, rows = reading.file.key, list[dict[str, Any]]()
    options = reading_options(reading.url) | (PATIENCE if video.is_late else {})
    asked = {"url": reading.url, "options": options, "stream": video.stream}

    def on_out(line: str) -> None:
        if line.startswith(_ROW):
            rows.append(json.loads(line.removeprefix(_ROW)))

    # -P: what lies beside the program is not for it to import.
    command = [sys.executable, "-P", str(_PROGRAM), json.dumps(asked)]
    try:
        reading.run(command, what="decoding it for changes of its picture", on_out=on_out)
    except FfmpegError as error:
        if error.kind.is_transient:
            raise
        raise SourceError(f"{key}: {error.message}", error.kind) from None
    if is_certain and any(row["pts"] is None for row in rows):
        del rows[1:]
    shapes = shapes_of(rows, video, times)
    if not shapes or (_is_told(shapes, video) and not is_certain):
        return video
    first = {"width": shapes[0].width, "height": shapes[0].height}
    return video.model_copy(update={"shapes": shapes, **first})


def shapes_of(
    rows: Sequence[dict[str, Any]], video: VideoFacts, times: Sequence[int]
) -> tuple[PictureShape, ...]:
    """The shapes that the lines of `decode_shapes` tell of. Pure.

    The container may tell the pixels' aspect, too, and has the last word as long as the stream's
    own does not change.
    """
    shapes: list[PictureShape] = []
    for row in rows:
        rotation, flipped = _turn(row["matrix"])
        is_across = rotation % 180 != 0
        aspect = _aspect(row) if _aspect(row) != _aspect(rows[0]) else video.sample_aspect_ratio
        colors: list[int] = row["colors"]
        shape = PictureShape(
            pts=_pts(row, times),
            width=row["height"] if is_across else row["width"],
            height=row["width"] if is_across else row["height"],
            rotation=rotation,
            flipped=flipped,
            sample_aspect_ratio=_upright(aspect, is_across=is_across),
            pixel_format=row["pixels"],
            color_range=_RANGES.get(colors[0]),
            color_space=_SPACES.get(colors[1]),
            color_primaries=_PRIMARIES.get(colors[2]),
            color_transfer=_TRANSFERS.get(colors[3]),
        )
        if not shapes or _alike(shapes[-1]) != _alike(shape):
            shapes.append(shape)
    # Frames may come in another order than their timestamps say.
    return tuple(sorted(shapes, key=lambda shape: shape.pts))


def _is_told(shapes: Sequence[PictureShape], video: VideoFacts) -> bool:
    """Whether the pictures are all as the container says; it says how they are turned, too."""
    return len(shapes) == 1 and (video.rotation - shapes[0].rotation) % 360 == 0


def _alike(shape: PictureShape) -> dict[str, Any]:
    return shape.model_dump(exclude={"pts"})


def _pts(row: dict[str, Any], times: Sequence[int]) -> int:
    if row["pts"] is None:  # no timestamps in the file: the frames are counted
        return times[min(int(row["frame"]), len(times) - 1)]
    return int(row["pts"])


def _upright(aspect: Fraction | None, *, is_across: bool) -> Fraction | None:
    """The aspect of pixels as they are shown, in numbers that H.264 can hold."""
    if not aspect:
        return None
    shown = 1 / aspect if is_across else aspect
    if max(shown.numerator, shown.denominator) <= _MOST:
        return shown
    return shown.limit_denominator(1000)


def _aspect(row: dict[str, Any]) -> Fraction:
    return Fraction(*row["aspect"]) if row["aspect"] else Fraction(1)


def _turn(matrix: Sequence[int] | None) -> tuple[int, bool]:
    """Degrees anticlockwise, to the next right angle, and whether it is mirrored.

    As av_display_rotation_get and fftools read a display matrix (libavutil/display.h).
    """
    if matrix is None:
        return 0, False
    a, b, _, c, d, *_ = matrix
    across, along = math.hypot(a, c), math.hypot(b, d)
    if not across or not along:
        return 0, False
    degrees = -math.degrees(math.atan2(b / along, a / across))
    return round(degrees / 90) * 90 % 360, a * d - b * c < 0
