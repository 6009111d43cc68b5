"""A source file to its facts and the presentation time of every frame.

The frame times come from the packets (demuxed, not decoded), which costs a read of the file.
A short trial decode proves that they can be trusted; where it disagrees (field-coded video, a
start in mid-GOP, hidden frames, no timestamps), the whole file is decoded for its times.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from itertools import accumulate, islice
from typing import Any

from clipping.errors import FailureKind, FfmpegError, SourceError
from clipping.ffmpeg import process
from clipping.ffmpeg.commands import decode_command, trial_command
from clipping.ffmpeg.failures import last_words
from clipping.ffmpeg.showinfo import Decoded
from clipping.media.clock_jumps import ClockJumps, JoinedError
from clipping.media.edits import edited_streams
from clipping.media.picture_shapes import with_shapes
from clipping.media.stream_reader import look
from clipping.models import AudioTrack, FrameGrid, Source, SourceFile, VideoFacts
from clipping.plan.frame_grid import frame_grid
from clipping.plan.frame_times import FrameTimes
from clipping.plan.shapes import shape_warnings
from clipping.storage.seams import begins_anew
from clipping.storage.source import Reading
from clipping.wording import count

__all__ = ["DOLBY_VISION_NOTE", "decoded_times", "probe"]

_TRIAL_FRAMES = 24
_FRACTIONS = (
    *("sample_aspect_ratio", "time_base", "average_rate", "nominal_rate", "guessed_rate"),
    "duration",
)
_TIDY = ("mov,", "matroska,")
_APPLE = (b"\x00\x05\x16\x07", b"\x00\x05\x16\x00")  # AppleDouble, AppleSingle (RFC 1740)
_WITHOUT_TIMES = ("h264", "hevc", "m4v", "mpegvideo", "obu", "av1")
_ROUNDED_TWICE = ("flv", "live_flv")  # a decoding time and an offset
_FASTEST, _SLOWEST = 300, 1 / 60  # frames/s
_SOME_FRAMES = 10  # a picture under music is no nonsense
_ETERNITY = 2**40  # seconds, 35,000 years
_MOST_TICKS = 2**62  # a half of what 64 bits hold
# Packets: more than any codec's reordering, which is 16 frames of two fields each in H.264.
_REORDERED = 32


def probe(reading: Reading, binary: str) -> tuple[Source, FrameTimes]:
    """Learn a source's facts and its frame times.

    Raises SourceError, with a reason for a person, if it is not a playable video, and JoinedError
    if it is several, one behind the other.
    """
    file = reading.file
    _refuse_hopeless(reading)
    found = look(reading)
    header = _header(found, file)
    edited = edited_streams(reading, found)
    header["is_edited"] = header["stream"] in edited
    packets = _Packets(**found["packets"])
    if packets.encrypted:
        raise SourceError(f"{file.key}: the video is encrypted (DRM)")
    jumps = ClockJumps.told(header["container"], header["time_base"], packets.jumps)
    if places := jumps.places(partial(begins_anew, reading.part)):
        message = f"{file.key}: several recordings joined in one file"
        raise JoinedError(message, places, is_transport=jumps.is_transport)
    trial, is_damaged = _trial(reading, header, binary)
    trusted = None
    if not header["is_edited"]:
        trusted = _agree(packets, trial, header["time_base"], is_damaged=is_damaged)
    times, whole = _times(reading, header, packets, trusted, binary)
    _refuse_eternity(file, times)
    video = _facts(header, packets, trial, times, whole)
    if packets.may_change:
        video = with_shapes(reading, video, times.pts)
    return Source(
        file=file,
        video=video,
        audio=tuple(_track(told, edited) for told in found["audio"]),
        warnings=tuple(_warnings(header, packets, times, whole, video)),
    ), times


def _track(told: dict[str, Any], edited: Container[int]) -> AudioTrack:
    is_edited = told["stream"] in edited
    return AudioTrack(channels=len(told["places"]), is_edited=is_edited, **told)


@dataclass(slots=True)
class _Packets:
    """What demuxing told (`read_streams`): times in time base units, sizes in bytes."""

    pts: list[int] = field(default_factory=list[int])
    keys: list[int] = field(default_factory=list[int])
    cut_points: list[int] = field(default_factory=list[int])
    last: tuple[int, int] = (-(1 << 62), 0)
    untimed: int = 0
    hidden: int = 0
    size: int = 0
    starts_with_key: bool = False
    jump: int = 0
    jumps: dict[str, Any] = field(default_factory=dict[str, Any])
    encrypted: bool = False
    may_change: bool = False
    broke_off: str | None = None


def _refuse_hopeless(reading: Reading) -> None:
    """Name the usual impostors before ffmpeg calls them all invalid data."""
    file, head = reading.file, reading.head(256)
    if not head:
        raise SourceError(f"{file.key}: the file is empty")
    if head.startswith(b"version https://git-lfs"):
        raise SourceError(f"{file.key}: a Git LFS pointer, not the video; run 'git lfs pull'")
    if head.lstrip()[:1] == b"<" and b"html" in head.lower():
        raise SourceError(f"{file.key}: an HTML page (a failed download?), not a video")
    if head.startswith(_APPLE):
        raise SourceError(
            f"{file.key}: what macOS keeps beside a file (AppleDouble), not a video; give the file"
            " whose name comes after the '._'"
        )
    if head.startswith((b"#EXTM3U", b"ffconcat")):
        raise SourceError(f"{file.key}: a playlist, not a video; playlists are not opened")


def _refuse_eternity(file: SourceFile, times: FrameTimes) -> None:
    """Name timestamps too far apart for the numbers that clips and ticks have."""
    if times.duration >= _ETERNITY or times.end - times.first >= _MOST_TICKS:
        raise SourceError(
            f"{file.key}: its timestamps are {float(times.duration):.3g} s apart, which cannot be"
            " true; remux it into one timeline first"
        )


def _header(found: dict[str, Any], file: SourceFile) -> dict[str, Any]:
    """The facts of the first real video stream. Raises SourceError if there is none."""
    if found["video"] is None:
        if found["no_size"]:
            codec = found["no_size"][0]
            raise SourceError(f"{file.key}: the video stream ({codec}) has no picture size")
        if found["covers"]:
            raise SourceError(f"{file.key}: only a cover picture, no video stream")
        kinds = found["kinds"]
        has = f"only {', '.join(kinds)}" if kinds else "no streams at all"
        raise SourceError(f"{file.key}: no video stream ({has})")
    header = found["video"] | {k: found[k] for k in ("is_late", "dolby_vision")}
    for name in _FRACTIONS:
        header[name] = Fraction(header[name]) if header[name] else None
    return header


def _trial(reading: Reading, header: dict[str, Any], binary: str) -> tuple[Decoded, bool]:
    """What the first frames decode to, and whether the decoder calls them damaged."""
    file, trial = reading.file, Decoded()
    stream, is_late = header["stream"], header["is_late"]
    command = trial_command(binary, reading.url, stream, _TRIAL_FRAMES, is_late=is_late)
    try:
        finished = reading.run(command, what=f"trial decode of {file.key}", on_line=trial.read)
    except FfmpegError as error:
        if error.kind.is_transient or error.kind is FailureKind.NO_ENCODER:
            raise
        if error.kind is FailureKind.CRASHED:
            raise SourceError(f"{file.key}: {error.message}", error.kind) from None
        words = error.message.partition("ffmpeg ended with ")[2].partition(": ")[2]
        raise SourceError(f"{file.key}: no frame can be decoded ({words})") from None
    if not trial.pts and not trial.untimed:
        words = last_words(finished.stderr) or "the decoder gave none"
        raise SourceError(f"{file.key}: no frame can be decoded ({words})")
    return trial, finished.damage > 0


def _agree(
    packets: _Packets, trial: Decoded, time_base: Fraction, *, is_damaged: bool
) -> FrameTimes | None:
    """The frames' times as the packets tell them; None if the trial's frames have others.

    What a decoder gives no frame for and complains of is damage: it has a time all the same,
    unless it is shown before the first keyframe.
    """
    if not packets.pts or packets.untimed or not packets.starts_with_key or trial.untimed:
        return None
    times = FrameTimes.of(packets.pts, packets.keys, packets.last[1], time_base)
    if times.repeated:
        # Two packets of one time may be two frames, two fields of one, or one that is not shown.
        return None
    if sorted(trial.pts) == list(times.pts[: len(trial.pts)]):
        return times
    found = sorted(set(trial.pts))
    lost = set(times.pts[: bisect_right(times.pts, found[-1])]).difference(found)
    if not is_damaged or not lost or not set(found) <= set(times.pts):
        return None
    return times if min(lost) >= packets.keys[0] else None


def decoded_times(command: list[str], what: str, run: process.Runner) -> Decoded:
    """Decode by `command` and return what came out. Raises FfmpegError."""
    decoded = Decoded()
    run(command, what=what, on_line=decoded.read)
    return decoded


def _times(
    reading: Reading,
    header: dict[str, Any],
    packets: _Packets,
    trusted: FrameTimes | None,
    binary: str,
) -> tuple[FrameTimes, Decoded | None]:
    """The frame times, and what decoding the whole source told, where that was needed for them."""
    file = reading.file
    time_base: Fraction = header["time_base"]
    if packets.jump * time_base > 1 and not header["is_edited"]:
        seconds = float(packets.jump * time_base)
        raise SourceError(
            f"{file.key}: timestamps jump back by {seconds:.3f} s in mid-file (joined recordings?);"
            " remux it into one timeline first"
        )
    if trusted is not None:
        return replace(trusted, cut_points=packets.cut_points), None
    stream, is_late = header["stream"], header["is_late"]
    command = decode_command(binary, reading.url, stream, threads=1, is_late=is_late)
    try:
        whole = decoded_times(command, f"decoding {file.key} for its frame times", reading.run)
    except FfmpegError as error:
        if error.kind.is_transient:
            raise
        raise SourceError(f"{file.key}: {error.message}", error.kind) from None
    if not whole.pts:
        raise SourceError(f"{file.key}: decodes to frames without timestamps")
    times = FrameTimes.of(whole.pts, whole.keys, whole.last_duration, time_base)
    return times, whole


def _facts(
    header: dict[str, Any],
    packets: _Packets,
    trial: Decoded,
    times: FrameTimes,
    whole: Decoded | None,
) -> VideoFacts:
    width, _, height = trial.facts.get("s", "0x0").partition("x")
    filled = times.duration - times.gap_pts * times.time_base
    measured = round(packets.size * 8 / filled)
    known = {k: _known(trial.facts.get(k)) for k in _COLOURS}
    # A decoder knows better than a header whether pictures are interlaced.
    order = header["field_order"] if trial.interlaced else "progressive"
    if trial.interlaced and order in ("unknown", "progressive"):
        order = "interlaced"
    names = {k: v for k, v in header.items() if k not in ("duration", "bit_rate", "field_order")}
    names["pixel_format"] = trial.facts.get("fmt") or header["pixel_format"] or "unknown"
    return VideoFacts(
        **names,
        width=int(width),
        height=int(height),
        rotation=trial.rotation,
        color_range=known["color_range"],
        color_space=known["color_space"],
        color_primaries=known["color_primaries"],
        color_transfer=known["color_trc"],
        field_order=order,
        bit_rate=header["bit_rate"] or measured,
        bit_rate_estimated=not header["bit_rate"],
        first_pts=times.first,
        end_pts=times.end,
        frame_count=len(times.pts),
        nominal_duration=times.nominal,
        gap_pts=times.gap_pts,
        grid=_grid(header, times),
        in_order=_in_order(packets.pts, _REORDERED) if whole is None else _in_order(whole.pts, 1),
        index="packets" if whole is None else "decoded",
        # Without timestamps of its own, a file can only be decoded from its start.
        seekable=packets.untimed * 2 < len(packets.pts) or packets.untimed == 0,
        seeks_exactly=header["container"].startswith(_TIDY) and not header["is_edited"],
    )


def _grid(header: dict[str, Any], times: FrameTimes) -> FrameGrid | None:
    declared = [header["average_rate"], header["nominal_rate"], header["guessed_rate"]]
    return frame_grid(times, declared, 2 if header["container"] in _ROUNDED_TWICE else 1)


def _in_order(pts: Sequence[int], reach: int) -> bool:
    """Whether none of these comes `reach` places or more after a later one."""
    highest = accumulate(pts, max)
    return all(a <= b for a, b in zip(highest, islice(pts, reach, None), strict=False))


# Said of the source and of each of its clips.
DOLBY_VISION_NOTE = (
    "its colours are Dolby Vision's own (no compatible base layer), which only a Dolby Vision"
    " decoder turns into right ones: what is written looks green and violet"
)
_COLOURS = ("color_range", "color_space", "color_primaries", "color_trc")


def _known(value: str | None) -> str | None:
    return None if value in (None, "unknown", "unspecified", "reserved") else value


def _warnings(
    header: dict[str, Any],
    packets: _Packets,
    times: FrameTimes,
    whole: Decoded | None,
    video: VideoFacts,
) -> Iterable[str]:
    promised: Fraction | None = header["duration"]
    # A video track may rightly be a little shorter than the file (audio goes on).
    if promised and promised > video.duration + max(1, video.duration / 10):
        yield (
            f"the header promises {float(promised):.3f} s,"
            f" {float(video.duration):.3f} s of video are there"
        )
    if gaps := times.gaps:
        longest = max(gaps, key=lambda i: times.pts[i] - times.pts[i - 1])
        last, following = (
            float((times.pts[i] - times.first) * times.time_base) for i in (longest - 1, longest)
        )
        others = f" ({count(len(gaps) - 1, 'other gap')} like it)" if len(gaps) > 1 else ""
        yield (
            f"no frame comes from {last:.3f} s to {following:.3f} s{others}: a clock that jumped,"
            " or a wrong timestamp; clips are made of the"
            f" {float(video.filled_duration):.3f} s where frames are"
        )
    rate = video.frame_rate
    if video.container in _WITHOUT_TIMES:
        yield (
            f"an elementary stream has no timestamps: its frames are taken to come at {rate:g}"
            " frames/s, as its header says (or 25, where it says nothing)"
        )
    if rate > _FASTEST or (rate < _SLOWEST and video.frame_count >= _SOME_FRAMES):
        yield f"{rate:g} frames/s can hardly be true, and with it when its frames are shown"
    yield from shape_warnings(video)
    if not video.in_order:
        yield (
            "its frames are not in the order of their timestamps (a wrong one among them?); each"
            " is taken to be shown when its timestamp says"
        )
    if video.is_dolby_vision_alone:
        yield DOLBY_VISION_NOTE
    if packets.broke_off:
        yield f"reading broke off: {packets.broke_off}"
    if whole is None:
        return
    decoded = len(whole.pts) + whole.untimed
    if times.repeated:
        yield (
            f"{len(times.repeated)} of {decoded} decoded frames have the timestamp of another and"
            " are left out"
        )
    if whole.untimed:
        yield f"{whole.untimed} of {decoded} decoded frames have no timestamp and are left out"
    if packets.pts and not packets.untimed and len(packets.pts) != decoded:
        yield f"{len(packets.pts)} video packets decode to {decoded} frames"
