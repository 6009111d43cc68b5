"""Encode each segment once, with an IDR at every clip boundary.

Frames that a damaged source does not give are told apart from a mistake of ours by decoding the
stretch a second time, from the start of the file. Where the decoder complained or frames are lost,
`media.packet_check` finds the frames that are damaged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from math import ceil
from pathlib import Path
from threading import Lock
from typing import TypeVar

from clipping.config.execution import Execution
from clipping.errors import ClippingError, FailureKind, FfmpegError, VerificationError
from clipping.ffmpeg.commands import decode_command, encode_command
from clipping.ffmpeg.encoders import rate_for_frames
from clipping.ffmpeg.filters import Picture, aspect_of, cpu_picture, gpu_picture, size_of
from clipping.ffmpeg.memory import alone_if_large
from clipping.ffmpeg.reconfigured import Reconfigured
from clipping.ffmpeg.shaped import shaped_picture
from clipping.ffmpeg.showinfo import IS_FRAME, Decoded, pts_in
from clipping.media.cut import EncodedSegment
from clipping.media.method import Job, PictureChanged
from clipping.media.packet_check import check_frames
from clipping.media.probe import decoded_times
from clipping.media.verify import decode_clip, verify_clip
from clipping.models import Chunk, Clip, VideoFacts
from clipping.plan.resampled import ShownFrames
from clipping.plan.segments import Segment, segments
from clipping.plan.shapes import by_shape
from clipping.plan.time_line import TimeLine

T = TypeVar("T")

__all__ = ["EncodeOnce", "cpus_for", "scratch_bytes", "work_of"]

# What the CPU's decoder would not mend, so that it is not tried.
_NOT_THE_DECODERS = frozenset(
    {FailureKind.OUT_OF_SESSIONS, FailureKind.DISK_FULL, FailureKind.KILLED, FailureKind.IO}
)


_COPIED = 1 / 50  # of the work of encoding


def work_of(chunk: Chunk) -> float:
    """Pixels that the chunk's clips cover; overlaps count once."""
    video = chunk.source.video
    pixels = chunk.seconds * chunk.frame_rate * video.width * video.height
    return pixels * _COPIED if chunk.copied else pixels


def cpus_for(chunk: Chunk, wanted: Sequence[Clip], execution: Execution) -> int:
    """How many CPUs can be kept busy with `wanted`, clips of `chunk`, by an encoder on the CPU."""
    if chunk.copied:
        return 1
    groups = by_shape([c for c in chunk.clips if c.frame_count], chunk.source.video)
    whole = [s for g in groups for s in segments(chunk, g, execution.encode_batch_size)]
    needed = [s for s in whole if any(s.overlaps(clip) for clip in wanted)]
    return sum(max(s.threads, execution.encoder_threads) for s in needed)


def scratch_bytes(chunk: Chunk) -> int:
    """Bytes of scratch for the encoded segments, generously."""
    video = chunk.source.video
    pixels_per_second = video.largest_picture * chunk.frame_rate
    bits = max(video.bit_rate * 2.0, pixels_per_second * 0.4)
    return int(chunk.seconds * bits / 8)


