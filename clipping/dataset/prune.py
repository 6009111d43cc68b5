"""Removing stale clips: their files, their JSON, and the records that tell of nothing else."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from clipping.dataset.layout import (
    CHUNK_RECORDS,
    chunk_record_name,
    clip_name,
    meta_name,
    preview_name,
    shots_name,
    source_record_name,
)
from clipping.dataset.recovery import side_by_side
from clipping.dataset.stale import Stale
from clipping.storage.outputs import Output

__all__ = ["remove_clips", "remove_files", "remove_records"]


def remove_clips(output: Output, rows: Iterable[Mapping[str, Any]]) -> None:
    """Remove these rows' clips: the JSON first, the file last. Raises StorageError.

    Until a clip's file is gone, the table that is there tells of it, and it can be removed.
    """

    def remove(row: Mapping[str, Any]) -> None:
        output.remove(meta_name(row["clip"]))
        if row["bytes"]:
            output.remove(preview_name(row["clip"]))
            output.remove(clip_name(row["clip"]))

    for _ in side_by_side(output, remove, rows):
        pass


def remove_files(output: Output, rows: Iterable[Mapping[str, Any]]) -> None:
    """Remove the files of these rows' clips, and nothing that is recorded. Raises StorageError."""
    names = (name(row["clip"]) for row in rows for name in (preview_name, clip_name))
    for _ in side_by_side(output, output.remove, names):
        pass


def remove_records(
    output: Output, chunks: Mapping[str, int], reasons: Mapping[str, set[str]]
) -> None:
    """Remove the records of videos (by key) that tell of removed clips alone.

    reasons: why a video's clips were removed. chunks: how many chunks its newest record tells
    of: records of more are left from an earlier recipe. All of a vanished video's are removed.
    """
    there = set(output.names_below(CHUNK_RECORDS))
    numbers: dict[str, list[int]] = defaultdict(list)
    for name in there:
        stem, _, number = name.removesuffix(".json").rpartition("_")
        if number.isdecimal():
            numbers[stem].append(int(number))
    names: list[str] = []
    for key, why in reasons.items():
        is_gone = Stale.VANISHED in why
        stem = chunk_record_name(key, 0).removeprefix(f"{CHUNK_RECORDS}/").removesuffix("_0.json")
        found = (chunk_record_name(key, number) for number in numbers.get(stem, ()))
        kept = {chunk_record_name(key, n) for n in range(0 if is_gone else chunks.get(key, 0))}
        names += [name for name in found if name not in kept]
        if is_gone:
            names += [source_record_name(key), shots_name(key)]
    for _ in side_by_side(output, output.remove, names):
        pass
