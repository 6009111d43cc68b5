"""Have sources opened by PyAV in processes of their own: a crash is that source's failure alone."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from clipping.errors import ClippingError, FailureKind, FfmpegError, SourceError
from clipping.ffmpeg.commands import PATIENCE, reading_options
from clipping.ffmpeg.forking_program import RefusedError, ask
from clipping.storage.source import Reading

__all__ = ["look", "read_sound"]

_PROGRAM = Path(__file__).with_name("read_streams.py")
# What local files and the network may have once and not a minute later.
_PASSING = (errno.EACCES, errno.EPERM, errno.EAGAIN)


def look(reading: Reading) -> dict[str, Any]:
    """What a source holds, and the packets of its first video stream (`read_streams` says how).

    Raises SourceError and StorageError.
    """
    file = reading.file
    with reading.index_url() as index:
        asked: dict[str, Any] = {"work": "look", "index": None}
        if index is not None:
            # The parsers that would look into what is not fetched are off.
            off = {"fflags": "+noparse+nofillin"}
            asked["index"] = {"url": index, "options": reading_options(index) | off}
        try:
            return _answer(reading, asked)
        except RefusedError as error:
            raise _unreadable(reading, error) from None
        except FfmpegError as error:
            raise SourceError(f"{file.key}: {error.message}", error.kind) from None


def _unreadable(reading: Reading, error: RefusedError) -> SourceError:
    key = reading.file.key
    if error.number in _PASSING:
        return SourceError(f"{key}: cannot be read: {error.words}", FailureKind.IO)
    if error.number == errno.EINVAL:  # what the allow-list of formats answers
        return SourceError(f"{key}: its format is not one of the video containers we open")
    if error.number == errno.ENOMEM:
        return SourceError(f"{key}: not enough memory to open it", FailureKind.OUT_OF_MEMORY)
    return SourceError(f"{key}: not a video that can be opened ({error.words.lower()})")


def read_sound(
    reading: Reading,
    stream: int,
    wanted: Sequence[tuple[int, int]],
    *,
    seek: int | None,
    is_late: bool,
    payload: Path,
    template: Path,
) -> dict[str, Any]:
    """Write the packets of an audio stream in the PTS `wanted` to files (`read_streams` says how).

    Raises FfmpegError and StorageError.
    """
    asked = {
        "work": "sound",
        "stream": stream,
        "wanted": wanted,
        "seek": seek,
        "is_late": is_late,
        "payload": str(payload),
        "template": str(template),
    }
    try:
        return _answer(reading, asked)
    except RefusedError as error:
        raise FfmpegError(f"{reading.file.key}: cannot be read again: {error.words}") from None
    except FfmpegError as error:
        raise FfmpegError(f"the sound of {reading.file.key}: {error.message}", error.kind) from None


def _answer(reading: Reading, asked: dict[str, Any]) -> dict[str, Any]:
    """The answer about a source. Raises RefusedError, FfmpegError, StorageError."""
    whole = {
        "url": reading.url,
        "options": reading_options(reading.url),
        "patience": PATIENCE,
        **asked,
    }
    try:
        answer = ask(_PROGRAM, whole, reading.memory_limit)
    except (RefusedError, ClippingError):
        _raise_the_stores(reading)
        raise
    _raise_the_stores(reading)
    return answer


def _raise_the_stores(reading: Reading) -> None:
    """A store that failed is why, whatever FFmpeg made of it."""
    if reading.blocks is not None and reading.blocks.failure is not None:
        raise reading.blocks.failure