class EncodeOnce:
    """The method for one chunk."""

    def __init__(self, chunk: Chunk, job: Job) -> None:
        self.chunk = chunk
        self.job = job
        self._lock = Lock()
        self._processes = 0
        self._frames: dict[int, int] = {}  # process to frames encoded so far
        self._no_hwaccel: str | None = None

    @cached_property
    def picture(self) -> Picture:
        """The picture that clips get, made on the CPU."""
        return self._picture(cpu_picture)

    @cached_property
    def _gpu_picture(self) -> Picture | str:
        """The same made on the GPU, or why that cannot be."""
        return self._picture(gpu_picture)

    def _picture(self, of: Callable[..., T], **more: int) -> T:
        recipe = self.job.recipe
        return of(
            self.chunk.source.video,
            tone_map=recipe.tone_map,
            deinterlace=recipe.deinterlace,
            pixel_format=self.job.encoder.pixel_format,
            rule=recipe.size_rule,
            **more,
        )

    def size_of(self, clip: Clip) -> tuple[int, int]:
        """Width and height of the clip's picture, in pixels."""
        return size_of(self._facts_of(clip), self.job.recipe.size_rule)

    def _facts_of(self, clip: Clip) -> VideoFacts:
        """The source as it is where the clip begins."""
        video = self.chunk.source.video
        return video.with_shape(video.shape_number(clip.source_pts))

    def side_by_side(self, plan: Sequence[Segment]) -> int:
        """How many segments of `plan` may be made side by side."""
        # An encoder session for each process: a chunk on a GPU takes one.
        return 1 if self.job.encoder.on_gpu else ceil(self.job.cpus / self._threads(plan[0]))

    def segments(self, group: Sequence[Clip]) -> list[Segment]:
        """The segments that together hold the frames of `group`; the same on any machine."""
        at_most = self.job.execution.encode_batch_size
        return segments(self.chunk, group, at_most, side_by_side=not self.job.encoder.on_gpu)

    def _threads(self, segment: Segment) -> int:
        return max(segment.threads, self.job.execution.encoder_threads)

    def make(self, segment: Segment) -> EncodedSegment:
        """Encode a segment and settle which source frames it holds. Raises ClippingError."""
        threads = self._threads(segment)
        if self.job.use_hwaccel and self._no_hwaccel is None:
            encoded = self._encode_from_gpu(segment, threads)
            if encoded is not None:
                return encoded
        encoded, complaints = self._encode(segment, threads, from_start=False)
        if sorted(encoded.source_pts) != list(segment.source_pts):
            encoded, complaints = self._settled(segment, threads, encoded, complaints)
        lost = _lost(segment, encoded)
        if not lost and not complaints:
            return encoded
        found = check_frames(self.job, self.chunk, segment, lost)
        if not found.begins_whole:
            encoded, complaints = self._encode(segment, threads, from_start=True)
            lost = _lost(segment, encoded)
            if not lost and not complaints:
                return encoded
            found = check_frames(self.job, self.chunk, segment, lost, from_start=True)
        return replace(encoded, damaged=self._damaged(segment, {*lost, *found.damaged}))

    def _damaged(self, segment: Segment, source_pts: set[int]) -> frozenset[int]:
        """The frames of a segment that would show these source frames; which may be its own."""
        if not segment.decoded:
            return frozenset(source_pts)
        shown = ShownFrames.of(self.chunk).shown(segment.pts)
        return frozenset(p for p, s in zip(segment.pts, shown, strict=True) if s in source_pts)

    def _settled(
        self, segment: Segment, threads: int, encoded: EncodedSegment, complaints: int
    ) -> tuple[EncodedSegment, int]:
        """The segment if frames were missing, and how often the decoder complained.

        Either the source has lost them or the seek came too late: a decode from the start of
        the file tells. Raises ClippingError if there are none, or if it cannot be settled.
        """
        given = _presented(self._decode_again(segment).pts, segment)
        if sorted(encoded.source_pts) != given:
            encoded, complaints = self._encode(segment, threads, from_start=True)
        frames = f"frames {segment.first_frame} to {segment.end_frame - 1}"
        # A decoder may make up other frames each time of what it cannot decode; it says so.
        if sorted(encoded.source_pts) != given and not complaints:
            raise VerificationError(
                f"{frames}: decoding them twice gave {len(encoded.source_pts)} and {len(given)}"
                " frames"
            )
        if not encoded.pts:
            message = f"none of the {frames} can be decoded"
            raise ClippingError(message, FailureKind.DAMAGED)
        return encoded, complaints

    def prove(self, path: Path, clip: Clip, time_line: TimeLine) -> None:
        """Raise VerificationError unless the file is the clip with the frames of `time_line`."""
        job = self.job
        facts = self._facts_of(clip)
        rule = job.recipe.size_rule
        aspect = aspect_of(facts, rule) if facts.shapes or rule.square else None
        verify_clip(path, time_line, self.size_of(clip), job.encoder, aspect=aspect)
        if job.execution.verify == "decode":
            decode_clip(path, len(time_line.pts), job.binary, job.execution.stall_timeout_s)

    def _encode_from_gpu(self, segment: Segment, threads: int) -> EncodedSegment | None:
        """The segment decoded on the GPU; None, for the rest of the chunk too, if that is no good.

        Only what would happen in software as well is raised.
        """
        try:
            encoded, complaints = self._encode(segment, threads, from_start=False, hwaccel=True)
        except FfmpegError as error:
            if error.kind in _NOT_THE_DECODERS:
                raise
            reason = error.message
        else:
            if sorted(encoded.source_pts) == list(segment.source_pts) and not complaints:
                return replace(encoded, decoder="cuda")
            reason = "the GPU's decoder gave other frames than the source has"
        with self._lock:
            first = self._no_hwaccel is None
            self._no_hwaccel = reason
        if first and self.job.note:
            self.job.note(f"{self.chunk.name}: decoded by the CPU: {reason}")
        return None

    def _picture_of(self, segment: Segment, *, hwaccel: bool) -> Picture:
        if self.chunk.source.video.shapes:
            return self._picture(shaped_picture, shape=segment.shape, shown_as=segment.shown_as)
        if not hwaccel:
            return self.picture
        if isinstance(self._gpu_picture, Picture):
            return self._gpu_picture
        if self.job.note and not self._frames:
            self.job.note(
                f"{self.chunk.name}: decoded on the GPU, but {self._gpu_picture} is done by the CPU"
            )
        return self.picture

    def _encode(
        self, segment: Segment, threads: int, *, from_start: bool, hwaccel: bool = False
    ) -> tuple[EncodedSegment, int]:
        """The encoded segment, and how often the source's decoder complained."""
        job, video = self.job, self.chunk.source.video
        recipe, picture = job.recipe, self._picture_of(segment, hwaccel=hwaccel)
        with self._lock:
            self._processes += 1
            number = self._processes
        path = job.scratch / f"segment-{number}.mp4"
        clock = self.chunk.resampled and self.chunk.resampled.clock
        rate = recipe.rate(video, picture.width, picture.height, self.chunk.frame_rate, job.encoder)
        if job.encoder.counts_frames and video.guessed_rate and not clock:
            rate = rate_for_frames(rate, float(video.guessed_rate), video.frame_rate)
        command = encode_command(
            job.binary,
            job.reading.url,
            video,
            segment,
            picture,
            job.encoder,
            preset=recipe.preset_for(job.encoder),
            rate=rate,
            gop=recipe.gop_for(recipe.frame_rate(video)),
            threads=threads,
            output=str(path),
            clock=clock,
            from_start=from_start,
            hwaccel=hwaccel,
        )
        others, given = Reconfigured(video), list[int]()

        def on_line(line: str) -> None:
            if IS_FRAME in line:
                if (pts := pts_in(line)) is not None:
                    given.append(pts)
            else:
                others.read(line)
                if job.log:
                    job.log(line)

        def on_frames(count: int) -> None:
            with self._lock:
                self._frames[number] = count
                total = sum(self._frames.values())
            if job.on_frames:
                job.on_frames(total)

        with alone_if_large(video.largest_picture):
            try:
                finished = job.reading.run(
                    command,
                    what=f"encoding frames {segment.first_frame} to {segment.end_frame - 1}",
                    on_frames=on_frames,
                    on_line=on_line,
                    stall_limit=job.execution.stall_timeout_s,
                    stop=job.stop,
                )
            except FfmpegError as error:
                if error.kind is FailureKind.CRASHED and job.encoder.on_gpu:
                    error.kind = FailureKind.KILLED  # a driver's fault passes, a source's does not
                raise
        on_frames(segment.frame_count)
        encoded = EncodedSegment.read(segment, path, self.chunk.time_base, finished.seconds)
        encoded = replace(encoded, given=tuple(given))
        self._refuse_others(segment, others, encoded.size, picture)
        return encoded, finished.damage

    def _refuse_others(
        self,
        segment: Segment,
        others: Reconfigured,
        size: tuple[int, int] | None,
        picture: Picture,
    ) -> None:
        """Notice pictures that are not as planned. Raises PictureChanged, VerificationError."""
        found = others.what or (f"{size[0]}x{size[1]}" if size != picture.size and size else None)
        if found is None:
            return
        if not self.chunk.source.video.shapes:
            raise PictureChanged
        raise VerificationError(
            f"frames {segment.first_frame} to {segment.end_frame - 1}: a picture is {found}, which"
            " is not what decoding the whole video gave"
        )

    def _decode_again(self, segment: Segment) -> Decoded:
        """What decoding from the start of the file gives, up to the segment's end."""
        video = self.chunk.source.video
        command = decode_command(
            self.job.binary,
            self.job.reading.url,
            video.stream,
            threads=1,
            end_pts=segment.source_ranges[-1][1] if video.in_order else None,
            is_late=video.is_late,
        )
        what = f"decoding frames {segment.first_frame} to {segment.end_frame - 1} again"
        try:
            with alone_if_large(video.largest_picture):
                return decoded_times(command, what, self.job.reading.run)
        except FfmpegError as error:
            if not error.kind.is_clips_own:
                raise
            return Decoded()  # ffmpeg's way to say that there is no frame


def _lost(segment: Segment, encoded: EncodedSegment) -> list[int]:
    """PTS of the source's frames in a segment that did not come out of the decoder."""
    return sorted(set(segment.source_pts).difference(encoded.source_pts))


def _presented(pts: Sequence[int], segment: Segment) -> list[int]:
    """Of decoded frames in output order, those that the segment's selection lets through."""
    chosen: list[int] = []
    for p in pts:
        if any(a <= p < b for a, b in segment.source_ranges) and (not chosen or p > chosen[-1]):
            chosen.append(p)
    return chosen
