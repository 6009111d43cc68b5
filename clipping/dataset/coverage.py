"""The tables of all that an output holds, whichever run made it.

A run adds the rows of what it made or found by records. The other rows come from the tables of
earlier runs, as far as they can be trusted, and else from the records. Everything is published
at the end, so that the tables from before stay whole while the run goes on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Self, TypeVar

from clipping.dataset.failure_list import publish_failures
from clipping.dataset.layout import (
    clip_file,
    clip_id_of,
    failures_name,
    manifest_name,
    sources_name,
)
from clipping.dataset.manifest import SOURCE_COLUMNS, source_row
from clipping.dataset.prune import remove_clips, remove_files, remove_records
from clipping.dataset.recovery import (
    RecordedSource,
    clip_records,
    recorded_sources,
    source_records,
)
from clipping.dataset.stale import Ended, Now, Standing
from clipping.dataset.summary_json import publish_summary
from clipping.dataset.table_writer import TableWriter, picked, with_column
from clipping.dataset.tables import HeldTables
from clipping.models import ClipStatus, Failure, SourceFile, SourceRecord, SourceStatus
from clipping.storage.presence import vanished

__all__ = ["Coverage", "Holding"]

_AT_ONCE = 1_000
_JUDGED_BY = (
    *("source", "clip", "status", "stale", "bytes"),
    *("source_fingerprint", "recipe_digest"),
)
T = TypeVar("T")


@dataclass(slots=True)
class Holding:
    """What an output holds after a run.

    clips: written ones, superseded ones not; recipes: these by their recipe's digest; elsewhere:
    those of videos outside the run; failed: clips that failed. stale: clips with a file by why
    they are; removed: how many files were. replaced: clips that failed or are absent now, with a
    file that was made earlier. lost: clips whose file is not there as it was recorded; unrecorded:
    files of clips that nothing is recorded of.
    """

    clips: int = 0
    failed: int = 0
    elsewhere: int = 0
    recipes: Counter[str] = field(default_factory=Counter[str])
    stale: Counter[str] = field(default_factory=Counter[str])
    removed: int = 0
    replaced: int = 0
    lost: int = 0
    unrecorded: int = 0


@dataclass(slots=True)
class _Sums:
    """Rows of one video in this run: all, written ones, and these ones' bytes."""

    clips: int = 0
    written: int = 0
    size: int = 0

    def add(self, row: Mapping[str, Any]) -> None:
        """Count a row."""
        self.clips += 1
        if row["status"] == ClipStatus.WRITTEN:
            self.written += 1
            self.size += row["bytes"]


