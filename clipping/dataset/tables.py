"""The tables that earlier runs left, and of which videos they still tell the truth.

The records are the truth. A table stands for them where it is whole, of the present format,
and no run has begun to change the video's records since (`underway`). What it says of a clip's
file is compared with the one listing of all files.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from pydantic import ValidationError

from clipping.dataset.layout import (
    CLIPS,
    MANIFESTS,
    clip_file,
    clip_id_of,
    manifest_name,
    shard_of_manifest,
    sources_name,
    underway_file,
)
from clipping.dataset.manifest import FORMAT
from clipping.dataset.underway import notes, remove_note, time_after, write_note
from clipping.models import ClipStatus, SourceRecord
from clipping.plan.shards import in_shard, shard_number, shard_parts
from clipping.storage.outputs import Output

__all__ = ["SUPERSEDED", "HeldSource", "HeldTables"]

SUPERSEDED = "superseded"
_HEX = "0123456789abcdef"  # a clip's id begins with one of these
_MANY = 10_000  # clips, from which on their listing is taken apart
_ROW = (
    *("source", "clip", "status", "bytes", "errors", "damaged_frames"),
    *("encoder", "source_uri", "count"),
)
_SOURCE = (
    *("source", "source_uri", "source_fingerprint", "recipe_digest", "status", "record"),
    *("chunks", "clips", "bytes", "complete"),
)


@dataclass(slots=True)
class HeldSource:
    """What the tables tell of a video.

    row: its row in the table of videos, None if its record was never written.
    clips, size: its rows in the manifest, superseded ones not, and their bytes, as that row has
    them; the rest is counted in the manifest. absent: clips, of which a row may tell of many.
    is_missing: whether a clip's file is not as recorded.
    """

    uri: str
    fingerprint: str = ""
    recipe_digest: str = ""
    status: str = ""
    record_json: str = ""
    chunks: int = 0
    clips: int = 0
    size: int = 0
    is_complete: bool = False
    counted: int = 0
    counted_size: int = 0
    written: int = 0
    failed: int = 0
    absent: int = 0
    damaged: int = 0
    is_missing: bool = False
    encoders: dict[str, int] = field(default_factory=dict[str, int])

    @property
    def is_recorded(self) -> bool:
        """Whether it stands in the table of videos."""
        return bool(self.record_json)

    @property
    def needs_nothing(self) -> bool:
        """Whether all its clips are there, and none failed: its records need not be read."""
        if not self.is_complete or self.is_missing or self.failed:
            return False
        return (self.clips, self.size) == (self.counted, self.counted_size)

    def record(self) -> SourceRecord | None:
        """Its record, without the video's facts."""
        try:
            return SourceRecord.model_validate_json(self.record_json)
        except ValidationError:
            return None


@dataclass(slots=True)
class _Table:
    """A run's two tables. shard: whose keys it tells of, "" for all; time: when it was written."""

    shard: str
    time: int
    manifest: Any
    sources: Any


