"""Which lines of ffmpeg's log tell of damage; all of them were seen."""

from __future__ import annotations

import pytest

from clipping.ffmpeg.complaints import is_damage


@pytest.mark.parametrize(
    "line",
    [
        "[vist#0:0/h264 @ 0x5d] [dec:h264 @ 0x5e] [warning] corrupt decoded frame",
        "[h264 @ 0x5d] [error] error while decoding MB 3 2, bytestream 12912",
        "[hevc @ 0x5d] [warning] Skipping invalid undecodable NALU: 21",
        "[mpeg2video @ 0x5d] [error] ac-tex damaged at 13 0",
        "[vist#0:0/av1 @ 0x1] [dec:libdav1d @ 0x2] [error] Error submitting packet to decoder: x",
        "[in#0/mpegts @ 0x5d] [warning] corrupt input packet in stream 0",
        "[in#0/mpegts @ 0x5d] [warning] Packet corrupt (stream = 0, dts = 558432).",
        "[in#0/mov,mp4,m4a,3gp,3g2,mj2 @ 0x5d] [error] stream 0, offset 0x3a: partial file",
    ],
)
def test_what_tells_of_damage(line: str) -> None:
    """Decoders and demuxers that report a picture lost, made up, or incomplete."""
    assert is_damage(line)


@pytest.mark.parametrize(
    "line",
    [
        "[h264 @ 0x5d] [error] SEI type 5 size 2208 truncated at 1552",
        "[h264 @ 0x5d] [error] mmco: unref short failure",
        "[h264 @ 0x5d] [warning] Increasing reorder buffer to 3",
        "[mp4 @ 0x5d] [error] Application provided duration: -1",
        "[libx264 @ 0x5d] [error] non-existing something",
        "[out#0/mp4 @ 0x5d] [error] Error muxing a packet",
        "[Parsed_showinfo_0 @ 0x5d] [info] n:   0 pts:      0 pts_time:0 duration:    512",
        "frame=  240",
        "",
    ],
)
def test_what_does_not(line: str) -> None:
    """What the output's side says, and what an intact picture may bring with it."""
    assert not is_damage(line)
