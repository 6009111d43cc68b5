"""ffmpeg's argument lists and its words: pure, argv out and text in.

Three ideas make cuts exact. `-copyts` keeps the source's PTS, so that `trim` and `select`
choose frames by integer PTS; the seek only has to come early enough. `setpts` then moves the
run's first frame to 0 by an exact integer. `-fps_mode passthrough` and the source's own time
base carry every PTS unchanged into the mezzanine.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from math import floor

from clipping.encoders import Encoder, Rate
from clipping.errors import FailureKind
from clipping.models import VideoFacts
from clipping.planning import Run

__all__ = [
    "DEMUXERS",
    "Picture",
    "audio_command",
    "classify",
    "decode_command",
    "encode_command",
    "encoder_trial_command",
    "even_size",
    "gpu_picture",
    "input_url",
    "is_damage",
    "last_words",
    "picture_filters",
    "seek_target",
    "ticks_per_pts",
    "timescale",
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


@dataclass(frozen=True, slots=True)
class Picture:
    """The picture to make of a source: even size in pixels, and how to get there.

    on_gpu: whether the filters take, and give, frames in a GPU's memory.
    """

    width: int
    height: int
    filters: tuple[str, ...]
    on_gpu: bool = False


def input_url(path: str) -> str:
    """A local path as ffmpeg takes it literally (names may begin with `-`, hold `:` or `%`)."""
    return f"file:{path}"


def _input(url: str, *, threads: int, seek: Fraction | None) -> list[str]:
    # Remote sources come through a server of our own on loopback; no other protocol is needed.
    protocols = "file" if url.startswith("file:") else "http,tcp"
    place = [] if seek is None else ["-noaccurate_seek", "-seek_timestamp", "1", "-ss", _us(seek)]
    allowed = ["-protocol_whitelist", protocols, "-format_whitelist", DEMUXERS]
    return ["-threads", str(threads), *place, *allowed, "-copyts", "-i", url]


def _us(seconds: Fraction) -> str:
    """Decimal seconds, rounded down to the microsecond that ffmpeg counts in."""
    micro = floor(seconds * 1_000_000)
    sign, micro = ("-", -micro) if micro < 0 else ("", micro)
    return f"{sign}{micro // 1_000_000}.{micro % 1_000_000:06d}"


def timescale(time_base: Fraction) -> int:
    """The mezzanine's and clips' ticks per second: holds every PTS of the source exactly."""
    scale = time_base.denominator
    while scale < 10_000:
        scale *= 2
    return scale


def ticks_per_pts(time_base: Fraction) -> int:
    """How many ticks of `timescale` one tick of the source's time base lasts."""
    return int(timescale(time_base) * time_base)


def even_size(width: int, height: int) -> tuple[int, int]:
    """4:2:0 needs even sides: an odd one loses its last row or column, a side of 1 is doubled."""
    return max(2, width - width % 2), max(2, height - height % 2)


def picture_filters(video: VideoFacts, *, tone_map: bool, deinterlace: bool) -> Picture:
    """How a source's picture becomes 8-bit 4:2:0, limited range, progressive, of even size."""
    width, height = even_size(video.width, video.height)
    filters: list[str] = []
    if deinterlace and video.field_order != "progressive":
        filters.append("bwdif=mode=send_frame:parity=auto:deint=interlaced")
    if tone_map and video.is_hdr:
        # Inputs are named because an untagged stream makes zscale refuse the conversion.
        matrix = "2020_ncl" if video.color_space in (None, "unknown") else "input"
        primaries = "2020" if video.color_primaries in (None, "unknown") else "input"
        span = "full" if video.color_range == "pc" else "limited"
        filters += [
            f"zscale=min={matrix}:pin={primaries}:rin={span}:t=linear:npl=100",
            "format=gbrpf32le",
            "zscale=p=bt709",
            "tonemap=hable:desat=0",
            "zscale=t=bt709:m=bt709:r=limited",
            "format=yuv420p",
        ]
    else:
        is_rgb = video.color_space == "gbr" or video.pixel_format.startswith(_RGB)
        matrix = ":out_color_matrix=bt709" if is_rgb else ""
        filters.append(
            f"scale=out_range=limited{matrix}:flags=bicubic+accurate_rnd+full_chroma_int"
        )
        filters.append("format=yuv420p")
        if is_rgb:
            filters.append("setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709")
    if video.width == 1 or video.height == 1:
        filters.append(f"scale={width}:{height}:flags=neighbor")
    elif (width, height) != (video.width, video.height):
        filters.append(f"crop={width}:{height}:0:0")
    return Picture(width, height, tuple(filters))


