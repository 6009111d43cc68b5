"""ffmpeg's argument lists. Pure.

Three ideas make cuts exact. `-copyts` keeps the source's PTS, so that `trim` and `select`
choose frames by integer PTS; the seek only has to come early enough. `setpts` then moves the
segment's first frame to 0 by an exact integer. `-fps_mode passthrough` and the source's own time
base carry every PTS unchanged into the encoded segment.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import floor

from clipping.ffmpeg.encoders import Encoder, Gop, Rate
from clipping.ffmpeg.filters import Picture
from clipping.models import FrameClock, VideoFacts
from clipping.plan.segments import Segment
from clipping.plan.time_line import timescale

__all__ = [
    "DEMUXERS",
    "PATIENCE",
    "audio_command",
    "copy_command",
    "decode_command",
    "encode_command",
    "encoder_trial_command",
    "flac_command",
    "input_url",
    "reading_options",
    "seek_target",
    "small_pictures_command",
    "trial_command",
]

# What may be opened as a source. Playlists and scripts (hls, dash, concat, image patterns) are
# left out on purpose: they make ffmpeg read other files and addresses.
DEMUXERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,m4v,flv,ogg,asf,mxf,gxf,"
    "nut,ivf,h264,hevc,obu,av1,dv,rm,wtv"
)
_QUIET = ["-hide_banner", "-nostdin", "-y", "-nostats"]
# Seeking in these lands on the keyframe asked for; elsewhere it may land after it, so that we
# ask for an earlier one (and the verification notices if that was not early enough).
_LOOSE_SEEK_MARGIN = Fraction(2)


# Steps of a rounded constant rate are counted in so many parts of a step, which is far finer than
# what a timestamp may be off.
_FINER = 64
# Where a source's pictures or sound begin late, how long to look for them: in microseconds, and in
# bytes, which are kept in memory. By default FFmpeg gives up after 5 MB.
PATIENCE = {"analyzeduration": "600000000", "probesize": "268435456"}


def input_url(path: str) -> str:
    """A local path as ffmpeg takes it literally (names may begin with `-`, hold `:` or `%`)."""
    return f"file:{path}"


def _protocols(url: str) -> str:
    """What may be used to read a source from `url`.

    Remote sources come through a server of our own on loopback; no other protocol is needed.
    """
    return "file" if url.startswith("file:") else "http,tcp"


def reading_options(url: str) -> dict[str, str]:
    """The same limits for PyAV."""
    options = {"format_whitelist": DEMUXERS, "protocol_whitelist": _protocols(url)}
    if not url.startswith("file:"):
        # FFmpeg 8.1 seeks on a connection that it has asked the server to close.
        options["multiple_requests"] = "1"
    return options


def _input(
    url: str,
    *,
    threads: int,
    seek: Fraction | None,
    is_late: bool = False,
    more: Sequence[str] = (),
) -> list[str]:
    place = [] if seek is None else ["-noaccurate_seek", "-seek_timestamp", "1", "-ss", _us(seek)]
    allowed = ["-protocol_whitelist", _protocols(url), "-format_whitelist", DEMUXERS]
    patience = [w for k, v in PATIENCE.items() for w in (f"-{k}", v)] if is_late else []
    return ["-threads", str(threads), *place, *allowed, *patience, *more, "-copyts", "-i", url]


def _us(seconds: Fraction) -> str:
    """Decimal seconds, rounded down to the microsecond that ffmpeg counts in."""
    micro = floor(seconds * 1_000_000)
    sign, micro = ("-", -micro) if micro < 0 else ("", micro)
    return f"{sign}{micro // 1_000_000}.{micro % 1_000_000:06d}"


def _selection(segment: Segment, *, in_order: bool) -> list[str]:
    """The segment's frames and no others; of frames that share a PTS, the first.

    in_order: whether no frame of it comes after one from beyond its end, so that there is the end.
    """
    ranges = segment.source_ranges
    first, last = ranges[0][0], ranges[-1][1]
    ascending = "(isnan(prev_selected_pts)+gt(pts,prev_selected_pts))"
    inside = ""
    if len(ranges) > 1 or not in_order:
        inside = f"({_within(ranges)})*"
    trim = [f"trim=start_pts={first}:end_pts={last}"] if in_order else []
    return [*trim, f"select='{inside}{ascending}'"]


def _within(ranges: Sequence[tuple[int, int]]) -> str:
    return "+".join(f"gte(pts,{a})*lt(pts,{b})" for a, b in ranges)


def _resampled(segment: Segment, video: VideoFacts, clock: FrameClock) -> tuple[str, list[str]]:
    """The filters that set the source's times for `fps`, and those that make a segment's frames.

    `fps` computes in the time base that it is given, and is exact if its time 0 is one of the
    clock's frames: the last such that is a whole number of ticks, at the segment's first frame or
    before it. A frame is held to the segment's end, whether or not another one follows.
    """
    base, snap = video.time_base, ""
    if video.grid and video.grid.off_by:
        # Rounded times are brought back to the steps that they are roundings of.
        base = 1 / (video.grid.rate * _FINER)
        snap = f"settb={base.numerator}/{base.denominator},"
        nearest = f"(PTS-{round(clock.zero / base)}+{_FINER // 2})/{_FINER}"
        first = f"{_FINER}*floor({nearest})"
    else:
        first = f"PTS-({int(clock.zero / base)})"
    per_frame = 1 / (clock.rate * base)
    origin = segment.pts[0] - segment.pts[0] % per_frame.denominator
    rate, count = clock.rate, segment.pts[-1] - origin + 1
    wanted = _within([(a - origin, b - origin) for a, b in segment.ranges])
    timed = f"{snap}setpts='{first}-({int(origin * per_frame)})'"
    made = [
        f"fps=fps={rate.numerator}/{rate.denominator}:start_time=0:round=up",
        f"tpad=stop=-1:stop_mode=clone,trim=end_frame={count}",
        f"select='{wanted}'",
        f"setpts=PTS-({segment.pts[0] - origin})",
    ]
    return timed, made


def seek_target(keyframe: int | None, video: VideoFacts) -> Fraction | None:
    """Where to ask ffmpeg to seek so that decoding starts at `keyframe` or before it.

    Absolute seconds; None to start with the file.
    """
    if keyframe is None or not video.seekable:
        return None
    if keyframe <= video.first_pts:
        return None
    target = (Fraction(keyframe) + Fraction(1, 2)) * video.time_base
    if not video.seeks_exactly:
        target -= _LOOSE_SEEK_MARGIN
    return target if target > video.first_pts * video.time_base else None


def encode_command(
    binary: str,
    url: str,
    video: VideoFacts,
    segment: Segment,
    picture: Picture,
    encoder: Encoder,
    *,
    preset: str | None,
    rate: Rate,
    gop: Gop,
    threads: int,
    output: str,
    clock: FrameClock | None = None,
    from_start: bool = False,
    hwaccel: bool = False,
) -> list[str]:
    """Encode a segment's frames once, into one MP4 with an IDR at every clip boundary.

    clock: of its frames, if they are not the source's own; `showinfo` then names those.
    hwaccel: decode on the GPU; the frames stay there if the picture is made there.
    """
    origin, base = segment.pts[0], clock.time_base if clock else video.time_base
    chain = _selection(segment, in_order=video.in_order)
    if clock:
        timed, made = _resampled(segment, video, clock)
        early = picture.at_source_rate
        chain += ["showinfo=checksum=0", timed, *picture.filters[:early]]
        chain += [*made, *picture.filters[early:]]
    else:
        chain += [f"setpts=PTS-({origin})", *picture.filters]
    if picture.on_gpu and not encoder.on_gpu:
        chain += ["hwdownload", f"format={encoder.pixel_format}"]
    boundaries = ",".join(_us((b - origin) * base) for b in segment.boundaries)
    return [
        binary,
        *_QUIET,
        *["-loglevel", "repeat+level+info"],  # tells where the picture changes
        *["-progress", "pipe:1", "-stats_period", "0.5"],
        *(["-hwaccel", "cuda"] if hwaccel else []),
        *(["-hwaccel_output_format", "cuda"] if hwaccel and picture.on_gpu else []),
        *_input(
            url,
            threads=threads,
            seek=None if from_start else seek_target(segment.seek, video),
            is_late=video.is_late,
            # Turned by filters of ours: ffmpeg goes by what it has decoded since the seek.
            more=["-noautorotate"] if video.shapes else [],
        ),
        *["-map", f"0:{video.stream}", "-an", "-sn", "-dn", "-map_metadata", "-1"],
        *["-vf", ",".join(chain)],
        *["-c:v", encoder.name, *encoder.options(preset, rate, gop, threads)],
        *["-tag:v", encoder.mp4_tag],
        *["-bsf:v", encoder.clock(gop.rate)],
        *["-fps_mode", "passthrough"],
        *["-enc_time_base", f"{base.numerator}:{base.denominator}" if clock else "demux"],
        *(["-force_key_frames", boundaries] if boundaries else []),
        *["-video_track_timescale", str(timescale(base))],
        *["-f", "mp4", output],
    ]


def copy_command(
    binary: str,
    url: str,
    video: VideoFacts,
    segment: Segment,
    *,
    tag: str,
    until: Fraction,
    output: str,
) -> list[str]:
    """Write a segment's packets into an MP4 as they are; its first frame is shown at 0.

    tag: of its sample entry; until: absolute seconds up to which is read.
    """
    origin = segment.pts[0]
    chosen = f"noise=drop='not({_within(segment.ranges)})'"
    moved = f"setts=pts=PTS-({origin}):dts=DTS-({origin})"
    return [
        binary,
        *_QUIET,
        *["-loglevel", "repeat+level+warning", "-progress", "pipe:1", "-stats_period", "0.5"],
        *["-to", _us(until)],
        *_input(url, threads=1, seek=seek_target(segment.seek, video), is_late=video.is_late),
        *["-map", f"0:{video.stream}", "-an", "-sn", "-dn", "-map_metadata", "-1"],
        *["-c:v", "copy", "-tag:v", tag, "-bsf:v", f"{chosen},{moved}"],
        *["-video_track_timescale", str(timescale(video.time_base))],
        *["-f", "mp4", output],
    ]


def decode_command(
    binary: str,
    url: str,
    stream: int,
    *,
    threads: int,
    seek: Fraction | None = None,
    end_pts: int | None = None,
    frames: int | None = None,
    is_late: bool = False,
) -> list[str]:
    """Decode only, up to `end_pts`, and have `showinfo` name every frame's PTS on stderr."""
    trim = [f"trim=end_pts={end_pts}"] if end_pts is not None else []
    return [
        binary,
        *_QUIET,
        *["-loglevel", "repeat+level+info"],
        *_input(url, threads=threads, seek=seek, is_late=is_late),
        *["-map", f"0:{stream}", "-an", "-sn", "-dn"],
        *["-vf", ",".join(["showinfo=checksum=0", *trim])],
        *(["-frames:v", str(frames)] if frames else []),
        *["-fps_mode", "passthrough", "-enc_time_base", "demux", "-f", "null", "-"],
    ]


