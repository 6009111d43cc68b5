"""Where a chunk's clips end up: the interface of an output format."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from clipping.models import ChunkRecord, ClipRecord

__all__ = ["ClipSink", "Effort"]


@dataclass(frozen=True, slots=True)
class Effort:
    """What a chunk took: wall seconds, frames encoded, seconds of clips made."""

    seconds: float
    encoded_frames: int
    made_seconds: float


class ClipSink(Protocol):
    """Takes the clips of one chunk. All of it raises StorageError.

    A clip that it gave a record for is whole, and found by `existing` after a crash. The chunk's
    record is written by `commit`, after everything else.
    """

    def existing(self) -> dict[str, ClipRecord]:
        """The records of the clips that need no work, by clip id."""
        ...

    def begin(self) -> None:
        """Before the first clip is added: what is there no longer counts as the whole chunk."""
        ...

    def add(self, draft: ClipRecord, file: Path | None, preview: Path | None = None) -> ClipRecord:
        """Take in a clip; its full record. file: the finished clip, None if it has none.

        preview: a small picture of it, which is not needed and may be lost.
        """
        ...

    def commit(self, made: list[ClipRecord], effort: Effort) -> ChunkRecord:
        """Write the chunk's record: what existed, and what was made."""
        ...
