"""A chunk to clip files: make each segment once, cut it, prove every clip, hand it on.

A segment that fails is narrowed down by halves until the clip at fault alone is failed and its
neighbours are made.
"""

from __future__ import annotations

import errno
import math
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av.error

from clipping.errors import ClippingError, FailureKind, FfmpegError, VerificationError
from clipping.media.audio import Sound, open_sound
from clipping.media.cut import EncodedSegment, write_clip
from clipping.media.damage import clip_damage, damage_note
from clipping.media.flac import from_the_sample
from clipping.media.method import Job, Method
from clipping.media.preview import write_preview
from clipping.media.probe import DOLBY_VISION_NOTE
from clipping.models import Chunk, Clip, ClipRecord, ClipStatus, Failure, SoundWish
from clipping.plan.frame_times import unpack
from clipping.plan.resampled import ShownFrames
from clipping.plan.segments import Segment
from clipping.plan.shapes import by_shape, change_note
from clipping.plan.time_line import TimeLine
from clipping.wording import count

__all__ = ["Publish", "transcode"]

# Takes a finished clip's draft record, its file and its preview, if it has one, makes them visible,
# returns the full record.
Publish = Callable[[ClipRecord, Path, Path | None], ClipRecord]


def transcode(
    chunk: Chunk, wanted: Sequence[Clip], method: Method, job: Job, publish: Publish
) -> Iterator[ClipRecord]:
    """Make `wanted` (clips of `chunk` with frames) and yield how each ended, as it ends.

    Raises ClippingError for what is nobody's clip's fault (disk full, no such encoder,
    killed), after which the clips already yielded are published.
    """
    # What is made does not depend on what is missing, so that the same bytes come of it.
    group = [clip for clip in chunk.clips if clip.frame_count > 0]
    with ExitStack() as stack:
        stack.callback(job.stop.set)
        work = _Work(chunk, group, method, job, publish, stack)
        work.open_sound(copy=True)
        for alike in by_shape(group, chunk.source.video):
            if mine := [clip for clip in wanted if clip in alike]:
                yield from work.make(alike, mine)