def small_pictures_command(
    binary: str, url: str, video: VideoFacts, size: tuple[int, int], output: int
) -> list[str]:
    """Decode all of a source to small BGR pictures, written raw to file descriptor `output`.

    `showinfo` names every picture's PTS, in the same order.
    """
    width, height = size
    ascending = "select='isnan(prev_selected_pts)+gt(pts,prev_selected_pts)'"
    scaled = f"scale={width}:{height}:flags=area,format=bgr24"
    return [
        binary,
        *_QUIET,
        *["-loglevel", "repeat+level+info", "-progress", "pipe:1", "-stats_period", "0.5"],
        *_input(url, threads=1, seek=None, is_late=video.is_late),
        *["-map", f"0:{video.stream}", "-an", "-sn", "-dn"],
        *["-vf", f"{ascending},showinfo=checksum=0,{scaled}"],
        *["-fps_mode", "passthrough", "-f", "rawvideo", f"pipe:{output}"],
    ]


def encoder_trial_command(binary: str, encoder: Encoder, rate: Rate) -> list[str]:
    """Encode three small frames to nowhere, to learn whether an encoder works here."""
    return [
        binary,
        *_QUIET,
        *["-loglevel", "repeat+level+warning"],
        *["-f", "lavfi", "-i", "color=black:s=256x256:r=30", "-frames:v", "3"],
        *[
            "-vf",
            f"format={encoder.pixel_format}",
            "-c:v",
            encoder.name,
            *encoder.options(None, rate, Gop(), 1),
        ],
        *["-f", "null", "-"],
    ]


