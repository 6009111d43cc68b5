"""Edit lists of several parts: what a phone or an editor cut together without encoding it anew.

What FFmpeg presents of such a track is the truth: the parts in their order, repeats included,
without the packets that are only there to be decoded (it flags them as to be discarded). Its
decoding times go back where a part begins, so that seeks may land in another part.
"""

from __future__ import annotations

from typing import Any

from clipping.errors import SourceError
from clipping.storage.mp4_boxes import edit_lists
from clipping.storage.source import Reading

__all__ = ["edited_streams"]


def edited_streams(reading: Reading, found: dict[str, Any]) -> frozenset[int]:
    """Indexes of the streams that are made of several parts of their media.

    found: what is in the source (`stream_reader.look`).
    Raises SourceError if the video is, and FFmpeg does not present it as it is meant.
    """
    video = found["video"]
    if not video["container"].startswith("mov,"):
        return frozenset()
    tracks: dict[int, int] = dict(found["tracks"])
    edits = edit_lists(reading.part, reading.size)
    mine = edits.get(tracks[video["stream"]])
    if mine is not None and mine.has_hole:
        raise SourceError(
            f"{reading.file.key}: its edit list has an empty part between two others, which ffmpeg"
            " fills with footage that does not belong there; export it from an editor as one"
            " continuous video"
        )
    several = {track for track, edit in edits.items() if edit.parts > 1 or edit.has_hole}
    return frozenset(index for index, track in tracks.items() if track in several)