def gpu_picture(video: VideoFacts, *, tone_map: bool, deinterlace: bool) -> Picture | str:
    """The same picture made of frames in a GPU's memory, or why that cannot be.

    Eight or more bits become 8-bit 4:2:0 there. What has no filter on the GPU that gives the
    same picture is left to the CPU.
    """
    width, height = even_size(video.width, video.height)
    reasons = {
        "tone mapping": tone_map and video.is_hdr,
        "deinterlacing": deinterlace and video.field_order != "progressive",
        "a rotation": video.rotation % 360 != 0,
        "an odd size": (width, height) != (video.width, video.height),
        "full range": video.color_range == "pc" or video.pixel_format.startswith("yuvj"),
        "RGB": video.color_space == "gbr" or video.pixel_format.startswith(_RGB),
    }
    for reason, holds in reasons.items():
        if holds:
            return reason
    # The range is said as on the CPU, so that runs of either kind have the same parameter sets.
    return Picture(width, height, ("scale_cuda=format=yuv420p", "setparams=range=limited"), True)


_RGB = ("rgb", "bgr", "gbr", "argb", "abgr", "0rgb", "0bgr", "pal8", "x2rgb", "x2bgr")


def _selection(run: Run) -> list[str]:
    """The run's frames and no others; of frames that share a PTS, the first."""
    first, last = run.ranges[0][0], run.ranges[-1][1]
    ascending = "(isnan(prev_selected_pts)+gt(pts,prev_selected_pts))"
    inside = ""
    if len(run.ranges) > 1:
        inside = f"({'+'.join(f'gte(pts,{a})*lt(pts,{b})' for a, b in run.ranges)})*"
    return [f"trim=start_pts={first}:end_pts={last}", f"select='{inside}{ascending}'"]


def seek_target(keyframe: int | None, video: VideoFacts) -> Fraction | None:
    """Where to ask ffmpeg to seek so that decoding starts at `keyframe` or before it.

    Absolute seconds; None to start with the file.
    """
    if keyframe is None or not video.seekable:
        return None
    if keyframe <= video.first_pts:
        return None
    target = (Fraction(keyframe) + Fraction(1, 2)) * video.time_base
    if not video.tidy_seek:
        target -= _LOOSE_SEEK_MARGIN
    return target if target > video.first_pts * video.time_base else None


