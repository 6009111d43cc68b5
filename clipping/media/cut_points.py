"""Keyframes at which a stream can be cut without encoding: those that begin a closed GOP.

A picture that follows a keyframe in decoding order and is shown before it may be built on what
comes before the keyframe (an open GOP): such a keyframe is no cutting point. Of H.264 it has to be
an IDR, too, where that can be seen: containers and parsers also call recovery points keyframes.
"""

from __future__ import annotations

import re
from typing import Any

__all__ = ["CutPoints"]

_HEAD = 64 * 1024  # bytes of a packet that are looked at
_IDR, _SLICES = 5, range(1, 6)  # nal_unit_type, ITU-T H.264 table 7-1
_START_CODE = re.compile(rb"\x00\x00\x01(.)", re.DOTALL)


class CutPoints:
    """Watches one stream in decoding order. found: PTS of its cutting points."""

    def __init__(self, codec: str, extradata: bytes | None) -> None:
        """codec: ffmpeg's name of it; extradata: the headers that the container has."""
        self._found: list[int] = []
        self._last: int | None = None
        self._is_h264 = codec == "h264"
        self._has_lengths = (extradata or b"")[:1] == b"\1"

    @property
    def found(self) -> list[int]:
        """All of them so far, ascending."""
        last = [] if self._last is None else [self._last]
        return sorted({*self._found, *last})

    def see(self, packet: Any) -> None:
        """Take in the next packet in decoding order."""
        pts = packet.pts
        if pts is None or packet.is_discard:
            return
        if packet.is_keyframe:
            if self._last is not None:
                self._found.append(self._last)
            head = bytes(memoryview(packet)[:_HEAD]) if self._is_h264 else b""
            self._last = pts if not self._is_h264 or self.is_idr(head) else None
        elif self._last is not None and pts < self._last:
            self._last = None

    def is_idr(self, head: bytes) -> bool:
        """Whether a packet's first slice is one of an IDR; what is not fetched counts as one."""
        for kind in self._kinds(head):
            if kind in _SLICES:
                return kind == _IDR
        return not head.strip(b"\0")

    def _kinds(self, head: bytes) -> list[int]:
        if not self._has_lengths:
            return [found[1][0] & 0x1F for found in _START_CODE.finditer(head)]
        kinds: list[int] = []
        at = 0
        while at + 5 <= len(head):
            kinds.append(head[at + 4] & 0x1F)
            at += 4 + int.from_bytes(head[at : at + 4], "big")
        return kinds
