"""What a decode tells in ffmpeg's log: the time of every frame. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

__all__ = ["IS_FRAME", "Decoded", "pts_in"]

IS_FRAME = "Parsed_showinfo"  # what stands in all lines of the filter, and in no other

_FRAME = re.compile(r" n: *\d+ pts: *(-?\d+|NOPTS)")
_WORD = re.compile(r"\b([a-z_]+): *([^ \]]+)")
_ROTATION = re.compile(r"Display Matrix: rotation of (-?[\d.]+) degrees", re.IGNORECASE)


def pts_in(line: str) -> int | None:
    """PTS of the frame that a line of the filter names; None if it names none."""
    found = _FRAME.search(line)
    return int(found[1]) if found and found[1] != "NOPTS" else None


@dataclass(slots=True)
class Decoded:
    """What a decode told through `showinfo`; facts are those of the first frame."""

    pts: list[int] = field(default_factory=list[int])
    keys: list[int] = field(default_factory=list[int])
    last_duration: int = 0
    untimed: int = 0
    facts: dict[str, str] = field(default_factory=dict[str, str])
    interlaced: bool = False
    rotation: int = 0

    def read(self, line: str) -> None:
        """Take in one line of ffmpeg's log."""
        if IS_FRAME not in line:
            if (found := _ROTATION.search(line)) and not self.rotation:
                self.rotation = round(float(found[1])) if abs(float(found[1])) <= 360 else 0
            return
        if found := _FRAME.search(line):
            if found[1] == "NOPTS":
                self.untimed += 1
                return
            pts = int(found[1])
            self.pts.append(pts)
            facts = dict(_WORD.findall(line))
            if facts.get("iskey") == "1":
                self.keys.append(pts)
            self.last_duration = int(facts.get("duration", "0") or 0)
            self.interlaced |= facts.get("i") in ("T", "B")
            if not self.facts:
                self.facts = facts
        elif "color_range:" in line and len(self.pts) == 1:
            self.facts |= dict(_WORD.findall(line))
