"""What is planned in a run, what became of it, and the records that say so.

Nothing here knows who does the work. Sources and chunks come in, done or failed; what is left
to do comes out, numbers go to the tally, rows to the manifest, records to the output.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from clipping.cluster.chunk_queue import Waiting
from clipping.config.run_config import RunConfig
from clipping.dataset.coverage import Coverage
from clipping.dataset.layout import chunk_record_name, source_record_name
from clipping.dataset.manifest import Origin
from clipping.dataset.record_json import chunk_json, source_json
from clipping.dataset.resume import EarlierWork, in_order, name_taken_by
from clipping.errors import ClippingError, FailureKind, SourceError
from clipping.media.methods.encode_once import cpus_for, work_of
from clipping.models import (
    Chunk,
    ChunkRecord,
    ClipRecord,
    ClipStatus,
    Failure,
    ProbedSource,
    Source,
    SourceFile,
    SourceRecord,
    SourceStatus,
)
from clipping.run.chunk import is_uneven, plan_chunks, why_not
from clipping.run.span_list import SpanList, cut_short
from clipping.run.tally import Tally
from clipping.storage.addresses import is_remote
from clipping.storage.discover import Found

__all__ = ["Tracker"]

_READS_AT_ONCE = 16
_READS_AHEAD = 256


@dataclass(slots=True)
class _Underway:
    """A source whose chunks are being made. is_complete: whether all of them are recorded."""

    source: Source
    chunks: int
    clips: int
    left: int
    is_complete: bool = True


@dataclass
class Tracker:
    """Follows one run.

    earlier: what the output held when it began; spans: what a list of spans has for each video.
    """

    config: RunConfig
    earlier: EarlierWork
    tally: Tally
    manifest: Coverage
    spans: SpanList | None = None
    _underway: dict[str, _Underway] = field(default_factory=dict[str, _Underway])
    # Ids of clips that had failed for good when their chunk was planned. What fails in this run
    # is recorded at once, and a second attempt would take it for old.
    _failed_before: set[str] = field(default_factory=set[str])

    # What earlier runs did

    def sort_out(self, found: Found) -> list[SourceFile]:
        """Count what earlier runs did; the sources that are left."""
        self.tally.sources = len(found.sources) + len(found.failed)
        self.tally.add_passed_over(found.passed_over)
        for name, error in found.failed:
            self._count_unusable(name, error)
        waiting: list[SourceFile] = []
        for file, other, done in self._earlier_ends(self._not_held(found.sources)):
            if other:
                message = (
                    f"{file.key}: that name belongs to {other} in this output; use another"
                    " output, or one input above both"
                )
                failure = Failure(kind=FailureKind.USAGE, message=message)
                self.tally.add_failed_source(file.key, failure, before=False)
                self.manifest.fail(file.key, failure)
                continue
            if done is None:
                waiting.append(file)
                continue
            record, chunks = done
            self._count_source(record, before=True)
            self.tally.add_planned(c.clip for chunk in chunks for c in chunk.clips)
            origin = Origin.recorded(file, record)
            for chunk in chunks:
                self._count_chunk(chunk, origin, done_before=True)
            if record.uri != file.uri:  # moved, or copied: it is looked for where it is now
                source = record.source and record.source.model_copy(update={"file": file})
                record = record.model_copy(update={"uri": file.uri, "source": source})
                self._write(record)
            self.manifest.end(record)
        if waiting:
            self.manifest.begin(waiting)
        return waiting

    def _not_held(self, files: list[SourceFile]) -> list[SourceFile]:
        """Count the sources of which the tables tell that they are done; the others."""
        others: list[SourceFile] = []
        held_keys: set[str] = set()
        for file in files:
            held = self.earlier.held(file)
            record = held.record() if held else None
            if held is None or record is None:
                others.append(file)
                continue
            held_keys.add(file.key)
            self._count_source(record, before=True)
            self.tally.add_held(held)
            self.manifest.keep(file)
        self.tally.show(self.manifest.held.first_rows(held_keys, self.tally.room))
        return others

    def _count_unusable(self, name: str, error: ClippingError) -> None:
        """Count what an input names and cannot be a source: there is nothing to open."""
        file = SourceFile(key=name, uri=name, size=0, fingerprint="")
        failure, versions = Failure.of(error), self.earlier.versions
        record = self._source_record(file, SourceStatus.FAILED, failure=failure, **versions)
        old = self.earlier.source_record(name)
        before = (
            old is not None
            and (old.key, old.failure) == (name, record.failure)
            and self.earlier.would_fail_again(old)
        )
        self._count_source(record, before=before)
        if not before and error.kind.is_clips_own:
            self._write(record)
        self.manifest.end(record)

    def _earlier_ends(
        self, files: list[SourceFile]
    ) -> Iterator[tuple[SourceFile, str | None, tuple[SourceRecord, list[ChunkRecord]] | None]]:
        """Each file with who else has its name in the output, and what is done of it."""

        def ask(file: SourceFile) -> tuple[SourceFile, str | None, Any]:
            record = self.earlier.source_record(file.key)
            return file, name_taken_by(record, file), self.earlier.finished(file, record)

        if not is_remote(self.config.output):
            yield from map(ask, files)
            return
        with ThreadPoolExecutor(_READS_AT_ONCE) as pool:
            for start in range(0, len(files), _READS_AHEAD):
                yield from pool.map(ask, files[start : start + _READS_AHEAD])

    # What is to be done

    def plan(self, probed: ProbedSource) -> list[Waiting]:
        """What is to be made of a source that was opened: its chunks, less what is done."""
        recipe, source = self.config.recipe, probed.source
        assert source is not None
        video, key = source.video, source.file.key
        if reason := why_not(probed, recipe):
            failure = Failure(kind=FailureKind.USAGE, message=reason)
            self.fail_source(source.file, failure, is_verdict=True)
            return []
        listed = self.spans.of(key) if self.spans else ()
        chunks = plan_chunks(probed, recipe, self.config.execution.num_clips_per_chunk, listed)
        if not chunks:
            reason = f"lasts {float(video.duration):.3f} s, {recipe.span_source.why_none()}"
            record = self._source_record(
                source.file, SourceStatus.EMPTY, reason=reason, source=source
            )
            self._end_source(record)
            return []
        for warning in source.warnings:
            self.tally.add_warning(f"{key}: {warning}")
        self.tally.uneven += is_uneven(probed, recipe)
        if recipe.use_input_bit_rate and video.bit_rate_estimated:
            self.tally.add_warning(
                f"{key}: its header gives no bit rate; {video.bit_rate} bit/s, from the size of"
                " its video packets and its duration, is aimed at"
            )
        if recipe.audio != "none" and not source.sound_for(recipe.sound_wish)[1]:
            self.tally.add_warning(
                f"{key}: it has no audio track {recipe.audio_track}; clips get its default one"
            )
        for warning in cut_short(clip for chunk in chunks for clip in chunk.clips):
            self.tally.add_warning(f"{key}: {warning}")
        clips = self.tally.add_planned(clip for chunk in chunks for clip in chunk.clips)
        self._underway[key] = _Underway(source, len(chunks), clips, len(chunks))
        waiting: list[Waiting] = []
        for chunk in chunks:
            kept = self.earlier.done_clips(chunk)
            failed = {i for i, clip in kept.items() if clip.status is ClipStatus.FAILED}
            self._failed_before |= failed
            if len(kept) == len(chunk.clips):
                self._count_done_chunk(chunk, kept)
                continue
            wanted = [clip for clip in chunk.clips if clip.id not in kept]
            cpus = cpus_for(chunk, wanted, self.config.execution)
            waiting.append(Waiting(chunk, work_of(chunk), cpus=max(1, cpus)))
        return waiting

    # What became of it

    def take_chunk(
        self, chunk: Chunk, record: ChunkRecord | None, failure: ClippingError | None
    ) -> None:
        """Count a chunk that was made, or failed as a whole."""
        if record is None:
            record = self._lost_chunk(chunk, failure or SourceError("it gave no result"))
            self._underway[chunk.source.file.key].is_complete = False
        self._count_chunk(record, _origin(chunk), done_before=False)
        self._end_chunk(chunk)

    def fail_source(self, file: SourceFile, failure: Failure, *, is_verdict: bool) -> None:
        """Count a source that gives no chunks at all.

        is_verdict: whether it was opened and found to be no good.
        """
        versions = self.earlier.versions if is_verdict else {}
        record = self._source_record(file, SourceStatus.FAILED, failure=failure, **versions)
        self._end_source(record)

    def _lost_chunk(self, chunk: Chunk, error: ClippingError) -> ChunkRecord:
        """The record of a chunk whose task failed: what it published by then counts."""
        found = EarlierWork.of_chunk(self.config, self.earlier.output, chunk)
        kept = found.done_clips(chunk)
        reason = Failure.of(error)
        records = [
            kept.get(clip.id)
            or ClipRecord(
                clip=clip,
                status=ClipStatus.FAILED,
                failure=reason,
                errors=(error.message,),
            )
            for clip in chunk.clips
        ]
        return self._chunk_record(chunk, records)

    def _count_done_chunk(self, chunk: Chunk, kept: dict[str, ClipRecord]) -> None:
        record = self._chunk_record(chunk, list(kept.values()))
        if not self.earlier.has_record_of(chunk):
            # Its run was killed before it wrote one, or cut the source into other chunks.
            name = chunk_record_name(record.source_key, record.chunk)
            self.earlier.output.write_text(name, chunk_json(record, chunk.source))
        self._count_chunk(record, _origin(chunk), done_before=True)
        self._end_chunk(chunk)

    def _chunk_record(self, chunk: Chunk, records: list[ClipRecord]) -> ChunkRecord:
        return ChunkRecord(
            source_key=chunk.source.file.key,
            chunk=chunk.number,
            recipe_digest=self.earlier.recipe_digest,
            fingerprint=chunk.source.file.fingerprint,
            clips=in_order(chunk, records),
        )

    def _count_chunk(self, record: ChunkRecord, origin: Origin, *, done_before: bool) -> None:
        rows = self.tally.add_chunk(
            record, origin, done_before=done_before, known=self._failed_before
        )
        self.manifest.add(rows, is_new=not done_before)

    def _end_chunk(self, chunk: Chunk) -> None:
        key = chunk.source.file.key
        underway = self._underway[key]
        underway.left -= 1
        if underway.left:
            return
        del self._underway[key]
        self._end_source(
            self._source_record(
                chunk.source.file,
                SourceStatus.CLIPPED,
                chunks=underway.chunks,
                clips=underway.clips,
                source=underway.source,
            ),
            is_complete=underway.is_complete,
        )

    def _source_record(self, file: SourceFile, status: SourceStatus, **more: Any) -> SourceRecord:
        return SourceRecord(
            key=file.key,
            uri=file.uri,
            fingerprint=file.fingerprint,
            recipe_digest=self.earlier.recipe_digest,
            status=status,
            spans_digest=self.earlier.spans_digest(file.key),
            **more,
        )

    def _end_source(self, record: SourceRecord, *, is_complete: bool = True) -> None:
        self._count_source(record, before=False)
        self._write(record)
        self.manifest.end(record, is_complete=is_complete)

    def _write(self, record: SourceRecord) -> None:
        name = source_record_name(record.key)
        self.earlier.output.write_text(name, source_json(record))

    def _count_source(self, record: SourceRecord, *, before: bool) -> None:
        tally = self.tally
        if record.status is SourceStatus.CLIPPED:
            tally.clipped += 1
        elif record.status is SourceStatus.EMPTY:
            tally.add_empty_source(record.key, before=before)
            tally.reasons_empty[self.config.recipe.span_source.why_none()] += 1
        else:
            tally.add_failed_source(record.key, record.failure, before=before)


def _origin(chunk: Chunk) -> Origin:
    return Origin.of(chunk.source.file, chunk.source.video)
