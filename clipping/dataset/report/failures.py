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


@dataclass(slots=True)
class Group:
    """What shares a reason.

    what: video, clip, or stretch of consecutive absent clips; text: of the first; names: of the
    first few.
    """

    what: str
    status: str
    kind: str
    text: str
    count: int = 0
    names: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

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
        key = (what, row["status"], row["failure_kind"], re.sub(r"\d[\d.]*", "0", reason))
        group = found.get(key)
        if group is None:
            group = found[key] = Group(what, row["status"], row["failure_kind"], reason)
        group.count += 1
        if len(group.names) < _NAMED:
            number = f" clip {row['number']}" if row["clip"] else ""
            group.names.append((row["source"], number))
    return sorted(found.values(), key=lambda group: group.weight), videos


def _without_name(reason: str, source: str, uri: str) -> str:
    """A reason that others may have, too: without the name of the file it stands behind."""
    for name in filter(None, (uri, source)):
        reason = reason.removeprefix(name).removeprefix(": ")
    return reason or "no reason is recorded"