def trial_command(
    binary: str, url: str, stream: int, frames: int, *, is_late: bool = False
) -> list[str]:
    """Decode the first frames of a source, to learn whether and as what they decode."""
    return decode_command(binary, url, stream, threads=1, frames=frames, is_late=is_late)


def audio_command(
    binary: str,
    url: str,
    stream: int,
    *,
    start: Fraction,
    end: Fraction,
    seek: Fraction | None,
    has_gaps: bool,
    is_late: bool,
    is_edited: bool,
    mix: Sequence[str],
    bit_rate: int,
    output: str,
    sample_rate: int = 0,
    encoder: str = "aac",
) -> list[str]:
    """Encode one audio track's `[start, end)` (absolute seconds), from `start` exactly.

    Silence fills what the source lacks, so that sound stays where it belongs.
    has_gaps: whether a seek may land years before `start`; aresample cannot drop that much.
    mix: filters that bring the channels into a layout that the codec takes.
    sample_rate: to resample to, in Hz; 0 for the track's own.
    is_edited: whether its parts are cut together with a step of less than a packet, which is not
    to be smoothed out.
    """
    least_step = 0.001 if is_edited else 0.1
    chain = [
        *mix,
        f"asetpts=PTS-({start.numerator}/{start.denominator})/TB",
        *(["atrim=start=-10"] if has_gaps else []),
        f"aresample=async=1:min_hard_comp={least_step}:first_pts=0",
        # Apart from what fills gaps, which counts in the track's own samples.
        *([f"aresample={sample_rate}"] if sample_rate else []),
    ]
    return [
        binary,
        *_QUIET,
        *["-loglevel", "repeat+level+warning"],
        *["-progress", "pipe:1", "-stats_period", "0.5"],
        *_input(url, threads=1, seek=seek, is_late=is_late),
        *["-map", f"0:{stream}", "-vn", "-sn", "-dn", "-map_metadata", "-1"],
        *["-af", ",".join(chain), "-t", _us(end - start)],
        *["-c:a", encoder, "-b:a", str(bit_rate), "-f", "mp4", output],
    ]


def flac_command(
    binary: str, url: str, first: int, last: int, *, bits: int, output: str
) -> list[str]:
    """Encode samples `[first, last)` of a file's only track as FLAC; `first` becomes 0.

    bits: of a sample; unless told, ffmpeg takes 24 for 32, which only new decoders take, and which
    are experimental. One thread: with several, FFmpeg 9 may hide the wrong samples. Silence fills
    what is missing in between.
    """
    depth = ["-bits_per_raw_sample", str(bits), *(["-strict", "-2"] if bits > 24 else [])]
    chain = [
        "aresample=async=1:min_hard_comp=0.1:first_pts=0",
        f"atrim=start_sample={first}:end_sample={last}",
        "asetpts=PTS-STARTPTS",
        "asetnsamples=n=4096:p=0",
    ]
    return [
        binary,
        *_QUIET,
        *["-loglevel", "repeat+level+warning", "-progress", "pipe:1", "-stats_period", "0.5"],
        *_input(url, threads=1, seek=None),
        *["-map", "0:a:0", "-map_metadata", "-1", "-af", ",".join(chain)],
        *["-c:a", "flac", "-threads", "1", *depth, "-f", "mp4", output],
    ]