@dataclass(slots=True)
class _Work:
    chunk: Chunk
    clips: Sequence[Clip]
    method: Method
    job: Job
    publish: Publish
    stack: ExitStack
    sound: Sound | None = None
    no_sound: str | None = None

    def open_sound(self, *, copy: bool) -> None:
        """Get the chunk's sound ready; without it the clips say why they are silent."""
        source, clips = self.chunk.source, self.clips
        self.sound = None
        if self.job.recipe.audio == "none":
            return
        video = source.video
        try:
            self.sound = self.stack.enter_context(
                open_sound(
                    source,
                    self.job.reading,
                    [TimeLine.of(c, self._frames(c), video).seconds for c in clips],
                    binary=self.job.binary,
                    scratch=self.job.scratch,
                    stall_limit=self.job.execution.stall_timeout_s,
                    copy=copy,
                    wish=self.job.recipe.sound_wish,
                )
            )
        except (FfmpegError, av.error.FFmpegError) as error:
            if isinstance(error, FfmpegError) and not error.kind.is_clips_own:
                raise
            self.no_sound = f"without sound: {error}"

    def make(self, group: Sequence[Clip], wanted: Sequence[Clip]) -> Iterator[ClipRecord]:
        """Encode and cut the clips `wanted` of a `group` that is planned together.

        What fails is halved until single clips are left.
        """
        job = self.job
        whole = self.method.segments(group)
        plan = [s for s in whole if any(s.overlaps(clip) for clip in wanted)]
        suspects: dict[int, list[Clip]] = {}  # the clips that a failed segment of the plan spoils
        waiting = sorted(wanted, key=lambda c: (c.end_frame, c.start_frame))
        done: list[EncodedSegment | ClippingError] = []
        with ThreadPoolExecutor(max_workers=self.method.side_by_side(plan)) as pool:
            futures = [pool.submit(self.method.make, segment) for segment in plan]
            try:
                for segment, future in zip(plan, futures, strict=True):
                    done.append(_outcome(future))
                    while waiting and waiting[0].end_frame <= segment.end_frame:
                        clip = waiting.pop(0)
                        failed = _failed_segment(clip, plan, done)
                        if failed is not None:
                            suspects.setdefault(failed, []).append(clip)
                            continue
                        yield self._finish(clip, plan, done)
                    _drop_passed(done, waiting)
            except BaseException:
                job.stop.set()
                for future in futures:
                    future.cancel()
                raise
        for number, spoilt in suspects.items():
            error = done[number]
            assert isinstance(error, ClippingError)
            yield from self._narrow_down(group, plan[number], error, spoilt)

    def _narrow_down(
        self, group: Sequence[Clip], segment: Segment, error: ClippingError, spoilt: Sequence[Clip]
    ) -> Iterator[ClipRecord]:
        """Make the clips that a failed segment spoilt, in halves; a single one has failed."""
        # Of all that hold its frames, those that are done already too: the same halves as ever.
        holding = [clip for clip in group if segment.overlaps(clip)]
        if len(holding) == 1:
            is_damage = error.kind is FailureKind.DAMAGED
            yield _failed(holding[0], error, holding[0].frame_count if is_damage else None)
            return
        half = (len(holding) + 1) // 2
        for part in (holding[:half], holding[half:]):
            mine = [clip for clip in part if clip in spoilt]
            if mine:
                yield from self.make(part, mine)

    def _finish(
        self,
        clip: Clip,
        plan: Sequence[Segment],
        done: Sequence[EncodedSegment | ClippingError],
    ) -> ClipRecord:
        """Cut, verify and publish one clip; a failure that is the clip's own is its record."""
        holding = [
            encoded
            for segment, encoded in zip(plan, done, strict=False)
            if segment.overlaps(clip) and isinstance(encoded, EncodedSegment)
        ]
        path = self.job.scratch / f"{clip.id}.mp4"
        frames = self._frames(clip)
        held = [p for m in holding for p in m.held(frames[0], frames[-1] + 1)]
        damage = clip_damage(frames, held, [p for m in holding for p in m.damaged])
        if not held or damage / clip.frame_count > self.job.recipe.max_damage:
            note = f"{damage_note(clip, damage)} (max_damage is {self.job.recipe.max_damage:g})"
            return _failed(clip, ClippingError(note, FailureKind.DAMAGED), damage)
        try:
            draft = self._cut(clip, holding, held, damage, path)
            is_shown = self.job.execution.previews
            preview = write_preview(path, path.with_suffix(".jpg")) if is_shown else None
            return self.publish(draft, path, preview)
        except ClippingError as error:
            if not error.kind.is_clips_own:
                raise
            return _failed(clip, error)
        finally:
            path.unlink(missing_ok=True)
            path.with_suffix(".jpg").unlink(missing_ok=True)

    def _frames(self, clip: Clip) -> Sequence[int]:
        """PTS of the frames planned for a clip."""
        first = self.chunk.first_frame
        return unpack(self.chunk.frame_pts)[clip.start_frame - first : clip.end_frame - first]

    def _shown(self, clip: Clip) -> Sequence[int]:
        """PTS of the source's frames that a clip's frames show."""
        frames = self._frames(clip)
        return ShownFrames.of(self.chunk).shown(frames) if self.chunk.resampled else frames

    def _left_out(self, clip: Clip) -> tuple[int | None, int | None]:
        """How many source frames a clip does not show, and how many it repeats, at another rate."""
        if not self.chunk.resampled:
            return None, None
        return ShownFrames.of(self.chunk).counts(self._frames(clip))

    def _cut(
        self,
        clip: Clip,
        holding: Sequence[EncodedSegment],
        held: Sequence[int],
        damage: int,
        path: Path,
    ) -> ClipRecord:
        """A clip's file and draft record; `held`: PTS of its frames; `damage`: how many are bad."""
        job, video = self.job, self.chunk.source.video
        pts = unpack(self.chunk.frame_pts)
        beyond = clip.end_frame - self.chunk.first_frame
        next_pts = pts[beyond] if beyond < len(pts) else pts[-1] + 1
        errors = [damage_note(clip, damage)] if damage else []
        shown = self._shown(clip)
        repeated = sum(shown[0] <= p <= shown[-1] for p in unpack(self.chunk.repeated))
        if repeated:
            errors.append(f"{count(repeated, 'frame')} with the timestamp of another left out")
        if video.is_dolby_vision_alone:
            errors.append(DOLBY_VISION_NOTE)
        if note := change_note(shown, video):
            errors.append(note)
        if self.no_sound:
            errors.append(self.no_sound)
        time_line = TimeLine.of(clip, held, video)
        held_from = time_line.pts[0]
        sound = self._write(clip, next_pts, holding, time_line, path)
        self.method.prove(path, clip, time_line)
        spent = sum(m.seconds * _shared(clip, m.segment) / m.segment.frame_count for m in holding)
        width, height = self.method.size_of(clip)
        dropped, again = self._left_out(clip)
        return ClipRecord(
            clip=clip,
            status=ClipStatus.WRITTEN,
            errors=tuple(errors),
            damaged_frames=damage,
            width=width,
            height=height,
            frames=len(held),
            first_pts=held_from if held_from != clip.start_pts else None,
            duration=time_line.duration,
            frame_rate=time_line.frame_rate,
            on_grid=time_line.on_grid,
            dropped_frames=dropped,
            repeated_frames=again,
            video_codec=job.encoder.codec,
            encoder=job.encoder.name,
            decoder="cuda" if all(m.decoder == "cuda" for m in holding) else None,
            node=job.node,
            audio=_audio_facts(sound, job.recipe.sound_wish),
            encode_seconds=spent,
        )

    def _write(
        self,
        clip: Clip,
        next_pts: int,
        holding: Sequence[EncodedSegment],
        time_line: TimeLine,
        path: Path,
    ) -> Sound | None:
        """Write the clip; the sound in it.

        Sound that MP4 will not take as it is (rare rates) becomes AAC.
        """
        try:
            with self._sound_of(time_line) as sound:
                has_sound = write_clip(
                    clip, next_pts, holding, time_line, sound, path, self.job.encoder.mp4_tag
                )
            return sound if has_sound else None
        except (av.error.FFmpegError, OSError) as error:
            if error.errno == errno.ENOSPC:
                message = f"the clip cannot be written: {error.strerror}"
                raise ClippingError(message, FailureKind.DISK_FULL) from None
            if self.sound is None or not self.sound.copied:
                raise VerificationError(f"the clip cannot be written: {error.strerror}") from None
            self.open_sound(copy=False)
            return self._write(clip, next_pts, holding, time_line, path)

    @contextmanager
    def _sound_of(self, time_line: TimeLine) -> Generator[Sound | None]:
        """What one clip's sound is taken from."""
        if self.sound is None or self.sound.codec != "flac":
            yield self.sound
            return
        with from_the_sample(
            self.sound,
            *time_line.seconds,
            self.job.reading,
            binary=self.job.binary,
            scratch=self.job.scratch,
            stall_limit=self.job.execution.stall_timeout_s,
        ) as sound:
            yield sound


