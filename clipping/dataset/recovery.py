"""Rows of the manifest from the records, where no table can be trusted."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeVar

from pydantic import ValidationError

from clipping.dataset.layout import (
    VIDEO_RECORDS,
    chunk_record_name,
    clip_file,
    meta_name,
    source_record_name,
)
from clipping.dataset.manifest import Origin, clip_row
from clipping.dataset.tables import HeldTables
from clipping.models import ChunkRecord, ClipRecord, ClipStatus, SourceRecord, Value
from clipping.storage.addresses import is_remote
from clipping.storage.outputs import Output

__all__ = ["RecordedSource", "clip_records", "recorded_sources", "side_by_side", "source_records"]

_READS_AT_ONCE = 16
T = TypeVar("T")
R = TypeVar("R")
V = TypeVar("V", bound=Value)


@dataclass(frozen=True, slots=True)
class RecordedSource:
    """A video as its records have it. is_complete: whether all its chunks' records are there."""

    record: SourceRecord
    rows: list[dict[str, Any]]
    is_complete: bool


def side_by_side(output: Output, work: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """`work` on each item, in order; several at once where the output is a store."""
    if not is_remote(output.location("")):
        yield from map(work, items)
        return
    waiting = list(items)
    with ThreadPoolExecutor(_READS_AT_ONCE) as pool:
        for start in range(0, len(waiting), 64 * _READS_AT_ONCE):
            yield from pool.map(work, waiting[start : start + 64 * _READS_AT_ONCE])


def recorded_sources(held: HeldTables, seen: Iterable[str]) -> Iterator[RecordedSource]:
    """The videos that no table tells of, nor this run (`seen`: its keys), from their records.

    Raises StorageError.
    """
    known = set(seen)
    names = {source_record_name(key) for key in held.untrusted - known}
    if not held.covers_all:
        told = {source_record_name(key) for key in known}
        below = (f"{VIDEO_RECORDS}/{name}" for name in held.output.names_below(VIDEO_RECORDS))
        names |= {name for name in below if name not in told and _may_be_told(held, name)}

    def read(name: str) -> RecordedSource | None:
        record = _read(held.output, name, SourceRecord)
        if record is None or record.key in known or held.covers(record.key):
            return None
        return _recorded(held, record) if held.is_mine(record.key) else None

    yield from filter(None, side_by_side(held.output, read, sorted(names)))


def source_records(held: HeldTables, keys: Iterable[str]) -> Iterator[SourceRecord]:
    """The records of these videos that are there. Raises StorageError."""

    def read(key: str) -> SourceRecord | None:
        record = _read(held.output, source_record_name(key), SourceRecord)
        return record if record is not None and record.key == key else None

    yield from filter(None, side_by_side(held.output, read, sorted(keys)))


def _may_be_told(held: HeldTables, name: str) -> bool:
    """Whether a record's key, as far as its name shows it, is this run's and in no table."""
    key = name.removeprefix(f"{VIDEO_RECORDS}/").removesuffix(".json")
    return "~" in key or (held.is_mine(key) and not held.covers(key))


def _recorded(held: HeldTables, record: SourceRecord) -> RecordedSource:
    origin = Origin.recorded(record, record)
    proof = (record.recipe_digest, record.fingerprint, record.key)
    rows: list[dict[str, Any]] = []
    is_complete = True
    for number in range(record.chunks):
        chunk = _read(held.output, chunk_record_name(record.key, number), ChunkRecord)
        if chunk is None or (chunk.recipe_digest, chunk.fingerprint, chunk.source_key) != proof:
            is_complete = False
            continue
        rows += [clip_row(clip, origin, record.recipe_digest) for clip in chunk.clips]
    return RecordedSource(record, rows, is_complete)


def _read(output: Output, name: str, kind: type[V]) -> V | None:
    text = output.read_text(name)
    try:
        return None if text is None else kind.model_validate_json(text)
    except ValidationError:
        return None


def clip_records(held: HeldTables, clips: Iterable[str]) -> Iterator[dict[str, Any] | None]:
    """The row of each of these clips, by id, from the JSON beside it; None if it proves nothing.

    Its file has to have the recorded size. Raises StorageError.
    """

    def read(clip: str) -> dict[str, Any] | None:
        text = held.output.read_text(meta_name(clip))
        try:
            values: dict[str, Any] = json.loads(text or "")
            record = ClipRecord.model_validate(values["record"])
            origin = Origin(
                key=str(values["source_key"]),
                uri=str(values["source_video"]),
                fingerprint=str(values["source_fingerprint"]),
                time_base=Fraction(values["time_base"]),
                width=int(values["width_source"]),
                height=int(values["height_source"]),
                codec=values.get("codec_source"),
                fps=float(values["framerate_source"]),
                duration_s=values.get("duration_source"),
            )
            digest = str(values["recipe_digest"])
        except (ValueError, KeyError, TypeError, ZeroDivisionError):
            return None
        is_there = held.sizes.get(clip_file(clip)) == record.bytes
        if record.status is not ClipStatus.WRITTEN or not is_there or record.clip.id != clip:
            return None
        return clip_row(record, origin, digest)

    yield from side_by_side(held.output, read, clips)
