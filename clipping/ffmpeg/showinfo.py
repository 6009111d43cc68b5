"""What a decode tells in ffmpeg's log: the time of every frame, and damage. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

__all__ = ["Decoded", "is_damage"]

# What a decoder says about a picture it could not, or not fully, decode.
_DAMAGE = re.compile(
    r"corrupt decoded frame|Error submitting packet to decoder|Skipping invalid undecodable NALU"
)
_FRAME = re.compile(r" n: *\d+ pts: *(-?\d+|NOPTS)")
_WORD = re.compile(r"\b([a-z_]+): *([^ \]]+)")
_ROTATION = re.compile(r"Display Matrix: rotation of (-?[\d.]+) degrees", re.IGNORECASE)


def is_damage(line: str) -> bool:
    """Whether a line of ffmpeg's log reports a picture that is lost or damaged."""
    return _DAMAGE.search(line) is not None


@dataclass(slots=True)
class Decoded:
    """What a decode told through `showinfo`; facts are those of the first frame.

    damaged: PTS of the frames that the decoder complained about, give or take its delay.
    complaints: those after the last frame.
    """

    pts: list[int] = field(default_factory=list[int])
    keys: list[int] = field(default_factory=list[int])
    last_duration: int = 0
    untimed: int = 0
    facts: dict[str, str] = field(default_factory=dict[str, str])
    interlaced: bool = False
    rotation: int = 0
    damaged: set[int] = field(default_factory=set[int])
    complaints: int = 0

    def read(self, line: str) -> None:
        """Take in one line of ffmpeg's log."""
        if "Parsed_showinfo" not in line:
            self.complaints += is_damage(line)
            if (found := _ROTATION.search(line)) and not self.rotation:
                self.rotation = round(float(found[1])) if abs(float(found[1])) <= 360 else 0
            return
        if found := _FRAME.search(line):
            if found[1] == "NOPTS":
                self.untimed += 1
                return
            pts = int(found[1])
            self.pts.append(pts)
            if self.complaints:  # a decoder complains just before it hands the picture on
                self.damaged.add(pts)
                self.complaints = 0
            facts = dict(_WORD.findall(line))
            if facts.get("iskey") == "1":
                self.keys.append(pts)
            self.last_duration = int(facts.get("duration", "0") or 0)
            self.interlaced |= facts.get("i") in ("T", "B")
            if not self.facts:
                self.facts = facts
        elif "color_range:" in line and len(self.pts) == 1:
            self.facts |= dict(_WORD.findall(line))
