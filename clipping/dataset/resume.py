"""What an earlier run has done already, read back and checked against what is there.

A chunk record with the same recipe and fingerprint lists its clips; each counts as done while
its file is there with the recorded size. Without a chunk record (the run was killed in the
middle), the records of single clips count in the same way.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from clipping.dataset.layout import (
    chunk_record_name,
    clip_name,
    meta_name,
    source_record_name,
)
from clipping.errors import StorageError
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

__all__ = ["done_clips", "earlier_record", "finished_source", "in_order", "name_taken_by"]


def _is_done(record: ClipRecord, sizes: Mapping[str, int], *, retry_failed: bool) -> bool:
    if record.status is ClipStatus.WRITTEN:
        return sizes.get(clip_name(record.clip.id).rpartition("/")[2]) == record.bytes
    if record.status is ClipStatus.FAILED:
        passing = record.failure is None or record.failure.kind.is_transient
        return not passing and not retry_failed
    return True


def _read_chunk(output: Output, file: SourceFile, chunk: int, digest: str) -> ChunkRecord | None:
    text = output.read_text(chunk_record_name(file.key, chunk))
    if text is None:
        return None
    try:
        record = ChunkRecord.model_validate_json(text)
    except ValidationError:
        return None
    same = record.recipe_digest == digest and record.fingerprint == file.fingerprint
    return record if same and record.source_key == file.key else None


def earlier_record(output: Output, key: str) -> SourceRecord | None:
    """How an earlier run ended for a source, or None."""
    text = output.read_text(source_record_name(key))
    if text is None:
        return None
    try:
        return SourceRecord.model_validate_json(text)
    except ValidationError:
        return None


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
    return record.uri if _exists(record.uri) else None


def _exists(uri: str) -> bool:
    if not is_remote(uri):
        return os.path.exists(uri)
    try:
        return object_store.look(uri) is not None
    except StorageError:
        return False


def finished_source(
    output: Output,
    record: SourceRecord | None,
    file: SourceFile,
    digest: str,
    clips_per_chunk: int,
    sizes: Mapping[str, int],
    *,
    retry_failed: bool,
) -> tuple[SourceRecord, list[ChunkRecord]] | None:
    """The records of a source that needs no work at all, or None.

    record: what an earlier run left. Nothing of the source itself is opened for this.
    """
    if record is None or (record.fingerprint, record.recipe_digest) != (
        file.fingerprint,
        digest,
    ):
        return None
    if record.status is SourceStatus.FAILED or record.key != file.key:
        return None  # opening it again costs little, and it may have been mended
    chunks: list[ChunkRecord] = []
    for number in range(record.chunks):
        chunk = _read_chunk(output, file, number, digest)
        if chunk is None or not all(
            _is_done(c, sizes, retry_failed=retry_failed) for c in chunk.clips
        ):
            return None
        if number < record.chunks - 1 and len(chunk.clips) != clips_per_chunk:
            return None
        chunks.append(chunk)
    if sum(len(c.clips) for c in chunks) != record.clips:
        return None
    return record, chunks


def done_clips(
    output: Output,
    chunk: Chunk,
    digest: str,
    sizes: Mapping[str, int],
    *,
    retry_failed: bool,
) -> dict[str, ClipRecord]:
    """The clips of `chunk` that need no work, by id."""
    file = chunk.source.file
    stored = _read_chunk(output, file, chunk.number, digest)
    known = {c.clip.id: c for c in stored.clips} if stored else {}
    done: dict[str, ClipRecord] = {}
    for clip in chunk.clips:
        record = known.get(clip.id) or _from_meta(output, clip, file, digest, sizes)
        same = record is not None and record.clip.model_copy(update={"number": clip.number}) == clip
        if record and same and _is_done(record, sizes, retry_failed=retry_failed):
            done[clip.id] = record.model_copy(update={"clip": clip})
    return done


def _from_meta(
    output: Output,
    clip: Clip,
    file: SourceFile,
    digest: str,
    sizes: Mapping[str, int],
) -> ClipRecord | None:
    if f"{clip.id}.mp4" not in sizes:
        return None
    text = output.read_text(meta_name(clip.id))
    if text is None:
        return None
    try:
        values: dict[str, Any] = json.loads(text)
        record = ClipRecord.model_validate(values.get("record"))
    except (ValueError, AttributeError):
        return None
    proof = (values.get("recipe_digest"), values.get("source_fingerprint"))
    return record if proof == (digest, file.fingerprint) else None


def in_order(chunk: Chunk, records: Sequence[ClipRecord]) -> tuple[ClipRecord, ...]:
    """A chunk's records in the order of its clips."""
    place = {clip.id: i for i, clip in enumerate(chunk.clips)}
    return tuple(sorted(records, key=lambda r: place[r.clip.id]))
