"""What other libraries' exceptions mean, as one line for a person: Prefect's, Ray's, Python's."""

from __future__ import annotations

import errno

import httpx
from prefect.exceptions import PrefectHTTPStatusError
from prefect.settings import PREFECT_API_URL
from ray.exceptions import RayError

from clipping.errors import ClippingError, FailureKind
from clipping.run.stopping import GO_ON

__all__ = ["is_api_gone", "readable"]


def is_api_gone(error: BaseException) -> bool:
    """Whether Prefect's server could not be reached, which may pass."""
    reasons = (error, error.__cause__, error.__context__)
    return any(isinstance(each, httpx.TransportError) for each in reasons)


def readable(error: BaseException) -> ClippingError:
    """The exception as an error whose message says what happened and what to do."""
    line = next(iter(str(error).strip().splitlines()), "") or "it gave no reason"
    words = f"{type(error).__name__}: {line[:300]}"
    match error:
        case ClippingError():
            return error
        case httpx.HTTPStatusError() | PrefectHTTPStatusError():
            return _refused(error.response)
        case MemoryError():
            return ClippingError(f"memory ran out. {GO_ON}", FailureKind.OUT_OF_MEMORY)
        case OSError(errno=errno.ENOSPC | errno.EDQUOT):
            where = f" for {error.filename}" if error.filename else ""
            return ClippingError(f"there is no room{where} ({error})", FailureKind.DISK_FULL)
        case RayError():
            return ClippingError(f"Ray failed ({words}). {GO_ON}", FailureKind.KILLED)
        case OSError():
            return ClippingError(str(error), FailureKind.IO)
        case _ if is_api_gone(error):
            message = f"Prefect's server at {PREFECT_API_URL.value()} does not answer ({words})"
            return ClippingError(f"{message}. {GO_ON}", FailureKind.IO)
        case _:
            return ClippingError(words)


def _refused(response: httpx.Response) -> ClippingError:
    url, status = PREFECT_API_URL.value(), response.status_code
    if status in (401, 403):
        return ClippingError(
            f"Prefect's server at {url} refuses us ({status}): set PREFECT_API_AUTH_STRING, or"
            " PREFECT_API_KEY, to what it expects",
            FailureKind.DENIED,
        )
    reason = response.text.strip().replace("\n", " ")[:200]
    return ClippingError(f"Prefect's server at {url} answers {status}: {reason}", FailureKind.IO)
