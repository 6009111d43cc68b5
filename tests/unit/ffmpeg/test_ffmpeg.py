"""Whole argument lists, and ffmpeg's words sorted into kinds."""

from __future__ import annotations

import subprocess
from fractions import Fraction

import pytest

from clipping.errors import FailureKind, FfmpegError
from clipping.ffmpeg.commands import DEMUXERS, encode_command, encoder_trial_command
from clipping.ffmpeg.encoders import ENCODERS, Rate, bit_rate_for
from clipping.ffmpeg.failures import classify, last_words
from clipping.ffmpeg.filters import gpu_picture, picture_filters
from clipping.ffmpeg.process import run as run_process
from clipping.models import VideoFacts
from clipping.plan.segments import Run
from clipping.plan.time_line import ticks_per_pts, timescale
from tests.support.media import FFMPEG
from tests.unit.plan.test_planning import source_of, times_of


@pytest.fixture
def video() -> VideoFacts:
    """A plain video whose time base is a millisecond."""
    return source_of(times_of([40] * 100)).video


def test_the_whole_encode_command(video: VideoFacts) -> None:
    """One decode, one encode, exact selection by PTS, IDRs at the boundaries."""
    run = Run(
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
        run,
        picture_filters(video, tone_map=True, deinterlace=True),
        ENCODERS["libx264"],
        preset="fast",
        rate=Rate(quality=21.5),
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
        "-loglevel", "repeat+level+warning", "-progress", "pipe:1", "-stats_period", "0.5",
        "-threads", "2", "-noaccurate_seek", "-seek_timestamp", "1", "-ss", "1.377500",
        "-protocol_whitelist", "file", "-format_whitelist", DEMUXERS,
        "-copyts", "-i", "file:-odd:%d name.mp4",
        "-map", "0:0", "-an", "-sn", "-dn", "-map_metadata", "-1", "-vf", select,
        "-c:v", "libx264", "-preset", "fast", "-crf", "21.5",
        "-forced-idr", "1", "-flags", "+cgop", "-threads", "2",
        "-fps_mode", "passthrough", "-enc_time_base", "demux",
        "-force_key_frames", "0.580000,0.780000", "-video_track_timescale", "16000",
        "-f", "mp4", "OUT.mp4",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("rate", [Rate(quality=20), Rate(bit_rate=1_000_000)])
def test_every_option_exists_in_the_bundled_ffmpeg(name: str, rate: Rate) -> None:
    """An encoder's options are known to `ffmpeg -h encoder=...`, or to every encoder."""
    row = ENCODERS[name]
    if not rate.bit_rate and not row.constant_quality:
        rate = Rate(bit_rate=500_000)
    options = [x for x in row.options(None, rate, 1) if x.startswith("-") and not x[1:].isdigit()]
    common = {"-b:v", "-maxrate", "-bufsize", "-g", "-threads", "-flags", "-profile:v"}
    done = subprocess.run(
        [FFMPEG, "-hide_banner", "-h", f"encoder={name}"], capture_output=True, check=True
    )
    text = done.stdout.decode()
    for option in set(options) - common:
        assert f"  {option} " in text, f"{name} has no {option}"


def test_nvenc_never_gets_both_a_quality_and_a_bit_rate() -> None:
    """`-cq` makes NVENC ignore the average bit rate."""
    with_rate = ENCODERS["h264_nvenc"].options(None, Rate(bit_rate=2_000_000), 1)
    assert "-cq" not in with_rate
    assert with_rate[with_rate.index("-b:v") + 1] == "2000000"
    assert "-cq" in ENCODERS["h264_nvenc"].options(None, Rate(quality=23), 1)


NVENC = ENCODERS["h264_nvenc"]


@pytest.mark.parametrize("preset", NVENC.presets)
@pytest.mark.parametrize("rate", [Rate(quality=0.5), Rate(quality=51), Rate(bit_rate=2_000_000)])
def test_nvenc_options_have_values_that_ffmpeg_takes(preset: str, rate: Rate) -> None:
    """The real argv gets as far as the missing driver; a wrong value would not."""
    command = encoder_trial_command(FFMPEG, NVENC, rate)
    command[command.index("-preset") + 1] = preset
    assert run_kind(*command) is FailureKind.NO_DEVICE
    command[command.index("-preset") + 1] = "p9"
    assert run_kind(*command) is not FailureKind.NO_DEVICE


def hwaccel_command(video: VideoFacts, **facts: object) -> list[str]:
    """How NVENC's input is decoded and converted."""
    video = video.model_copy(update=facts)
    picture = gpu_picture(video, tone_map=True, deinterlace=True)
    if isinstance(picture, str):
        picture = picture_filters(video, tone_map=True, deinterlace=True)
    run = Run(
        first_frame=0, end_frame=2, pts=(977, 1017), ranges=((977, 1018),), boundaries=(), seek=977
    )
    return encode_command(
        "FFMPEG", "file:x.mp4", video, run, picture, NVENC, preset=None, rate=Rate(quality=23),
        threads=1, output="OUT.mp4", hwaccel=True,
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
    assert isinstance(gpu_picture(changed, tone_map=True, deinterlace=True), str)
    command = hwaccel_command(video, **facts)
    assert "-hwaccel" in command
    assert "-hwaccel_output_format" not in command


def test_bit_rates_fit_the_picture() -> None:
    """An encoder without constant quality gets more for more, never a fixed 2 Mb/s."""
    small, hd, uhd = (
        bit_rate_for(w, h, 30, 23) for w, h in ((320, 240), (1920, 1080), (3840, 2160))
    )
    assert 300_000 < small < 700_000
    assert 4_000_000 < hd < 7_000_000
    assert 10_000_000 < uhd < 20_000_000
    assert bit_rate_for(1280, 720, 30, 17) == 2 * bit_rate_for(1280, 720, 30, 23)


@pytest.mark.parametrize(
    ("code", "words", "kind"),
    [
        (183, "[mov] moov atom not found\nError opening input: Invalid data found", "bad input"),
        (8, "Unknown encoder 'h264_nvenc'", "no such encoder"),
        (255, "[h264_nvenc @ 0x1] Cannot load libcuda.so.1", "no device"),
        (255, "[h264_nvenc @ 0x1] OpenEncodeSessionEx failed: unsupported device (2)", "no device"),
        (255, "OpenEncodeSessionEx failed: out of memory (10)", "out of encoder sessions"),
        (255, "OpenEncodeSessionEx failed: client key (21)", "out of encoder sessions"),
        (255, "cuCtxCreate failed -> CUDA_ERROR_OUT_OF_MEMORY: out of memory",
         "out of encoder sessions"),
        (255, "Driver does not support the required nvenc API version. Required: 13.0 Found: 12.2"
         "\nThe minimum required Nvidia driver for nvenc is 610.00 or newer", "driver too old"),
        (255, "Cannot load libnvidia-encode.so.1\nThe minimum required Nvidia driver for nvenc is"
         " 610.00 or newer", "no device"),
        (255, "cuInit(0) failed -> CUDA_ERROR_NO_DEVICE: no CUDA-capable device is detected",
         "no device"),
        (255, "Width 5000 exceeds 4096\nNo capable devices found", "not supported by the device"),
        (255, "InitializeEncoder failed: invalid param (8): Frame Dimension less than the minimum"
         " supported value.", "not supported by the device"),
        (228, "av_interleaved_write_frame(): No space left on device", "disk full"),
        (-9, "", "killed"),
        (255, "Exiting normally, received signal 15.", "killed"),
        (1, "something nobody has seen", "unknown failure"),
        (251, "in.mp4: Input/output error", "input/output error"),
    ],
)  # fmt: skip
def test_failures_are_told_apart_by_words(code: int, words: str, kind: str) -> None:
    """Exit statuses are ambiguous; the words are not."""
    assert classify(code, words) == kind


def run_kind(*command: str) -> FailureKind:
    """How a real ffmpeg failure is classified."""
    with pytest.raises(FfmpegError) as caught:
        run_process(command, what="a test")
    return caught.value.kind


def test_real_failures_are_classified(tmp_path: object) -> None:
    """What the bundled ffmpeg really says here, where there is no GPU."""
    test = ["-f", "lavfi", "-i", "color=s=256x256:d=0.1"]
    end = ["-f", "null", "-"]
    base = [FFMPEG, "-hide_banner", "-loglevel", "warning", "-nostdin"]
    assert run_kind(*base, *test, "-c:v", "h264_nvenc", *end) is FailureKind.NO_DEVICE
    assert run_kind(*base, *test, "-c:v", "nosuch", *end) is FailureKind.NO_ENCODER
    assert run_kind(*base, "-i", "file:/etc/hostname", *end) is FailureKind.BAD_INPUT
    assert run_kind(*base, *test, "-y", "-f", "mpegts", "/dev/full") is FailureKind.DISK_FULL
    assert run_kind("/no/such/ffmpeg", "-version") is FailureKind.NO_ENCODER


def test_the_last_words_are_short_and_without_addresses() -> None:
    """A message for a person: the end of the log, each thing once."""
    log = "[h264 @ 0x55aa] [error] bad thing\n[h264 @ 0x55ab] [error] bad thing\nframe=  1\n"
    assert last_words(log) == "bad thing"
    assert len(last_words("x" * 5000)) <= 301


@pytest.mark.parametrize(
    "time_base", [(1, 15360), (1001, 30000), (1, 25), (1, 1000000), (1, 90000)]
)
def test_the_timescale_holds_every_pts(time_base: tuple[int, int]) -> None:
    """A clip's ticks are whole multiples of the source's."""
    base = Fraction(*time_base)
    assert ticks_per_pts(base) == timescale(base) * base
