"""What an earlier run has done already, read back and checked against the files in the output.

A chunk record with the same recipe and fingerprint lists its clips; each counts as done while
its file has the recorded size. Without a chunk record (the run was killed in the middle), the
records of single clips count in the same way.

A video that cannot be clipped, or a clip that cannot be made, is done as well: it fails again as
long as neither the video, nor the package, nor ffmpeg is another.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from clipping import __version__
from clipping.config.run_config import RunConfig
from clipping.dataset.layout import (
    CLIPS,
    chunk_record_name,
    clip_file,
    meta_name,
    source_record_name,
)
from clipping.dataset.tables import HeldSource, HeldTables
from clipping.errors import StorageError
from clipping.ffmpeg.binary import ffmpeg_path, ffmpeg_version
from clipping.models import (
    Chunk,
    ChunkRecord,
    Clip,
    ClipRecord,
    ClipStatus,
    SourceFile,
    SourceRecord,
    SourceStatus,
)
from clipping.storage import object_store
from clipping.storage.addresses import is_remote
from clipping.storage.outputs import Output

__all__ = ["EarlierWork", "in_order", "name_taken_by"]


@dataclass(frozen=True, slots=True)
class EarlierWork:
    """What an output holds of a recipe's clips.

    existing_sizes: size in bytes of the clips in the output, by file name.
    tables: what earlier runs' tables tell, which saves reading records; None for a chunk.
    retry_failed: whether what failed permanently is to be tried again.
    ffmpeg_version: of the ffmpeg that would try it.
    span_digests: with a list of spans, key of a source to the digest of its rows.
    """

    output: Output
    recipe_digest: str
    existing_sizes: Mapping[str, int]
    retry_failed: bool = False
    ffmpeg_version: str = ""
    tables: HeldTables | None = None
    span_digests: Mapping[str, str] | None = None

    @classmethod
    def of(cls, config: RunConfig, output: Output) -> EarlierWork:
        """All of an output; one listing and the tables tell, however many clips there are."""
        tables = HeldTables.load(output, config.execution.shard)
        return replace(cls.among(config, output, tables.sizes), tables=tables)

    @classmethod
    def of_chunk(cls, config: RunConfig, output: Output, chunk: Chunk) -> EarlierWork:
        """Of one chunk: its clips are looked for one by one."""
        names = {clip_file(clip.id) for clip in chunk.clips}
        return cls.among(config, output, output.sizes_of(CLIPS, names))

    @classmethod
    def among(
        cls, config: RunConfig, output: Output, existing_sizes: Mapping[str, int]
    ) -> EarlierWork:
        """Of the clips whose sizes are known. Raises FfmpegError if there is no ffmpeg."""
        execution = config.execution
        return cls(
            output,
            config.recipe.digest(),
            existing_sizes,
            execution.retry_failed,
            ffmpeg_version(ffmpeg_path(execution.ffmpeg_binary)),
        )

    def sizes_of(self, chunks: Iterable[Chunk]) -> dict[str, int]:
        """The existing sizes of the clips of `chunks`."""
        names = [clip_file(clip.id) for chunk in chunks for clip in chunk.clips]
        return {n: self.existing_sizes[n] for n in names if n in self.existing_sizes}

    def held(self, file: SourceFile) -> HeldSource | None:
        """What the tables tell of a source that needs no work at all; None if they do not.

        None also where clips failed: their records tell whether they are made again.
        """
        held = self.tables.held(file.key) if self.tables else None
        if held is None or not held.needs_nothing or held.status == SourceStatus.FAILED:
            return None
        recorded = (held.uri, held.fingerprint, held.recipe_digest)
        if recorded != (file.uri, file.fingerprint, self.recipe_digest):
            return None
        if self.span_digests is not None:
            record = held.record()
            if record is None or record.spans_digest != self.spans_digest(file.key):
                return None
        return held

    def spans_digest(self, key: str) -> str | None:
        """The digest of what a list of spans has for a source; None without a list."""
        return None if self.span_digests is None else self.span_digests.get(key)

    def source_record(self, key: str) -> SourceRecord | None:
        """How an earlier run ended for a source, or None.

        From the tables where they can be trusted; then without the source's facts, unless it was
        opened with the present recipe.
        """
        if self.tables is not None and self.tables.covers(key):
            held = self.tables.held(key)
            if held is None:
                return None
            was_opened = held.status != SourceStatus.FAILED
            if not (was_opened and held.recipe_digest == self.recipe_digest):
                return held.record()
        text = self.output.read_text(source_record_name(key))
        if text is None:
            return None
        try:
            return SourceRecord.model_validate_json(text)
        except ValidationError:
            return None

    def finished(
        self, file: SourceFile, record: SourceRecord | None
    ) -> tuple[SourceRecord, list[ChunkRecord]] | None:
        """The records of a source that needs no work at all, or None.

        record: what an earlier run left. Nothing of the source itself is opened for this.
        """
        if record is None or (record.key, record.fingerprint) != (file.key, file.fingerprint):
            return None
        if record.status is SourceStatus.FAILED:
            # Whatever the recipe: a source is opened before the recipe matters.
            return (record, []) if self.would_fail_again(record) else None
        if record.recipe_digest != self.recipe_digest:
            return None
        if record.spans_digest != self.spans_digest(file.key):
            return None
        chunks: list[ChunkRecord] = []
        reached = 0
        for number in range(record.chunks):
            chunk = self._chunk_record(file, number)
            if chunk is None or not all(self._is_done(c) for c in chunk.clips):
                return None
            for clip in (c.clip for c in chunk.clips):
                if clip.number != reached:
                    return None  # a record of a run that cut the source into other chunks
                reached += clip.count
            chunks.append(chunk)
        return (record, chunks) if reached == record.clips else None

    @property
    def versions(self) -> dict[str, str]:
        """What records say of the programs that made, or tried, what they tell of."""
        return {"package_version": __version__, "ffmpeg_version": self.ffmpeg_version}

    def would_fail_again(self, record: SourceRecord | ClipRecord) -> bool:
        """Whether what failed would fail in the same way, if the source has not changed."""
        if self.retry_failed or record.failure is None:
            return False
        # A node's, a user's or a network's fault may be mended without a trace in the source.
        if not record.failure.kind.is_clips_own:
            return False
        tried = (record.package_version, record.ffmpeg_version)
        return tried == (__version__, self.ffmpeg_version)

    def done_clips(self, chunk: Chunk) -> dict[str, ClipRecord]:
        """The clips of `chunk` that need no work, by id; those without frames among them."""
        file = chunk.source.file
        stored = self._chunk_record(file, chunk.number)
        known = {c.clip.id: c for c in stored.clips} if stored else {}
        done: dict[str, ClipRecord] = {}
        for clip in chunk.clips:
            if not clip.frame_count:
                done[clip.id] = ClipRecord.absent(clip)
                continue
            record = known.get(clip.id) or self._clip_record(clip, file)
            if record is None or not self._is_done(record):
                continue
            if _is_same(record.clip, clip):
                done[clip.id] = record.model_copy(update={"clip": clip})
        return done

    def has_record_of(self, chunk: Chunk) -> bool:
        """Whether a record of the chunk, with just these clips, is in the output."""
        stored = self._chunk_record(chunk.source.file, chunk.number)
        return stored is not None and tuple(r.clip for r in stored.clips) == chunk.clips

    def _is_done(self, record: ClipRecord) -> bool:
        if record.status is ClipStatus.WRITTEN:
            return self.existing_sizes.get(clip_file(record.clip.id)) == record.bytes
        if record.status is ClipStatus.FAILED:
            return self.would_fail_again(record)
        return True

    def _chunk_record(self, file: SourceFile, number: int) -> ChunkRecord | None:
        text = self.output.read_text(chunk_record_name(file.key, number))
        if text is None:
            return None
        try:
            record = ChunkRecord.model_validate_json(text)
        except ValidationError:
            return None
        proof = (record.recipe_digest, record.fingerprint, record.source_key)
        return record if proof == (self.recipe_digest, file.fingerprint, file.key) else None

    def _clip_record(self, clip: Clip, file: SourceFile) -> ClipRecord | None:
        if clip_file(clip.id) not in self.existing_sizes:
            return None
        text = self.output.read_text(meta_name(clip.id))
        if text is None:
            return None
        try:
            values: dict[str, Any] = json.loads(text)
            record = ClipRecord.model_validate(values.get("record"))
        except (ValueError, AttributeError):
            return None
        proof = (values.get("recipe_digest"), values.get("source_fingerprint"))
        return record if proof == (self.recipe_digest, file.fingerprint) else None


def _is_same(made: Clip, planned: Clip) -> bool:
    """Whether a clip that was made is the planned one; another place in the list is no matter."""
    others: dict[str, Any] = {"number": planned.number}
    if made.listed and planned.listed:
        others["listed"] = made.listed.model_copy(update={"row": planned.listed.row})
    return made.model_copy(update=others) == planned


def name_taken_by(record: SourceRecord | None, file: SourceFile) -> str | None:
    """Another video that holds this one's name in the output, and is still there.

    record: what stands in the output under that name.

    Both would have the same clip ids, and one's clips would replace the other's. A video that
    was moved, or copied, is the same one.
    """
    if record is None or record.key != file.key or record.uri == file.uri:
        return None
    if record.fingerprint == file.fingerprint or record.status is SourceStatus.FAILED:
        return None
    return record.uri if _exists_beside(record.uri, file.uri) else None


def _exists_beside(uri: str, other: str) -> bool:
    """Whether a file is there, and is not the other one under another name."""
    if not is_remote(uri):
        try:
            return not os.path.samefile(uri, other)
        except OSError:
            return os.path.exists(uri)
    try:
        return object_store.look(uri) is not None
    except StorageError:
        return False


def in_order(chunk: Chunk, records: Sequence[ClipRecord]) -> tuple[ClipRecord, ...]:
    """A chunk's records in the order of its clips."""
    place = {clip.id: i for i, clip in enumerate(chunk.clips)}
    return tuple(sorted(records, key=lambda r: place[r.clip.id]))
