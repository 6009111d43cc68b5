"""What decoders and demuxers say of lost or damaged video. Pure."""

from __future__ import annotations

import re

from clipping.ffmpeg.encoders import ENCODERS

__all__ = ["is_complaint", "is_damage"]

# A line of ffmpeg's log as `-loglevel level` prints it: contexts, level, text.
_LINE = re.compile(r"^(?:\[([^\]@]+?)(?: @ [^\]]*)?\] )*\[(panic|fatal|error|warning|info)\] (.*)")
# What is said below the level of an error although a picture is lost or made up.
_TELLING = re.compile(
    r"corrupt decoded frame|corrupt input packet|Packet corrupt|Skipping invalid undecodable NALU"
    r"|^concealing \d"
)
# What is called an error although every picture is whole: messages for the player, and the
# book-keeping of reference frames, which encoders get wrong and decoders put right.
_HARMLESS = re.compile(r"SEI type|mmco: unref short failure|number of reference frames")
# Who speaks, if it is the output's side of ffmpeg.
_OUTPUT = re.compile(r"(?:[vas]ost|out|enc|fc|vf|af|Parsed_|graph|swscaler|auto_|null$|mp4$)")


def is_complaint(text: str, *, is_error: bool) -> bool:
    """Whether a decoder or demuxer reports lost or damaged video by this message.

    is_error: whether it says so at the level of an error or above.
    """
    if _TELLING.search(text):
        return True
    return is_error and not _HARMLESS.search(text)


def is_damage(line: str) -> bool:
    """Whether a line of ffmpeg's log reports video that is lost or damaged in the source."""
    found = _LINE.match(line)
    if found is None:
        return False
    who, level, text = found[1] or "", found[2], found[3]
    if who in ENCODERS or _OUTPUT.match(who):
        return False
    return is_complaint(text, is_error=level in ("panic", "fatal", "error"))
