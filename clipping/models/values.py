"""What all values are, and why something failed."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from clipping.errors import ClippingError, FailureKind, FfmpegError

__all__ = [
    "Failure",
    "Value",
]


class Value(BaseModel):
    """A frozen value; unknown keys in stored JSON are ignored, so that old records still read."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Failure(Value):
    """Why something failed, for a person and for the resume logic.

    command: the ffmpeg command that failed, if one did.
    """

    kind: FailureKind
    message: str
    command: str | None = Field(default=None, exclude_if=lambda command: command is None)

    @classmethod
    def of(cls, error: ClippingError) -> Failure:
        """The failure that an error stands for."""
        command = error.command if isinstance(error, FfmpegError) else None
        return cls(kind=error.kind, message=error.message, command=command)