class Coverage:
    """Collects the rows of one run and publishes the tables. Used in a `with`.

    recipe_digest: of the run's recipe, None for a merge, which makes nothing.
    """

    def __init__(self, held: HeldTables, recipe_digest: str | None) -> None:
        self.held, self._digest = held, recipe_digest
        self._output, self._shard = held.output, held.shard
        self._stack = ExitStack()
        self._now: dict[str, Now] = {}
        self._ids: dict[str, set[str]] = {}
        self._sums: dict[str, _Sums] = {}
        self._holding = Holding()
        self._before: dict[str, tuple[str | None, str | None]] = {}
        self._pruned: dict[str, set[str]] = {}
        self._prunes = False
        self._replaced: list[dict[str, Any]] = []
        self._listed: list[dict[str, Any]] | None = None
        self._unusable: list[dict[str, Any]] = []
        self._is_changed = not held.is_whole
        self.time = held.time

    def __enter__(self) -> Self:
        output, shard, enter = self._output, self._shard, self._stack.enter_context
        self._manifest = enter(TableWriter(output, manifest_name(shard)))
        self._sources = enter(TableWriter(output, sources_name(shard), SOURCE_COLUMNS))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    # What a run does

    def begin(self, files: Iterable[SourceFile]) -> None:
        """Before the first record of these videos is changed. Raises StorageError."""
        self.held.write_note(file.key for file in files)
        self._is_changed = True

    def keep(self, file: SourceFile) -> None:
        """A video of which the tables tell the truth: its rows stay."""
        self._now[file.key] = Now(file.fingerprint, self._digest or "", Ended.KEPT)

    def add(self, rows: Sequence[dict[str, Any]], *, is_new: bool = True) -> None:
        """Rows of clips that were made, or (not `is_new`) found by records of earlier runs."""
        for row in rows:
            key = row["source"]
            if is_new or self.held.held(key) is None:  # else the tables tell of it already
                self._is_changed = True
            self._sums.setdefault(key, _Sums()).add(row)
            self.held.unaccounted.discard(clip_file(row["clip"]))
            if key in self.held.sources:
                self._ids.setdefault(key, set()).add(row["clip"])
        self._write(rows, is_mine=True)

    def end(self, record: SourceRecord, *, is_complete: bool = True) -> None:
        """How a video ended, in this run or an earlier one, whose rows have all been added.

        is_complete: whether all of its clips stand in records.
        """
        is_failed = record.status is SourceStatus.FAILED
        ended = Ended.FAILED if is_failed else Ended.MADE
        clips = self._ids.pop(record.key, set())
        self._now[record.key] = Now(
            record.fingerprint, record.recipe_digest, ended, record.chunks, clips
        )
        sums = self._sums.pop(record.key, _Sums())
        row = self._source(record, sums, is_complete=is_complete)
        held = self.held.held(record.key)
        if held is None or (held.record_json, held.is_complete) != (row["record"], is_complete):
            self._is_changed = True

    def fail(self, name: str, failure: Failure) -> None:
        """What an input names and cannot be a video of this output: no record tells of it."""
        self._is_changed = True
        self._unusable.append(
            {
                "source": name,
                "status": SourceStatus.FAILED,
                "failure_kind": failure.kind.value,
                "reason": failure.message,
                "recipe_digest": self._digest,
            }
        )

    # The end

    def publish(
        self,
        present: Sequence[str] = (),
        searched: Sequence[str] = (),
        *,
        prune: bool = False,
        looks: bool = True,
    ) -> Holding:
        """Add what else the output holds, and put the tables in their places.

        present, searched: what the run's inputs named (`presence.vanished`). prune: remove stale
        clips instead; looks: whether to look for the videos outside the run. Raises StorageError.
        """
        self._prunes = prune
        self._gather(present, searched, looks=looks)
        self._remove_replaced()
        if self._pruned:
            remove_records(self._output, self._chunks(), self._pruned)
        if self._is_changed:
            self._put()
        self.held.remove_notes()
        return self._holding

    def _put(self) -> None:
        self.time = self.held.next_time()
        facts = {"clipping.time": str(self.time)}
        sources, clips = self._sources, self._manifest
        for table in (sources, clips):
            table.finish(facts)
        sources.publish()
        name = failures_name(self._shard)
        publish_failures(self._output, name, self._unusable, sources, clips)
        if not self._shard:
            publish_summary(self._output, sources, clips)
        clips.publish()

    @property
    def is_changed(self) -> bool:
        """Whether the run changed anything that the tables tell; they are published anew then."""
        return self._is_changed

    @property
    def touched(self) -> set[str]:
        """Keys of the videos whose clips this run made, or found by their records."""
        return {key for key, now in self._now.items() if now.ended is not Ended.KEPT}

    def expect(self, file: SourceFile, clips: set[str] | None) -> None:
        """What a run would make of a video: these clips, by id; None if it would fail."""
        ended = Ended.FAILED if clips is None else Ended.MADE
        now = Now(file.fingerprint, self._digest or "", ended, clips=clips or set())
        self._now[file.key] = now

    def would_remove(
        self, present: Sequence[str] = (), searched: Sequence[str] = ()
    ) -> list[dict[str, Any]]:
        """The stale clips, after what is expected: some columns of their rows. Writes nothing."""
        self._prunes, self._listed = True, []
        self._gather(present, searched, looks=True)
        self._remove_replaced()
        return self._listed

    def _gather(self, present: Sequence[str], searched: Sequence[str], *, looks: bool) -> None:
        """Take in what other runs' tables and records tell."""
        for recorded in _batches(recorded_sources(self.held, self._now), _AT_ONCE):
            uris = {each.record.key: each.record.uri for each in recorded}
            gone = vanished(uris, present, searched) if looks else set[str]()
            self._take_recorded(recorded, self._standing(gone))
        outside = {k: s for k, s in self.held.sources.items() if k not in self._now}
        for key, source in outside.items():
            self._before[key] = _last(source.fingerprint, source.recipe_digest, source.status)
        uris = {key: source.uri for key, source in outside.items()}
        standing = self._standing(vanished(uris, present, searched) if looks else None)
        for table in self.held.rows():
            self._carry(table, standing)
        for clips in _batches(sorted(self.held.unaccounted), _AT_ONCE):
            self._take_unaccounted(clips, standing)
        for table in self.held.source_rows():
            self._carry_sources(table, standing)

    def _standing(self, gone: set[str] | None) -> Standing:
        return Standing(self._now, self._before, gone, self.held.sizes)

    def _chunks(self) -> dict[str, int]:
        """Of how many chunks the newest record of each pruned video tells."""
        chunks: dict[str, int] = {}
        for key in self._pruned:
            now, held = self._now.get(key), self.held.sources.get(key)
            is_held = held is not None and (now is None or now.ended is Ended.KEPT)
            chunks[key] = held.chunks if held and is_held else now.chunks if now else 0
        return chunks

    def _carry(self, table: Any, standing: Standing) -> None:
        """Take in rows of an earlier table, with what is so of them now."""
        rows: list[dict[str, Any]] = table.select(_JUDGED_BY).to_pylist()
        kept: list[int] = []
        stale: list[dict[str, Any]] = []
        judged: list[tuple[str, str | None]] = []
        changed, replaced = False, 0
        for at, row in enumerate(rows):
            if standing.is_replaced(row):
                replaced += 1
                continue
            if standing.is_lost(row):
                self._holding.lost += 1
                continue
            verdict = standing.judged(row)
            changed = changed or verdict != (row["status"], row["stale"])
            row["status"], row["stale"] = verdict
            if verdict[1] is not None and self._prunes:
                stale.append(row)
                continue
            self._count(row)
            kept.append(at)
            judged.append(verdict)
        self._remove(stale)
        changed = changed or len(kept) + replaced < len(rows)
        if len(kept) < len(rows):
            table = picked(table, kept)
        if changed:
            self._is_changed = True
            table = with_column(table, "status", [status for status, _ in judged])
            table = with_column(table, "stale", [stale for _, stale in judged])
        self._manifest.add_table(table)

    def _take_recorded(self, recorded: list[RecordedSource], standing: Standing) -> None:
        """Take in videos that are told of by their records alone."""
        self._is_changed = True
        for each in recorded:
            record, sums = each.record, _Sums()
            self._before[record.key] = _last(
                record.fingerprint, record.recipe_digest, record.status
            )
            rows: list[dict[str, Any]] = []
            for row in each.rows:
                self.held.unaccounted.discard(clip_file(row["clip"]))
                if standing.is_lost(row):
                    self._holding.lost += 1
                    continue
                sums.add(row)
                rows.append(row)
            self._judge(rows, standing)
            is_gone = record.key in (standing.vanished or ())
            if not is_gone or (rows and not self._prunes):
                self._source(record, sums, is_complete=each.is_complete)

    def _take_unaccounted(self, files: list[str], standing: Standing) -> None:
        """Take in clips that no table and no record of a chunk tells of, by their own records."""
        clips = [clip for clip in map(clip_id_of, files) if clip is not None]
        found = list(clip_records(self.held, clips))
        rows = [row for row in found if row is not None]
        self._holding.unrecorded += len(found) - len(rows)
        new = {row["source"] for row in rows} - self._now.keys() - self._before.keys()
        for record in source_records(self.held, new):
            self._before[record.key] = _last(
                record.fingerprint, record.recipe_digest, record.status
            )
            self._source(record, _Sums(), is_complete=False)
        self._is_changed = self._is_changed or bool(rows)
        self._judge(rows, standing)

    def _judge(self, rows: list[dict[str, Any]], standing: Standing) -> None:
        """Take in rows made from records, each with what is so of it now."""
        for row in rows:
            row["status"], row["stale"] = standing.judged(row)
        stale = [row for row in rows if row["stale"] is not None and self._prunes]
        self._remove(stale)
        self._write([row for row in rows if row["stale"] is None or not self._prunes])

    def _carry_sources(self, table: Any, standing: Standing) -> None:
        """Take in rows of an earlier table of videos: of those that did not end in this run."""
        kept: list[int] = []
        keys: list[str] = table["source"].to_pylist()
        for at, key in enumerate(keys):
            now = self._now.get(key)
            if now is not None and now.ended is not Ended.KEPT:
                continue
            is_gone = now is None and key in (standing.vanished or ())
            # Nothing is left of a video that is gone and has no clips, nor of one that was pruned.
            if is_gone and (self._prunes or not self.held.sources[key].counted):
                self._is_changed = True
                continue
            kept.append(at)
        if len(kept) < len(keys):
            table = picked(table, kept)
        self._sources.add_table(table)

    def _source(self, record: SourceRecord, sums: _Sums, *, is_complete: bool) -> dict[str, Any]:
        row = source_row(
            record,
            clips=sums.clips,
            written=sums.written,
            size=sums.size,
            complete=is_complete,
        )
        self._sources.add([row])
        return row

    def _write(self, rows: Sequence[dict[str, Any]], *, is_mine: bool = False) -> None:
        self._manifest.add(rows)
        for row in rows:
            self._count(row, is_mine=is_mine)

    def _count(self, row: Mapping[str, Any], *, is_mine: bool = False) -> None:
        holding = self._holding
        if row["stale"] is not None and row["bytes"]:
            holding.stale[row["stale"]] += 1
        holding.failed += row["status"] == ClipStatus.FAILED
        if not row["bytes"] and (size := self.held.sizes.get(clip_file(row["clip"]))):
            why = f"{row['status']} now"
            self._replaced.append({**row, "bytes": size, "stale": why})
        if row["status"] == ClipStatus.WRITTEN:
            holding.clips += 1
            holding.recipes[row["recipe_digest"]] += 1
            holding.elsewhere += not is_mine and row["source"] not in self._now

    def _remove(self, rows: list[dict[str, Any]]) -> None:
        if not rows:
            return
        if self._listed is not None:
            self._listed += rows
            return
        self._is_changed = True
        remove_clips(self._output, rows)
        self._holding.removed += sum(row["bytes"] > 0 for row in rows)
        for row in rows:
            self._pruned.setdefault(row["source"], set()).add(row["stale"])

    def _remove_replaced(self) -> None:
        """Files of clips that were made earlier, and have a record now that tells of none."""
        if not self._prunes:
            self._holding.replaced = len(self._replaced)
        elif self._listed is not None:
            self._listed += self._replaced
        else:
            remove_files(self._output, self._replaced)
            self._holding.removed += len(self._replaced)


def _last(fingerprint: str, digest: str, status: str) -> tuple[str | None, str | None]:
    """What a video was last clipped with; a recipe with which it failed has replaced nothing."""
    if not status:
        return None, None
    return fingerprint, None if status == SourceStatus.FAILED else digest


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    waiting = iter(items)
    while batch := list(islice(waiting, size)):
        yield batch
