"""What the bundled ffmpeg knows and says, where only it can tell."""

from __future__ import annotations

import subprocess

import pytest

from clipping.errors import FailureKind, FfmpegError
from clipping.ffmpeg.commands import encoder_trial_command
from clipping.ffmpeg.encoders import ENCODERS, Gop, Rate
from clipping.ffmpeg.process import run as run_process
from tests.support.media import FFMPEG

NVENC = ENCODERS["h264_nvenc"]


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("rate", [Rate(quality=20), Rate(bit_rate=1_000_000)])
def test_every_option_exists_in_the_bundled_ffmpeg(name: str, rate: Rate) -> None:
    """An encoder's options are known to `ffmpeg -h encoder=...`, or to every encoder."""
    row = ENCODERS[name]
    if not rate.bit_rate and not row.has_constant_quality:
        rate = Rate(bit_rate=500_000)
    options = [
        x for x in row.options(None, rate, Gop(), 1) if x.startswith("-") and not x[1:].isdigit()
    ]
    common = {"-b:v", "-maxrate", "-bufsize", "-g", "-threads", "-flags", "-profile:v"}
    done = subprocess.run(
        [FFMPEG, "-hide_banner", "-h", f"encoder={name}"], capture_output=True, check=True
    )
    text = done.stdout.decode()
    for option in set(options) - common:
        assert f"  {option} " in text, f"{name} has no {option}"


@pytest.mark.parametrize("preset", NVENC.presets)
@pytest.mark.parametrize("rate", [Rate(quality=0.5), Rate(quality=51), Rate(bit_rate=2_000_000)])
def test_nvenc_options_have_values_that_ffmpeg_takes(preset: str, rate: Rate) -> None:
    """The real argv gets as far as the missing driver; a wrong value would not."""
    command = encoder_trial_command(FFMPEG, NVENC, rate)
    command[command.index("-preset") + 1] = preset
    assert run_kind(*command) is FailureKind.NO_DEVICE
    command[command.index("-preset") + 1] = "p9"
    assert run_kind(*command) is not FailureKind.NO_DEVICE


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