def encode_command(
    binary: str,
    url: str,
    video: VideoFacts,
    run: Run,
    picture: Picture,
    encoder: Encoder,
    *,
    preset: str | None,
    rate: Rate,
    threads: int,
    output: str,
    from_start: bool = False,
    hwaccel: bool = False,
    talkative: bool = False,
) -> list[str]:
    """Encode a run's frames once, into one MP4 with an IDR at every clip boundary.

    hwaccel: decode on the GPU; the frames stay there if the picture is made there.
    """
    origin = run.pts[0]
    chain = [*_selection(run), f"setpts=PTS-({origin})", *picture.filters]
    if picture.on_gpu and not encoder.on_gpu:
        chain += ["hwdownload", "format=yuv420p"]
    boundaries = ",".join(_us((b - origin) * video.time_base) for b in run.boundaries)
    return [
        binary,
        *_QUIET,
        *["-loglevel", f"repeat+level+{'info' if talkative else 'warning'}"],
        *["-progress", "pipe:1", "-stats_period", "0.5"],
        *(["-hwaccel", "cuda"] if hwaccel else []),
        *(["-hwaccel_output_format", "cuda"] if hwaccel and picture.on_gpu else []),
        *_input(
            url,
            threads=threads,
            seek=None if from_start else seek_target(run.seek, video),
        ),
        *["-map", f"0:{video.stream}", "-an", "-sn", "-dn", "-map_metadata", "-1"],
        *["-vf", ",".join(chain)],
        *["-c:v", encoder.name, *encoder.options(preset, rate, threads)],
        *["-fps_mode", "passthrough", "-enc_time_base", "demux"],
        *(["-force_key_frames", boundaries] if boundaries else []),
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
) -> list[str]:
    """Decode only, up to `end_pts`, and have `showinfo` name every frame's PTS on stderr."""
    trim = [f"trim=end_pts={end_pts}"] if end_pts is not None else []
    return [
        binary,
        *_QUIET,
        *["-loglevel", "repeat+level+info"],
        *_input(url, threads=threads, seek=seek),
        *["-map", f"0:{stream}", "-an", "-sn", "-dn"],
        *["-vf", ",".join(["showinfo=checksum=0", *trim])],
        *(["-frames:v", str(frames)] if frames else []),
        *["-fps_mode", "passthrough", "-enc_time_base", "demux", "-f", "null", "-"],
    ]


def encoder_trial_command(binary: str, encoder: Encoder, rate: Rate) -> list[str]:
    """Encode three small frames to nowhere, to learn whether an encoder works here."""
    return [
        binary,
        *_QUIET,
        *["-loglevel", "repeat+level+warning"],
        *["-f", "lavfi", "-i", "color=black:s=256x256:r=30", "-frames:v", "3"],
        *["-vf", "format=yuv420p", "-c:v", encoder.name, *encoder.options(None, rate, 1)],
        *["-f", "null", "-"],
    ]


def trial_command(binary: str, url: str, stream: int, frames: int) -> list[str]:
    """Decode the first frames of a source, to learn whether and as what they decode."""
    return decode_command(binary, url, stream, threads=1, frames=frames)


def audio_command(
    binary: str,
    url: str,
    stream: int,
    *,
    start: Fraction,
    end: Fraction,
    seek: Fraction | None,
    bit_rate: int,
    output: str,
) -> list[str]:
    """Encode one audio track's `[start, end)` (absolute seconds) as AAC, from `start` exactly.

    Silence fills what the source lacks, so that sound stays where it belongs.
    """
    chain = [
        f"asetpts=PTS-({start.numerator}/{start.denominator})/TB",
        "aresample=async=1:min_hard_comp=0.1:first_pts=0",
    ]
    return [
        binary,
        *_QUIET,
        *["-loglevel", "repeat+level+warning"],
        *["-progress", "pipe:1", "-stats_period", "0.5"],
        *_input(url, threads=1, seek=seek),
        *["-map", f"0:{stream}", "-vn", "-sn", "-dn", "-map_metadata", "-1"],
        *["-af", ",".join(chain), "-t", _us(end - start)],
        *["-c:a", "aac", "-b:a", str(bit_rate), "-f", "mp4", output],
    ]


