"""Whether an encoder works on this machine: a test encode of three frames, and what it says.

A GPU may have no encoder (A100, H100), its driver may be too old for this ffmpeg, and ffmpeg may
have been built without it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from clipping.errors import FailureKind, FfmpegError
from clipping.ffmpeg import process
from clipping.ffmpeg.binary import ffmpeg_path
from clipping.ffmpeg.commands import encoder_trial_command
from clipping.ffmpeg.encoders import Rate, encoder

__all__ = ["Trial", "try_encoder"]

_TRIAL_SECONDS = 8.0
_ADVICE = {
    FailureKind.OLD_DRIVER: "driver too old for this ffmpeg: update it, or set ffmpeg_binary to"
    " an ffmpeg built for it",
    FailureKind.NO_ENCODER: "encoder not compiled into this ffmpeg",
    FailureKind.NO_DEVICE: "no device that encodes",
}


@dataclass(frozen=True, slots=True)
class Trial:
    """How a test encode ended. works: None if it did not tell (busy, no answer in time)."""

    works: bool | None
    text: str
    kind: FailureKind | None = None


def try_encoder(binary: str, name: str, rate: Rate) -> Trial:
    """Encode three frames here."""
    began = time.monotonic()
    command = encoder_trial_command(ffmpeg_path(binary), encoder(name), rate)
    try:
        process.run(command, what="a test encode", stall_limit=_TRIAL_SECONDS)
    except FfmpegError as error:
        words = error.message.removeprefix("a test encode: ")
        if error.kind.is_transient or error.kind is FailureKind.TIMED_OUT:
            return Trial(None, f"busy: {words}", error.kind)
        said = _ADVICE.get(error.kind, error.kind.value)
        return Trial(False, f"{said} ({words})", error.kind)
    return Trial(True, f"works ({time.monotonic() - began:.1f} s)")