class HeldTables:
    """The tables of an output, as far as they can be trusted.

    sizes: in bytes, of the files in the folder of clips, by name. sources: by key; unaccounted:
    files of clips that no row tells of (not looked for by a run of a shard, whose manifest tells
    of that shard alone).
    """

    def __init__(self, output: Output, shard: str) -> None:
        self.output, self.shard = output, shard
        self.sizes: Mapping[str, int] = {}
        self.sources: dict[str, HeldSource] = {}
        self.unaccounted: set[str] = set()
        self.time = 0
        self.is_mine = in_shard(shard)
        self._tables: list[_Table] = []
        self._by_shard: dict[int, dict[int, _Table]] = {}
        self._untrusted: dict[str, int] = {}
        self._notes: list[str] = []

    @classmethod
    def load(cls, output: Output, shard: str) -> HeldTables:
        """Read what there is, and list the folder of clips. Raises StorageError."""
        held = cls(output, shard)
        shards = [shard] if shard else []
        if not shard:
            found = map(shard_of_manifest, output.sizes(MANIFESTS))
            shards = sorted(s for s in found if s is not None)
        for each in ["", *shards]:
            table = _opened(output, each)
            if table is not None:
                held._take(table)
        rows = sum(table.manifest.metadata.num_rows for table in held._tables)
        held._list(output.sizes(CLIPS, begins=_HEX if rows > _MANY else ""))
        for note in notes(output):
            held.time = max(held.time, note.time)
            held._notes.append(note.name)
            for key in note.keys:
                if held.is_mine(key):
                    held._untrusted[key] = max(note.time, held._untrusted.get(key, 0))
        for table in held._tables:
            if not held._read(table):
                nothing = cls(output, shard)  # one is torn: as if there were none
                nothing._list(held.sizes)
                nothing.time, nothing._notes = held.time, held._notes
                nothing._untrusted = held._untrusted
                return nothing
        return held

    def _list(self, sizes: Mapping[str, int]) -> None:
        self.sizes = sizes
        self.unaccounted = set() if self.shard else {n for n in sizes if clip_id_of(n)}

    @property
    def untrusted(self) -> set[str]:
        """Keys whose records a killed run may have changed since the tables were written."""
        return {key for key in self._untrusted if self._table_of(key) is None}

    @property
    def shards(self) -> list[str]:
        """The shards whose tables are held."""
        return [t.shard for t in self._tables if t.shard]

    def covers(self, key: str) -> bool:
        """Whether a table tells of a key, if only that the output holds nothing of it."""
        return self._table_of(key) is not None

    @property
    def covers_all(self) -> bool:
        """Whether the tables tell of every key that no killed run has touched."""
        if any(not t.shard or t.shard == self.shard for t in self._tables):
            return True
        return any(len(tables) == count for count, tables in self._by_shard.items())

    def next_time(self) -> int:
        """A time later than all that is held."""
        return time_after(self.time)

    def write_note(self, keys: Iterable[str]) -> None:
        """Note that the records of these videos are about to change. Raises StorageError."""
        self.time = self.next_time()
        write_note(self.output, self.shard, self.time, keys)
        self._notes.append(underway_file(self.shard))

    def remove_notes(self) -> None:
        """The tables that tell of what changed are published."""
        own = underway_file(self.shard)
        for name in set(self._notes):
            if not self.shard or name == own:
                remove_note(self.output, name)

    def held(self, key: str) -> HeldSource | None:
        """What is held of a video, if its record was written."""
        source = self.sources.get(key)
        return source if source is not None and source.is_recorded else None

    def rows(self) -> Iterator[Any]:
        """The manifests' rows that can be trusted, as Arrow tables."""
        for table in self._tables:
            for number in range(table.manifest.num_row_groups):
                group: Any = table.manifest.read_row_group(number)
                yield self._trusted(table, group)

    def first_rows(self, keys: Set[str], limit: int) -> list[dict[str, Any]]:
        """Up to `limit` rows of these videos' clips, superseded ones not."""
        found: list[dict[str, Any]] = []
        for table in self.rows() if keys and limit else ():
            rows: list[dict[str, Any]] = table.to_pylist()
            found += [r for r in rows if r["source"] in keys and r["status"] != SUPERSEDED]
            if len(found) >= limit:
                break
        return found[:limit]

    def source_rows(self) -> Iterator[Any]:
        """The rows of the tables of videos that can be trusted, as Arrow tables."""
        for table in self._tables:
            for number in range(table.sources.num_row_groups):
                group: Any = table.sources.read_row_group(number)
                yield self._trusted(table, group)

    def _take(self, table: _Table) -> None:
        self._tables.append(table)
        self.time = max(self.time, table.time)
        if table.shard:
            number, count = shard_parts(table.shard)
            self._by_shard.setdefault(count, {})[number] = table

    def _table_of(self, key: str) -> _Table | None:
        """The newest table that tells of a key, unless its records may have changed since."""
        if not self.is_mine(key):
            return None
        tables = [t for t in self._tables if t.shard in ("", self.shard)]
        if not self.shard:
            for count, by_number in self._by_shard.items():
                tables += filter(None, [by_number.get(shard_number(key, count))])
        newest = max(tables, key=lambda t: t.time, default=None)
        changed = self._untrusted.get(key, 0)
        return newest if newest is not None and newest.time > changed else None

    @property
    def is_whole(self) -> bool:
        """Whether this run's own tables are there, the only ones, and tell of everything."""
        only = len(self._tables) == 1 and self._tables[0].shard == self.shard
        return only and not any(t > self._tables[0].time for t in self._untrusted.values())

    def _trusted(self, table: _Table, group: Any) -> Any:
        if self.is_whole:
            return group
        keys: list[str] = group["source"].to_pylist()
        verdicts = {key: self._table_of(key) is table for key in set(keys)}
        if all(verdicts.values()):
            return group
        arrow: Any = importlib.import_module("pyarrow")
        return group.filter(arrow.array([verdicts[key] for key in keys]))

    def _read(self, table: _Table) -> bool:
        """Count what a run's two tables tell; whether they are whole."""
        arrow: Any = importlib.import_module("pyarrow")
        try:
            for number in range(table.sources.num_row_groups):
                self._read_sources(self._trusted(table, table.sources.read_row_group(number)))
            for number in range(table.manifest.num_row_groups):
                self._read_rows(self._trusted(table, table.manifest.read_row_group(number)))
        except (OSError, KeyError, TypeError, arrow.ArrowException):
            return False
        return True

    def _read_sources(self, group: Any) -> None:
        columns = [group[name].to_pylist() for name in _SOURCE]
        for key, *values in zip(*columns, strict=True):
            self.sources[key] = HeldSource(*values)

    def _read_rows(self, group: Any) -> None:
        columns = [group[name].to_pylist() for name in _ROW]
        sources, sizes, unaccounted = self.sources, self.sizes, self.unaccounted
        for key, clip, status, size, errors, damaged, encoder, uri, many in zip(
            *columns, strict=True
        ):
            file = clip_file(clip)
            unaccounted.discard(file)
            if status == SUPERSEDED:
                continue
            source = sources.get(key)
            if source is None:
                source = sources[key] = HeldSource(uri)
            source.counted += 1
            source.counted_size += size
            if status == ClipStatus.WRITTEN:
                source.written += 1
                # None: an old record, of which there is what it says.
                source.damaged += errors is not None if damaged is None else damaged > 0
                source.encoders[encoder] = source.encoders.get(encoder, 0) + 1
                source.is_missing |= sizes.get(file) != size
            elif status == ClipStatus.FAILED:
                source.failed += 1
            else:
                source.absent += many


def _opened(output: Output, shard: str) -> _Table | None:
    """A run's tables, if both are there, whole at a first look, and of the present format."""
    files: list[Any] = []
    times: list[int] = []
    for name in (manifest_name(shard), sources_name(shard)):
        stream = output.open(name)
        file = None if stream is None else _parquet(stream)
        if file is None:
            return None
        facts: dict[bytes, bytes] = file.metadata.metadata or {}
        if facts.get(b"clipping.format") != FORMAT.encode():
            return None
        try:
            times.append(int(facts[b"clipping.time"]))
        except (KeyError, ValueError):
            return None
        files.append(file)
    return _Table(shard, min(times), *files)


def _parquet(stream: BinaryIO) -> Any:
    parquet: Any = importlib.import_module("pyarrow.parquet")
    try:
        return parquet.ParquetFile(stream, page_checksum_verification=True)
    except (OSError, ValueError):
        return None
