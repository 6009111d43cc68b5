"""A chunk to clip files: encode each run once, cut it, verify every clip, hand it on.

A run that fails is narrowed down by halves until the clip at fault alone is failed and its
neighbours are made. Frames that a damaged source does not give are told apart from a mistake
of ours by decoding the stretch a second time, from the start of the file.
"""

from __future__ import annotations

import errno
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event, Lock
from typing import Any

import av.error

from clipping.config.recipe import Recipe
from clipping.errors import ClippingError, FailureKind, FfmpegError, VerificationError
from clipping.ffmpeg.commands import decode_command, encode_command, seek_target
from clipping.ffmpeg.encoders import Encoder
from clipping.ffmpeg.filters import Picture, even_size, gpu_picture, picture_filters
from clipping.media import probe as probing
from clipping.media.audio import Sound, open_sound
from clipping.media.cut import EncodedSegment, write_clip
from clipping.media.verify import decode_clip, verify_clip
from clipping.models import Chunk, Clip, ClipRecord, ClipStatus, Failure
from clipping.plan.frame_times import unpack
from clipping.plan.segments import Run, runs
from clipping.storage.source import Reading

__all__ = ["Job", "Publish", "transcode"]

# What the CPU's decoder would not mend, so that it is not tried.
_NOT_THE_DECODERS = frozenset(
    {FailureKind.OUT_OF_SESSIONS, FailureKind.DISK_FULL, FailureKind.KILLED, FailureKind.IO}
)

# Takes a finished clip's draft record and file, makes it visible, returns the full record.
Publish = Callable[[ClipRecord, Path], ClipRecord]


@dataclass(frozen=True, slots=True)
class Job:
    """What a chunk's transcoding needs to know besides the chunk.

    encoder: what encodes; the recipe's own if there is no choice.
    cpus: ffmpeg processes side by side (one where the encoder is on a GPU, whose sessions are
    counted); threads: of each encoder while all are busy.
    use_hwaccel: decode on the GPU; what it cannot decode is decoded by the CPU.
    node: what the records say of where it was made.
    on_frames: called with the number of frames encoded so far, from any thread.
    note: takes what a person should know; log: takes ffmpeg's own lines.
    """

    recipe: Recipe
    reading: Reading
    binary: str
    scratch: Path
    encoder: Encoder
    cpus: int = 1
    threads: int = 1
    clips_per_run: int = 16
    verify_decode: bool = False
    use_hwaccel: bool = False
    stall_limit: float = 300.0
    node: str | None = None
    on_frames: Callable[[int], None] | None = None
    note: Callable[[str], None] | None = None
    log: Callable[[str], None] | None = None
    stop: Event = field(default_factory=Event)


def transcode(
    chunk: Chunk, wanted: Sequence[Clip], job: Job, publish: Publish
) -> Iterator[ClipRecord]:
    """Make `wanted` (clips of `chunk`) and yield how each of them ended, as it ends.

    Raises ClippingError for what is nobody's clip's fault (disk full, no such encoder,
    killed), after which the clips already yielded are published.
    """
    for clip in wanted:
        if clip.frame_count == 0:
            reason = "no frame is presented in its span"
            yield ClipRecord(clip=clip, status=ClipStatus.ABSENT, errors=(reason,))
    real = [c for c in wanted if c.frame_count > 0]
    if not real:
        return
    with ExitStack() as stack:
        stack.callback(job.stop.set)
        work = _Work(chunk, real, job, publish, stack)
        work.open_sound(copy=True)
        yield from work.make(real)


