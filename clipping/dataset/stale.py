"""Which clips are stale: of another recipe or list, of a video that changed or vanished. Pure.

A clip is compared with what its own video was last clipped with, never with another video's
recipe. Clips of another recipe, or of an older version of the video, are *superseded* as soon as
the video has been clipped again; the clips of a video that is gone are all there is of it and
stay *written*, but are stale as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from clipping.dataset.layout import clip_file
from clipping.dataset.tables import SUPERSEDED

__all__ = ["Ended", "Now", "Stale", "Standing"]


class Stale(StrEnum):
    """Why a clip is stale."""

    RECIPE = "other recipe"
    CHANGED = "source changed"
    VANISHED = "source vanished"
    UNASKED = "not asked for"  # by the recipe's list of spans, any more


class Ended(StrEnum):
    """What a run made of a video: nothing was to do; its clips were made or found; it failed."""

    KEPT = "kept"
    MADE = "made"
    FAILED = "failed"


@dataclass(slots=True)
class Now:
    """A video as this run knows it. clips: ids of those that the run has rows of.

    chunks: how many its record tells of, if it was written or read in this run.
    """

    fingerprint: str
    recipe_digest: str
    ended: Ended
    chunks: int = 0
    clips: set[str] = field(default_factory=set[str])


@dataclass(slots=True)
class Standing:
    """What is so of the videos whose clips an earlier table or record tells of.

    now: of this run's videos; before: fingerprint and recipe's digest of other videos' records
    (no digest if they failed). vanished: keys of videos that are gone; None if nobody looked, and
    what was so stays so. sizes: of the files in the folder of clips.
    """

    now: Mapping[str, Now]
    before: Mapping[str, tuple[str | None, str | None]]
    vanished: Set[str] | None
    sizes: Mapping[str, int]

    def is_replaced(self, row: Mapping[str, Any]) -> bool:
        """Whether this run has a row for the same clip."""
        now = self.now.get(row["source"])
        return now is not None and row["clip"] in now.clips

    def is_lost(self, row: Mapping[str, Any]) -> bool:
        """Whether the clip's file is no longer there as it was recorded."""
        return row["bytes"] > 0 and self.sizes.get(clip_file(row["clip"])) != row["bytes"]

    def judged(self, row: Mapping[str, Any]) -> tuple[str, str | None]:
        """What the row's `status` and `stale` are to be."""
        key, status, stale = row["source"], row["status"], row["stale"]
        fingerprint, digest = self._last(key)
        if fingerprint is not None and row["source_fingerprint"] != fingerprint:
            return SUPERSEDED, Stale.CHANGED.value
        if digest is not None and row["recipe_digest"] != digest:
            return SUPERSEDED, Stale.RECIPE.value
        now = self.now.get(key)
        if now is not None and now.ended is Ended.MADE and row["clip"] not in now.clips:
            return SUPERSEDED, Stale.UNASKED.value
        if status == SUPERSEDED:
            return status, stale
        if self.vanished is None:
            return status, stale
        return status, Stale.VANISHED.value if key in self.vanished else None

    def _last(self, key: str) -> tuple[str | None, str | None]:
        """The fingerprint and recipe's digest that a video was last clipped with.

        A recipe with which it failed has replaced nothing.
        """
        now = self.now.get(key)
        if now is None:
            return self.before.get(key, (None, None))
        return now.fingerprint, None if now.ended is Ended.FAILED else now.recipe_digest