def _outcome(future: Future[EncodedSegment]) -> EncodedSegment | ClippingError:
    """A segment's result, or its failure if that may be one clip's own; raises any other."""
    try:
        return future.result()
    except ClippingError as error:
        if not error.kind.is_clips_own:
            raise
        return error


def _shared(clip: Clip, segment: Segment) -> int:
    begin = max(clip.start_frame, segment.first_frame)
    return max(0, min(clip.end_frame, segment.end_frame) - begin)


def _failed_segment(
    clip: Clip, plan: Sequence[Segment], done: Sequence[EncodedSegment | ClippingError]
) -> int | None:
    """The place in the plan of the first failed segment with frames of the clip."""
    for number, (segment, outcome) in enumerate(zip(plan, done, strict=False)):
        if isinstance(outcome, ClippingError) and segment.overlaps(clip):
            return number
    return None


def _drop_passed(done: Sequence[EncodedSegment | ClippingError], waiting: Sequence[Clip]) -> None:
    """Free the scratch space of segments that no waiting clip needs."""
    needed = min((c.start_frame for c in waiting), default=math.inf)
    for outcome in done:
        if isinstance(outcome, EncodedSegment) and outcome.segment.end_frame <= needed:
            outcome.remove()


def _failed(clip: Clip, error: ClippingError, damage: int | None = None) -> ClipRecord:
    return ClipRecord(
        clip=clip,
        status=ClipStatus.FAILED,
        failure=Failure.of(error),
        errors=(error.message,),
        damaged_frames=damage,
    )


def _audio_facts(sound: Sound | None, wish: SoundWish) -> dict[str, Any] | None:
    """What a record says of a clip's sound; wish: what was asked for."""
    if sound is None:
        return None
    track, mix = sound.track, sound.mix
    facts: dict[str, Any] = {
        "codec": sound.codec,
        "sample_rate": sound.sample_rate,
        "channels": mix.channels if mix else track.channels,
        "layout": mix.layout if mix else track.layout,
        "copied": sound.copied,
        "source_codec": track.codec,
        "source_stream": track.stream,
        "source_channels": track.channels,
        "source_layout": track.layout,
    }
    notes: list[str] = []
    if track.language:
        facts["language"] = track.language
    if not sound.is_asked_for:
        notes.append(f"there is no audio track {wish.track}: it is the default one")
    if mix and mix.is_lossy:
        why = "as asked" if wish.channels else f"which {sound.codec.upper()} takes"
        notes.append(f"{track.layout} mixed down to {mix.layout}, {why}")
    if notes:
        facts["note"] = "; ".join(notes)
    return facts
