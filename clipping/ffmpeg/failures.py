"""What ffmpeg's messages mean: the kind of a failure, and the words to show. Pure."""

from __future__ import annotations

import re
import signal

from clipping.errors import FailureKind

__all__ = ["classify", "died_of", "last_words"]

# -ENOSPC as an exit status: said by ffmpeg where no message does ("Error muxing a packet").
_NO_ROOM = 228

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


# What a process does to itself; other signals come from outside.
_CRASHES = frozenset(
    {
        *(signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL),
        *(signal.SIGTRAP, signal.SIGSYS),
    }
)


def died_of(status: int) -> tuple[FailureKind, str]:
    """What ended a process, and in words: an exit status, or minus the signal."""
    if status >= 0:
        return FailureKind.UNKNOWN, f"exit status {status}"
    kind = FailureKind.CRASHED if -status in _CRASHES else FailureKind.KILLED
    try:
        return kind, signal.Signals(-status).name
    except ValueError:
        return kind, f"signal {-status}"


def classify(exit_code: int, stderr: str) -> FailureKind:
    """What an ffmpeg failure was, by its words; most exit statuses are ambiguous.

    (255 stands for SIGTERM, a missing CUDA and a failed filter alike.) A negative
    `exit_code` is the signal that ended it, as `subprocess` reports it.
    """
    for kind, pattern in _PATTERNS:
        if re.search(pattern, stderr, re.IGNORECASE):
            return kind
    if -exit_code in _CRASHES:
        return FailureKind.CRASHED
    if exit_code < 0 or exit_code in (137, 143) or "Exiting normally, received signal" in stderr:
        return FailureKind.KILLED
    if exit_code == _NO_ROOM:
        return FailureKind.DISK_FULL
    return FailureKind.UNKNOWN


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
