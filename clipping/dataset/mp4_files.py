"""Clips as MP4 files of their own, each with its JSON beside it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from clipping.dataset.clip_json import clip_json
from clipping.dataset.layout import chunk_record_name, clip_name, meta_name, preview_name
from clipping.dataset.record_json import chunk_json
from clipping.dataset.resume import EarlierWork, in_order
from clipping.dataset.sink import Effort
from clipping.errors import StorageError
from clipping.models import Chunk, ChunkRecord, ClipRecord, ClipStatus

__all__ = ["Mp4Files"]


@dataclass(slots=True)
class Mp4Files:
    """The sink of one chunk."""

    chunk: Chunk
    earlier: EarlierWork
    _existing: dict[str, ClipRecord] | None = field(default=None)

    def existing(self) -> dict[str, ClipRecord]:
        """The records of the clips that need no work, by clip id."""
        if self._existing is None:
            self._existing = self.earlier.done_clips(self.chunk)
        return self._existing

    def begin(self) -> None:
        """Before the first clip is added: what is there no longer counts as the whole chunk."""
        # An older record must not vouch for files that are about to be replaced.
        self.earlier.output.remove(self._record_name)

    def add(self, draft: ClipRecord, file: Path | None, preview: Path | None = None) -> ClipRecord:
        """Publish a clip, then its record. file: the finished clip, None if it has none.

        preview: a small picture of it, which is not needed and may be lost.
        """
        earlier, output = self.earlier, self.earlier.output
        record = draft.model_copy(update=earlier.versions)
        if file is not None:
            name = clip_name(draft.clip.id)
            size, sha256 = output.publish(file, name)
            located = {"bytes": size, "sha256": sha256, "location": output.location(name)}
            record = record.model_copy(update=located)
            self._show(draft.clip.id, preview)
        source, version = self.chunk.source, earlier.ffmpeg_version
        text = clip_json(source, record, earlier.recipe_digest, version)
        output.write_text(meta_name(record.clip.id), text)
        return record

    def _show(self, clip: str, preview: Path | None) -> None:
        """Publish a clip's preview; without one, none of an earlier file of that name stays."""
        output, name = self.earlier.output, preview_name(clip)
        with suppress(StorageError):
            if preview is not None:
                output.publish(preview, name)
            else:
                output.remove(name)

    def commit(self, made: list[ClipRecord], effort: Effort) -> ChunkRecord:
        """Write the chunk's record: what existed, and what was made."""
        existing = list(self.existing().values())
        record = ChunkRecord(
            source_key=self.chunk.source.file.key,
            chunk=self.chunk.number,
            recipe_digest=self.earlier.recipe_digest,
            fingerprint=self.chunk.source.file.fingerprint,
            clips=in_order(self.chunk, [*existing, *made]),
            seconds=effort.seconds,
            encoded_frames=effort.encoded_frames,
            made_seconds=effort.made_seconds,
            reused=sum(r.status is ClipStatus.WRITTEN for r in existing),
        )
        self.earlier.output.write_text(self._record_name, chunk_json(record, self.chunk.source))
        return record

    @property
    def _record_name(self) -> str:
        return chunk_record_name(self.chunk.source.file.key, self.chunk.number)
