"""What an encode tells in ffmpeg's log of pictures that are not like the first one. Pure."""

from __future__ import annotations

import re

from clipping.models import PictureShape, VideoFacts

__all__ = ["Reconfigured"]

_CHANGED = re.compile(r"Reconfiguring filter graph because (.*)")
_SIZE = re.compile(r"video parameters changed to .*?, (\d+)x(\d+)")
_TURNED = "display matrix changed"


class Reconfigured:
    """Notices frames that `video` is not known to have. what: the first such, in a few words."""

    def __init__(self, video: VideoFacts) -> None:
        self.what: str | None = None
        self._knows_turns = bool(video.shapes)
        self._sizes = {_stored(shape) for shape in video.shapes or (video,)}

    def read(self, line: str) -> None:
        """Take in one line of ffmpeg's log."""
        found = _CHANGED.search(line)
        if found is None or self.what is not None:
            return
        size = _SIZE.search(found[1])
        if size is not None and (int(size[1]), int(size[2])) not in self._sizes:
            self.what = f"{size[1]}x{size[2]}"
        elif _TURNED in found[1] and not self._knows_turns:
            self.what = "turned"


def _stored(picture: VideoFacts | PictureShape) -> tuple[int, int]:
    if picture.rotation % 180:
        return picture.height, picture.width
    return picture.width, picture.height