@dataclass(slots=True)
class _Work:
    chunk: Chunk
    clips: Sequence[Clip]
    job: Job
    publish: Publish
    stack: ExitStack
    sound: Sound | None = None
    frames: dict[int, int] = field(default_factory=dict[int, int])
    lock: Lock = field(default_factory=Lock)
    processes: int = 0
    no_sound: str | None = None
    no_hwaccel: str | None = None

    def open_sound(self, *, copy: bool) -> None:
        """Get the chunk's sound ready; without it the clips say why they are silent."""
        source, clips = self.chunk.source, self.clips
        self.sound = None
        if not self.job.recipe.audio:
            return
        time_base = source.video.time_base
        try:
            self.sound = self.stack.enter_context(
                open_sound(
                    source,
                    self.job.reading,
                    [(c.start_pts * time_base, c.end_pts * time_base) for c in clips],
                    binary=self.job.binary,
                    scratch=self.job.scratch,
                    stall_limit=self.job.stall_limit,
                    copy=copy,
                )
            )
        except (FfmpegError, av.error.FFmpegError) as error:
            if isinstance(error, FfmpegError) and not error.kind.is_clips_own:
                raise
            self.no_sound = f"without sound: {error}"

    def make(self, clips: Sequence[Clip]) -> Iterator[ClipRecord]:
        """Encode and cut `clips`; halve what fails until single clips are left."""
        job = self.job
        # An encoder session for each process: a chunk on a GPU takes one.
        most = 1 if job.encoder.on_gpu else job.cpus
        plan = runs(self.chunk, clips, most, job.clips_per_run)
        threads = max(job.threads, job.cpus // len(plan))
        suspects: list[tuple[Clip, ClippingError]] = []
        waiting = sorted(clips, key=lambda c: (c.end_frame, c.start_frame))
        done: list[EncodedSegment | ClippingError] = []
        with ThreadPoolExecutor(max_workers=min(most, len(plan))) as pool:
            futures = [pool.submit(self._encode, run, threads) for run in plan]
            try:
                for run, future in zip(plan, futures, strict=True):
                    done.append(_outcome(future))
                    while waiting and waiting[0].end_frame <= run.end_frame:
                        clip = waiting.pop(0)
                        failed = _failed_run(clip, plan, done)
                        if failed is not None:
                            suspects.append((clip, failed))
                            continue
                        yield self._finish(clip, plan, done)
                    _drop_passed(done, waiting)
            except BaseException:
                job.stop.set()
                for future in futures:
                    future.cancel()
                raise
        if len(suspects) == 1:
            clip, error = suspects[0]
            yield _failed(clip, error)
        elif suspects:
            half = (len(suspects) + 1) // 2
            for part in (suspects[:half], suspects[half:]):
                yield from self.make([c for c, _ in part])

    def _encode(self, run: Run, threads: int) -> EncodedSegment:
        """Encode a run and settle which source frames it holds."""
        if self.job.use_hwaccel and self.no_hwaccel is None:
            mezzanine = self._encode_on_gpu(run, threads)
            if mezzanine is not None:
                return mezzanine
        mezzanine, complaints = self._encode_once(run, threads, from_start=False)
        exact = sorted(mezzanine.pts) == list(run.pts)
        if exact and not complaints:
            return mezzanine
        # Either the source is damaged here or the seek came too late: decode it again, in the
        # second case from the start of the file, and believe what two decodes agree on.
        decoded = self._decode_again(run, from_start=not exact)
        given = _presented(decoded.pts, run)
        if sorted(mezzanine.pts) != given:
            mezzanine, _ = self._encode_once(run, threads, from_start=True)
        if sorted(mezzanine.pts) != given:
            raise VerificationError(
                f"frames {run.first_frame} to {run.end_frame - 1}: decoding them twice gave "
                f"{len(mezzanine.pts)} and {len(given)} frames"
            )
        if not given:
            raise ClippingError(
                f"none of the frames {run.first_frame} to {run.end_frame - 1} can be decoded",
                FailureKind.DAMAGED,
            )
        return replace(mezzanine, damaged=frozenset(decoded.damaged))

    def _encode_on_gpu(self, run: Run, threads: int) -> EncodedSegment | None:
        """The run decoded on the GPU; None, for the rest of the chunk too, if that is no good.

        Only what would happen in software as well is raised.
        """
        try:
            mezzanine, complaints = self._encode_once(run, threads, from_start=False, hwaccel=True)
        except FfmpegError as error:
            if error.kind in _NOT_THE_DECODERS:
                raise
            reason = error.message
        else:
            if sorted(mezzanine.pts) == list(run.pts) and not complaints:
                return replace(mezzanine, decoder="cuda")
            reason = "the GPU's decoder gave other frames than the source has"
        with self.lock:
            first = self.no_hwaccel is None
            self.no_hwaccel = reason
        if first and self.job.note:
            self.job.note(f"{self.chunk.name}: decoded by the CPU: {reason}")
        return None

    def _picture(self, *, hwaccel: bool) -> Picture:
        recipe, video = self.job.recipe, self.chunk.source.video
        wanted = {"tone_map": recipe.tone_map, "deinterlace": recipe.deinterlace}
        if hwaccel:
            picture = gpu_picture(video, **wanted)
            if isinstance(picture, Picture):
                return picture
            if self.job.note and not self.frames:
                text = f"{self.chunk.name}: decoded on the GPU, but {picture} is done by the CPU"
                self.job.note(text)
        return picture_filters(video, **wanted)

    def _encode_once(
        self, run: Run, threads: int, *, from_start: bool, hwaccel: bool = False
    ) -> tuple[EncodedSegment, int]:
        """The encoded run, and how often the source's decoder complained."""
        job, source = self.job, self.chunk.source
        recipe, video = job.recipe, source.video
        picture = self._picture(hwaccel=hwaccel)
        with self.lock:
            self.processes += 1
            number = self.processes
        path = job.scratch / f"run-{number}.mp4"
        command = encode_command(
            job.binary,
            job.reading.url,
            video,
            run,
            picture,
            job.encoder,
            preset=recipe.preset_for(job.encoder),
            rate=recipe.rate(video, picture.width, picture.height, job.encoder),
            threads=threads,
            output=str(path),
            from_start=from_start,
            hwaccel=hwaccel,
            talkative=job.log is not None,
        )

        def on_frames(count: int) -> None:
            with self.lock:
                self.frames[number] = count
                total = sum(self.frames.values())
            if job.on_frames:
                job.on_frames(total)

        finished = job.reading.run(
            command,
            what=f"encoding frames {run.first_frame} to {run.end_frame - 1}",
            on_frames=on_frames,
            log=job.log,
            stall_limit=job.stall_limit,
            stop=job.stop,
        )
        on_frames(run.frame_count)
        return EncodedSegment.read(run, path, video, finished.seconds), finished.damage

    def _decode_again(self, run: Run, *, from_start: bool) -> probing.Decoded:
        """What decoding alone gives up to the run's end, and what the decoder says of it."""
        video = self.chunk.source.video
        command = decode_command(
            self.job.binary,
            self.job.reading.url,
            video.stream,
            threads=1,
            seek=None if from_start else seek_target(run.seek, video),
            end_pts=run.ranges[-1][1],
        )
        what = f"decoding frames {run.first_frame} to {run.end_frame - 1} again"
        try:
            return probing.decoded_times(command, what, self.job.reading.run)
        except FfmpegError as error:
            if not error.kind.is_clips_own:
                raise
            return probing.Decoded()  # ffmpeg's way to say that there is no frame

    def _finish(
        self,
        clip: Clip,
        plan: Sequence[Run],
        done: Sequence[EncodedSegment | ClippingError],
    ) -> ClipRecord:
        """Cut, verify and publish one clip; a failure that is the clip's own is its record."""
        holding = [
            m
            for run, m in zip(plan, done, strict=False)
            if _overlaps(clip, run) and isinstance(m, EncodedSegment)
        ]
        path = self.job.scratch / f"{clip.id}.mp4"
        try:
            draft = self._cut(clip, holding, path)
            return self.publish(draft, path)
        except ClippingError as error:
            if not error.kind.is_clips_own:
                raise
            return _failed(clip, error)
        finally:
            path.unlink(missing_ok=True)

    def _cut(self, clip: Clip, holding: Sequence[EncodedSegment], path: Path) -> ClipRecord:
        video, recipe = self.chunk.source.video, self.job.recipe
        pts = unpack(self.chunk.frame_pts)
        beyond = clip.end_frame - self.chunk.first_frame
        next_pts = pts[beyond] if beyond < len(pts) else video.end_pts
        stop_pts = pts[beyond - 1] + 1
        held = sorted(p for m in holding for p in m.pts if clip.start_pts <= p < stop_pts)
        damaged = sum(1 for m in holding for p in m.damaged if clip.start_pts <= p < stop_pts)
        damage = min(clip.frame_count, max(0, clip.frame_count - len(held)) + damaged)
        share = damage / clip.frame_count
        note = f"{damage} of {clip.frame_count} frames are lost or damaged in the source"
        if not held or share > recipe.max_damage:
            raise ClippingError(note, FailureKind.DAMAGED)
        errors = [note] if damage else []
        if not damage and self._follows_damage(clip, holding):
            errors.append("its first frames are built on damaged ones before it in the source")
        if self.no_sound:
            errors.append(self.no_sound)
        written = self._write(clip, next_pts, holding, path)
        if written != held:
            raise VerificationError(f"it was cut to {len(written)} frames instead of {len(held)}")
        size = even_size(video.width, video.height)
        verify_clip(path, clip, video, held, size)
        if self.job.verify_decode:
            decode_clip(path, len(held), self.job.binary, self.job.stall_limit)
        spent = sum(m.seconds * _shared(clip, m.run) / m.run.frame_count for m in holding)
        return ClipRecord(
            clip=clip,
            status=ClipStatus.WRITTEN,
            errors=tuple(errors),
            width=size[0],
            height=size[1],
            frames=len(held),
            video_codec=self.job.encoder.codec,
            encoder=self.job.encoder.name,
            decoder="cuda" if all(m.decoder == "cuda" for m in holding) else None,
            node=self.job.node,
            audio=_audio_facts(self.sound),
            encode_seconds=spent,
        )

    def _write(
        self, clip: Clip, next_pts: int, holding: Sequence[EncodedSegment], path: Path
    ) -> list[int]:
        """Write the clip; sound that MP4 will not take as it is (rare rates) becomes AAC."""
        video = self.chunk.source.video
        try:
            return write_clip(clip, next_pts, holding, video, self.sound, path)
        except (av.error.FFmpegError, OSError) as error:
            if error.errno == errno.ENOSPC:
                message = f"the clip cannot be written: {error.strerror}"
                raise ClippingError(message, FailureKind.DISK_FULL) from None
            if self.sound is None or not self.sound.copied:
                raise VerificationError(f"the clip cannot be written: {error.strerror}") from None
        self.open_sound(copy=False)
        return self._write(clip, next_pts, holding, path)

    def _follows_damage(self, clip: Clip, holding: Sequence[EncodedSegment]) -> bool:
        """Whether damage before the clip reaches into it: no keyframe stands between."""
        before = [p for m in holding for p in m.damaged if p < clip.start_pts]
        keys = unpack(self.chunk.keyframes)
        return bool(before) and not any(max(before) < k <= clip.start_pts for k in keys)


def _presented(pts: Sequence[int], run: Run) -> list[int]:
    """Of decoded frames in output order, those that the run's selection lets through."""
    chosen: list[int] = []
    for p in pts:
        if any(a <= p < b for a, b in run.ranges) and (not chosen or p > chosen[-1]):
            chosen.append(p)
    return chosen


def _outcome(future: Future[EncodedSegment]) -> EncodedSegment | ClippingError:
    """A run's result, or its failure if that may be one clip's own; raises any other."""
    try:
        return future.result()
    except ClippingError as error:
        if not error.kind.is_clips_own:
            raise
        return error


def _overlaps(clip: Clip, run: Run) -> bool:
    return run.first_frame < clip.end_frame and clip.start_frame < run.end_frame


def _shared(clip: Clip, run: Run) -> int:
    return max(0, min(clip.end_frame, run.end_frame) - max(clip.start_frame, run.first_frame))


def _failed_run(
    clip: Clip, plan: Sequence[Run], done: Sequence[EncodedSegment | ClippingError]
) -> ClippingError | None:
    for run, outcome in zip(plan, done, strict=False):
        if isinstance(outcome, ClippingError) and _overlaps(clip, run):
            return outcome
    return None


def _drop_passed(done: Sequence[EncodedSegment | ClippingError], waiting: Sequence[Clip]) -> None:
    """Free the scratch space of runs that no waiting clip needs."""
    needed = min((c.start_frame for c in waiting), default=math.inf)
    for outcome in done:
        if isinstance(outcome, EncodedSegment) and outcome.run.end_frame <= needed:
            outcome.remove()


def _failed(clip: Clip, error: ClippingError) -> ClipRecord:
    failure = Failure(kind=error.kind, message=error.message)
    return ClipRecord(clip=clip, status=ClipStatus.FAILED, failure=failure, errors=(error.message,))


def _audio_facts(sound: Sound | None) -> dict[str, Any] | None:
    if sound is None:
        return None
    return {
        "codec": sound.codec,
        "sample_rate": sound.sample_rate,
        "channels": sound.track.channels,
        "copied": sound.copied,
        "source_codec": sound.track.codec,
        "source_stream": sound.track.stream,
    }
