"""What did not become a clip, grouped by its reason, worst first."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

from clipping.models import ClipStatus, SourceStatus
from clipping.wording import count

__all__ = ["Group", "grouped", "read_failures"]

_NAMED = 20
_FIGURE = re.compile(r"\d[\d.]*\d|\d")


@dataclass(slots=True)
class Group:
    """What shares a reason.

    what: video, clip, or stretch of consecutive absent clips; first: the reason of the first;
    figures: the least and the greatest in each place of it; names: of the first few.
    """

    what: str
    status: str
    kind: str
    first: str
    count: int = 0
    figures: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    names: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

    def add(self, reason: str) -> None:
        """Count another one, whose reason differs in its figures at the most."""
        self.count += 1
        found = _FIGURE.findall(reason)
        if not self.figures:
            self.figures = [(each, each) for each in found]
        self.figures = [
            (min(least, new, key=_value), max(most, new, key=_value))
            for (least, most), new in zip(self.figures, found, strict=True)
        ]

    @property
    def text(self) -> str:
        """The reason; where figures differ, from the least to the greatest (0.5–1.9)."""
        left = iter(self.figures)

        def spread(_: re.Match[str]) -> str:
            least, most = next(left)
            return least if least == most else f"{least}–{most}"

        return _FIGURE.sub(spread, self.first)

    @property
    def more(self) -> int:
        """How many are not named."""
        return self.count - len(self.names)

    @property
    def noun(self) -> str:
        """What they are, in words."""
        return count(self.count, self.what).partition(" ")[2]

    @property
    def weight(self) -> tuple[int, int]:
        """What is worst comes first: failed videos, failed clips, then what holds nothing."""
        is_failed = self.status in (SourceStatus.FAILED, ClipStatus.FAILED)
        return (0 if is_failed and self.what == "video" else 1 if is_failed else 2, -self.count)


def read_failures(stream: BinaryIO) -> Iterable[Mapping[str, str]]:
    """The rows of `failures.csv`."""
    lines = (line.decode("utf-8") for line in stream)
    return csv.DictReader(lines)


def grouped(rows: Iterable[Mapping[str, str]]) -> tuple[list[Group], int]:
    """The groups, worst first, and how many failed videos are among the rows."""
    found: dict[tuple[str, ...], Group] = {}
    videos = 0
    for row in rows:
        what = "clip" if row["clip"] else "video"
        what = "stretch" if row["status"] == ClipStatus.ABSENT else what
        videos += what == "video" and row["status"] == SourceStatus.FAILED
        reason = _without_name(row["reason"], row["source"], row["source_uri"])
        key = (what, row["status"], row["failure_kind"], _FIGURE.sub("0", reason))
        group = found.get(key)
        if group is None:
            group = found[key] = Group(what, row["status"], row["failure_kind"], reason)
        group.add(reason)
        if len(group.names) < _NAMED:
            number = f" clip {row['number']}" if row["clip"] else ""
            group.names.append((row["source"], number))
    return sorted(found.values(), key=lambda group: group.weight), videos


def _value(figure: str) -> tuple[float, ...]:
    """What figures are compared by, versions and addresses (1.2.3) as well."""
    parts = figure.split(".")
    return (float(figure),) if len(parts) <= 2 else tuple(float(part or 0) for part in parts)


def _without_name(reason: str, source: str, uri: str) -> str:
    """A reason that others may have, too: without the name of the file it stands behind."""
    for name in filter(None, (uri, source)):
        reason = reason.removeprefix(name).removeprefix(": ")
    return reason or "no reason is recorded"
