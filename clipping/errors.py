"""Everything that can go wrong, as one tree.

    ClippingError
    ├── UsageError            a setting or argument that makes no sense (exit status 2)
    ├── SourceError           a source that cannot be clipped; other sources go on
    ├── FfmpegError           an ffmpeg process that failed, with a classified kind
    ├── VerificationError     a clip that is not what was planned; it is not published
    ├── StorageError          reading or writing a file failed
    └── BundleError           some chunks of a task failed, each with its own error

Every error carries a `FailureKind`, which alone decides whether a retry can help.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

__all__ = [
    "BundleError",
    "ClippingError",
    "FailureKind",
    "FfmpegError",
    "SourceError",
    "StorageError",
    "UsageError",
    "VerificationError",
]


class FailureKind(StrEnum):
    """What a failure was; the words that records and reports use."""

    BAD_INPUT = "bad input"
    DAMAGED = "damaged input"
    NOT_FOUND = "not found"
    DENIED = "access denied"
    USAGE = "wrong settings"
    NO_ENCODER = "no such encoder"
    NO_DEVICE = "no device"
    OLD_DRIVER = "driver too old"
    UNSUPPORTED = "not supported by the device"
    OUT_OF_SESSIONS = "out of encoder sessions"
    DISK_FULL = "disk full"
    OUT_OF_MEMORY = "out of memory"
    KILLED = "killed"
    CRASHED = "crashed"
    TIMED_OUT = "timed out"
    IO = "input/output error"
    VERIFICATION = "verification failed"
    UNKNOWN = "unknown failure"

    @property
    def is_transient(self) -> bool:
        """Whether the same work may succeed when it is retried later."""
        return self in _TRANSIENT

    @property
    def is_clips_own(self) -> bool:
        """Whether the clip's content may be to blame, so that its neighbours can be saved.

        A full disk or a missing encoder fails every clip alike; narrowing down would only
        repeat the failure once for each of them.
        """
        return self in _CLIPS_OWN

    @property
    def is_nodes_own(self) -> bool:
        """Whether the node lacks what it takes, so that any work of that sort fails there."""
        return self in _NODES_OWN


_TRANSIENT = frozenset(
    {
        FailureKind.OUT_OF_SESSIONS,
        FailureKind.DISK_FULL,
        FailureKind.OUT_OF_MEMORY,
        FailureKind.KILLED,
        FailureKind.IO,
    }
)
_CLIPS_OWN = frozenset(
    {
        FailureKind.BAD_INPUT,
        FailureKind.DAMAGED,
        FailureKind.CRASHED,
        FailureKind.TIMED_OUT,
        FailureKind.VERIFICATION,
        FailureKind.UNKNOWN,
    }
)
_NODES_OWN = frozenset(
    {
        FailureKind.NO_DEVICE,
        FailureKind.OLD_DRIVER,
        FailureKind.NO_ENCODER,
    }
)


class ClippingError(Exception):
    """Any failure this package reports; `str()` of it is one line for a person to read."""

    kind: FailureKind = FailureKind.UNKNOWN
    node: str | None = None  # Ray's id of the node that it happened on, where it is known
    attempts: int = 1  # how often the task that raised it has tried

    def __init__(self, message: str, kind: FailureKind | None = None) -> None:
        super().__init__(message)
        self.message = message
        if kind is not None:
            self.kind = kind

    def __reduce__(self) -> Any:
        # Exceptions cross process borders (Ray); the default would drop the kind.
        return (type(self), (self.message, self.kind), self._context())

    def _context(self) -> dict[str, Any]:
        return {"node": self.node, "attempts": self.attempts}


class UsageError(ClippingError):
    """A setting or argument that makes no sense; nothing was started."""

    kind = FailureKind.USAGE


class SourceError(ClippingError):
    """A source that cannot be clipped."""

    kind = FailureKind.BAD_INPUT


class FfmpegError(ClippingError):
    """An ffmpeg process that failed; the message ends with ffmpeg's own last words.

    command: the command line, quoted for a shell.
    """

    command: str | None = None

    def _context(self) -> dict[str, Any]:
        return {**super()._context(), "command": self.command}


class VerificationError(ClippingError):
    """A clip that does not hold exactly the frames that were planned."""

    kind = FailureKind.VERIFICATION


class StorageError(ClippingError):
    """A file that could not be read, written or listed."""

    kind = FailureKind.IO


class BundleError(ClippingError):
    """Some chunks of a task failed; the others are made. `failures`: chunk name to its error."""

    def __init__(self, failures: Mapping[str, ClippingError]) -> None:
        self.failures = dict(failures)
        errors = list(self.failures.values())
        worst = next((e for e in errors if e.kind.is_transient), errors[0])
        super().__init__("; ".join(f"{n}: {e}" for n, e in self.failures.items()), worst.kind)

    def __reduce__(self) -> Any:
        return (type(self), (self.failures,), self._context())
