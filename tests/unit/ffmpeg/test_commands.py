"""Whole argument lists."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from clipping.ffmpeg.commands import DEMUXERS, encode_command
from clipping.ffmpeg.encoders import ENCODERS, Gop, Rate
from clipping.ffmpeg.filters import cpu_picture, gpu_picture
from clipping.models import VideoFacts
from clipping.plan.segments import Segment
from tests.support.sources import source_of, times_of

PICTURE: dict[str, Any] = {"tone_map": True, "deinterlace": True, "pixel_format": "yuv420p"}


@pytest.fixture
def video() -> VideoFacts:
    """A plain video whose time base is a millisecond."""
    return source_of(times_of([40] * 100)).video


def test_the_whole_encode_command(video: VideoFacts) -> None:
    """One decode, one encode, exact selection by PTS, IDRs at the boundaries."""
    segment = Segment(
        first_frame=10,
        end_frame=40,
        pts=tuple(range(1377, 2577, 40)),
        ranges=((1377, 1938), (1977, 2538)),
        boundaries=(Fraction(1957), Fraction(2157)),
        seek=1377,
    )
    command = encode_command(
        "FFMPEG",
        "file:-odd:%d name.mp4",
        video,
        segment,
        cpu_picture(video, **PICTURE),
        ENCODERS["libx264"],
        preset="fast",
        rate=Rate(quality=21.5),
        gop=Gop(),
        threads=2,
        output="OUT.mp4",
    )
    select = (
        "trim=start_pts=1377:end_pts=2538,"
        "select='(gte(pts,1377)*lt(pts,1938)+gte(pts,1977)*lt(pts,2538))"
        "*(isnan(prev_selected_pts)+gt(pts,prev_selected_pts))',"
        "setpts=PTS-(1377),"
        "scale=out_range=limited:flags=bicubic+accurate_rnd+full_chroma_int,format=yuv420p"
    )
    assert command == [
        "FFMPEG", "-hide_banner", "-nostdin", "-y", "-nostats",
        "-loglevel", "repeat+level+info", "-progress", "pipe:1", "-stats_period", "0.5",
        "-threads", "2", "-noaccurate_seek", "-seek_timestamp", "1", "-ss", "1.377500",
        "-protocol_whitelist", "file", "-format_whitelist", DEMUXERS,
        "-copyts", "-i", "file:-odd:%d name.mp4",
        "-map", "0:0", "-an", "-sn", "-dn", "-map_metadata", "-1", "-vf", select,
        "-c:v", "libx264", "-preset", "fast", "-crf", "21.5",
        "-forced-idr", "1", "-flags", "+cgop", "-g", "250", "-threads", "2",
        "-tag:v", "avc1",
        "-bsf:v", "h264_metadata=tick_rate=50/1",
        "-fps_mode", "passthrough", "-enc_time_base", "demux",
        "-force_key_frames", "0.580000,0.780000", "-video_track_timescale", "16000",
        "-f", "mp4", "OUT.mp4",
    ]  # fmt: skip


NVENC = ENCODERS["h264_nvenc"]


def hwaccel_command(video: VideoFacts, **facts: object) -> list[str]:
    """How NVENC's input is decoded and converted."""
    video = video.model_copy(update=facts)
    picture = gpu_picture(video, **PICTURE)
    if isinstance(picture, str):
        picture = cpu_picture(video, **PICTURE)
    segment = Segment(
        first_frame=0, end_frame=2, pts=(977, 1017), ranges=((977, 1018),), boundaries=(), seek=977
    )
    return encode_command(
        "FFMPEG", "file:x.mp4", video, segment, picture, NVENC, preset=None, rate=Rate(quality=23),
        gop=Gop(), threads=1, output="OUT.mp4", hwaccel=True,
    )  # fmt: skip


@pytest.mark.parametrize("bits", [{}, {"pixel_format": "yuv420p10le", "bit_depth": 10}])
def test_frames_decoded_on_the_gpu_stay_there(video: VideoFacts, bits: dict[str, object]) -> None:
    """Converted there too, 10-bit ones as well: nothing asks for a format in memory."""
    command = hwaccel_command(video, **bits)
    at = command.index("-hwaccel")
    assert command[at : at + 4] == ["-hwaccel", "cuda", "-hwaccel_output_format", "cuda"]
    assert at < command.index("-i")
    filters = command[command.index("-vf") + 1]
    assert filters.endswith("setpts=PTS-(977),scale_cuda=format=yuv420p,setparams=range=limited")


@pytest.mark.parametrize(
    "facts",
    [
        {"rotation": 90},
        {"width": 63, "coded_width": 63},
        {"color_range": "pc"},
        {"field_order": "tt"},
        {"color_transfer": "smpte2084"},
        {"pixel_format": "gbrp"},
    ],
)
def test_what_needs_the_cpu_is_copied_to_it(video: VideoFacts, facts: dict[str, object]) -> None:
    """Decoded on the GPU all the same, and told why the frames do not stay there."""
    changed = video.model_copy(update=facts)
    assert isinstance(gpu_picture(changed, **PICTURE), str)
    command = hwaccel_command(video, **facts)
    assert "-hwaccel" in command
    assert "-hwaccel_output_format" not in command