_PATTERNS: tuple[tuple[FailureKind, str], ...] = (
    (FailureKind.DISK_FULL, r"No space left on device|Disk quota exceeded"),
    (
        FailureKind.NO_ENCODER,
        r"Unknown encoder|Encoder not found|Encoder \S+ not found",
    ),
    (
        FailureKind.OUT_OF_SESSIONS,
        r"out of memory \(10\)|incompatible client key|OpenEncodeSessionEx failed: .*\(21\)"
        r"|CUDA_ERROR_OUT_OF_MEMORY|encoder busy \(\d+\)|lock busy \(\d+\)",
    ),
    # The picture's fault rather than the device's: goes before "No capable devices found", which
    # NVENC says in the end whatever it was (nvenc.c, nvenc_check_capabilities).
    (
        FailureKind.UNSUPPORTED,
        r"(?:Width|Height) \d+ exceeds|Frame Dimension less than|required NVENC features"
        r"|InitializeEncoder failed: (?:invalid|unsupported) param",
    ),
    (FailureKind.OLD_DRIVER, r"required nvenc API"),
    (
        FailureKind.NO_DEVICE,
        r"Cannot load lib|No capable devices|unsupported device|no encode device"
        r"|Could not dynamically load CUDA|Device creation failed|Codec not supported"
        r"|CUDA_ERROR_NO_DEVICE|no CUDA-capable device|No device available for decoder",
    ),
    (
        FailureKind.OLD_DRIVER,
        r"minimum required Nvidia driver|CUDA_ERROR_SYSTEM_DRIVER_MISMATCH"
        r"|CUDA_ERROR_COMPAT_NOT_SUPPORTED|driver version is insufficient",
    ),
    (FailureKind.OUT_OF_MEMORY, r"Cannot allocate memory|\bmalloc\b.*failed"),
    (FailureKind.NOT_FOUND, r"No such file or directory"),
    (
        FailureKind.IO,
        r"Input/output error|Connection (?:reset|refused|timed out)|Stale file handle"
        r"|HTTP error 5\d\d|Server returned 5XX|Permission denied|Broken pipe",
    ),
    (
        FailureKind.BAD_INPUT,
        r"Invalid data found|moov atom not found|could not find codec parameters"
        r"|Decoder \S+ not found|no decoder found|matches no streams|Nothing was written"
        r"|does not contain any stream|Format not on whitelist|Protocol .* not on whitelist"
        r"|Error splitting the input|not currently supported|Decoding requested, but no decoder",
    ),
)


def classify(exit_code: int, stderr: str) -> FailureKind:
    """What an ffmpeg failure was, by its words; exit statuses alone are ambiguous.

    (255 stands for SIGTERM, a missing CUDA and a failed filter alike.) A negative
    `exit_code` is the signal that ended it, as `subprocess` reports it.
    """
    for kind, pattern in _PATTERNS:
        if re.search(pattern, stderr, re.IGNORECASE):
            return kind
    if exit_code < 0 or exit_code in (137, 143) or "Exiting normally, received signal" in stderr:
        return FailureKind.KILLED
    return FailureKind.UNKNOWN


# What a decoder says about a picture it could not, or not fully, decode.
_DAMAGE = re.compile(
    r"corrupt decoded frame|Error submitting packet to decoder|Skipping invalid undecodable NALU"
)


def is_damage(line: str) -> bool:
    """Whether a line of ffmpeg's log reports a picture that is lost or damaged."""
    return _DAMAGE.search(line) is not None


# Lines that say only that something failed, or nothing at all.
_NOISE = re.compile(
    r"frame=|video:|Conversion failed|Task finished with error|Terminating thread|handler_name"
    r"|encoder  |Output file is empty|Nothing was written|Error opening output|Metadata:|Stream #"
)


def last_words(stderr: str, limit: int = 300) -> str:
    """The end of a log, in one line without addresses, for an error message."""
    lines = [
        re.sub(r"\[[^\]]* @ 0x[0-9a-f]+\] ?|\[(?:error|fatal|warning|info)\] ?", "", line).strip()
        for line in stderr.splitlines()
    ]
    telling = [line for line in lines if line and not _NOISE.match(line)]
    unique = list(dict.fromkeys(telling or [line for line in lines if line]))
    text = "; ".join(unique[-3:])
    return text if len(text) <= limit else f"…{text[-limit:]}"
