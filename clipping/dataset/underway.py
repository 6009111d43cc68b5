"""Which videos' records are being changed: noted before the first change, until it is published.

A run that was killed leaves its note. The tables from before then say nothing of those videos,
and their records are read. Notes and tables bear times that only grow: each is later than all
that the run had seen, whatever the clocks of the machines say.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass

from clipping.dataset.layout import UNDERWAY, underway_file
from clipping.storage.outputs import Output

__all__ = ["Note", "notes", "remove_note", "time_after", "write_note"]


@dataclass(frozen=True, slots=True)
class Note:
    """A run's note. name: its file; time: microseconds; keys: of the videos."""

    name: str
    time: int
    keys: frozenset[str]


def time_after(*earlier: int) -> int:
    """Now, in microseconds, or just after the latest of `earlier`."""
    return max(time.time_ns() // 1000, *(each + 1 for each in earlier), 0)


def write_note(output: Output, shard: str, at: int, keys: Iterable[str]) -> None:
    """Note that the records of these videos are about to change."""
    output.write_text(
        f"{UNDERWAY}/{underway_file(shard)}", json.dumps({"time": at, "keys": sorted(keys)})
    )


def remove_note(output: Output, file: str) -> None:
    """The tables that tell of it are published."""
    output.remove(f"{UNDERWAY}/{file}")


def notes(output: Output) -> list[Note]:
    """The notes of runs that are at work or were killed."""
    found: list[Note] = []
    for name in output.sizes(UNDERWAY):
        text = output.read_text(f"{UNDERWAY}/{name}")
        if text is None:
            continue
        try:
            values = json.loads(text)
            found.append(Note(name, int(values["time"]), frozenset(map(str, values["keys"]))))
        except (ValueError, KeyError, TypeError):
            continue  # notes are written whole: nobody's but a person's
    return found
