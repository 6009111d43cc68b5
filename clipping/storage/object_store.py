"""Object stores and web servers, through fsspec: look, list, read ranges, write whole objects.

Credentials come from where each store's own tools look for them (environment, profile,
instance role), on the machine that does the reading or writing. They are never taken from
settings and never passed on.
"""

from __future__ import annotations

import asyncio
import importlib
import posixpath
import re
import urllib.parse
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import tenacity

from clipping.errors import ClippingError, FailureKind, StorageError, UsageError
from clipping.storage.addresses import EXTRAS, is_web, scheme_of, shown

__all__ = [
    "Found",
    "NoRangesError",
    "T",
    "create",
    "download",
    "fetch",
    "listing",
    "look",
    "read",
    "remove",
    "write",
    "write_file",
]

T = TypeVar("T")
# What store clients raise, by the package it comes from; anything else is a mistake of ours.
_CLIENTS = ("botocore", "aiobotocore", "aiohttp", "s3fs", "gcsfs", "google", "azure", "fsspec")
_TRIES = 6


class NoRangesError(ClippingError):
    """A web server that sends whole files only; the file has to be downloaded first."""

    kind = FailureKind.BAD_INPUT


@dataclass(frozen=True, slots=True)
class Found:
    """An object: its full URI, size in bytes (None if unknown), and a tag of its content."""

    uri: str
    size: int | None
    tag: str


@cache
def _filesystem(scheme: str) -> Any:
    """The store's client; one a process. Raises UsageError if its package is missing."""
    fsspec: Any = importlib.import_module("fsspec")
    options: dict[str, Any] = {"use_listings_cache": False}
    if scheme in ("http", "https"):
        # A read that hangs has to end; long bodies are read in blocks, so that none is long.
        timeouts: Any = importlib.import_module("aiohttp").ClientTimeout
        options["client_kwargs"] = {"timeout": timeouts(total=120, sock_connect=20, sock_read=60)}
        options["encoded"] = True
    elif scheme == "s3":
        options["config_kwargs"] = {"retries": {"max_attempts": 0}}
    try:
        if scheme == "s3":
            options["session"] = _s3_session()
        client: Any = fsspec.filesystem(scheme, **options)
        client.retries = 1  # all stores are tried again alike, by `_patiently`
        return client
    except ImportError:
        extra = EXTRAS[scheme]
        raise UsageError(
            f"{scheme}:// needs a package that is not installed: install"
            f" 'prefect-video-clipping[{extra}]' (with uv: uv sync --extra {extra})"
        ) from None


def _s3_session() -> Any:
    """A session whose answers are read faster.

    Of the CPU time for a page of a listing (59 ms for 1,000 objects), botocore's own parser of
    times takes 46 ms.
    """
    session: Any = importlib.import_module("aiobotocore.session").AioSession()
    session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_time)
    return session


def _time(value: Any) -> datetime:
    try:
        return datetime.fromisoformat(value)
    except (TypeError, ValueError):
        parsed: datetime = importlib.import_module("botocore.utils").parse_timestamp(value)
        return parsed


def _reach(uri: str) -> tuple[Any, str]:
    """The client of a URI's store, and the URI as the client takes it."""
    filesystem = _filesystem(scheme_of(uri) or "")
    if is_web(uri):
        # Characters that no address may hold are encoded; what is encoded stays as it is.
        return filesystem, urllib.parse.quote(uri, safe="%/:=&?~#+!$,;'@()*[]")
    return filesystem, uri


@contextmanager
def _told(verb: str, uri: str) -> Generator[None]:
    """Turn whatever a store's client raises into a StorageError without secrets in it."""
    name = shown(uri)
    try:
        yield
    except ClippingError:
        raise
    except FileNotFoundError as error:
        # fsspec calls whatever went wrong on the web "not found".
        cause = error.__cause__
        what = "bucket" if verb == "write" else "object"
        message, kind = f"there is no such {what}", FailureKind.NOT_FOUND
        if is_web(uri) and isinstance(cause, Exception) and getattr(cause, "status", 0) != 404:
            message, kind = _reason(cause)
        raise StorageError(f"cannot {verb} {name}: {message}", kind) from None
    except FileExistsError:
        raise
    except Exception as error:
        if not isinstance(error, (OSError, asyncio.TimeoutError)) and not type(
            error
        ).__module__.startswith(_CLIENTS):
            raise
        message, kind = _reason(error)
        raise StorageError(f"cannot {verb} {name}: {message}", kind) from None


def _reason(error: Exception) -> tuple[str, FailureKind]:
    """What a store's client complained of, in its words where those hold no address."""
    named = (getattr(error, name, None) for name in ("status", "status_code", "code"))
    status: Any = next((s for s in named if isinstance(s, int)), None)
    if isinstance(response := getattr(error, "response", None), dict):  # botocore
        answer = cast("dict[str, dict[str, Any]]", response)
        details = answer.get("Error", {})
        status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode")
        words = f"{details.get('Code', '')}: {details.get('Message', '')}".strip(": ")
    elif status is not None:
        words = f"HTTP status {status}"
    elif isinstance(error, (asyncio.TimeoutError, TimeoutError)):
        words = "no answer in time"
    else:
        words = re.sub(r"https?://\S+", "the server", str(error)) or type(error).__name__
    sort = type(error).__name__
    denied = isinstance(error, PermissionError) or status in (401, 403)
    if denied or "Credential" in sort or "credentials" in words.lower():
        hint = "check this machine's credentials for it"
        return f"access denied ({words}); {hint}", FailureKind.DENIED
    if status is not None and 400 <= int(status) < 500 and int(status) not in (408, 425, 429):
        return words, FailureKind.NOT_FOUND if status in (404, 410) else FailureKind.BAD_INPUT
    return words[:300], FailureKind.IO


def _passes(error: BaseException) -> bool:
    return isinstance(error, ClippingError) and error.kind.is_transient


def _patiently(work: Callable[[], T]) -> T:
    """Do `work`, again after a pause while what went wrong can pass."""
    retrying: Any = tenacity.Retrying(
        retry=tenacity.retry_if_exception(_passes),
        stop=tenacity.stop_after_attempt(_TRIES),
        wait=tenacity.wait_random_exponential(multiplier=0.5, max=10),
        reraise=True,
    )
    return retrying(work)


def look(uri: str) -> Found | None:
    """What is at a URI; None if it is a folder (a common prefix). Raises StorageError."""
    client, path = _reach(uri)

    def ask() -> Found | None:
        with _told("find", uri):
            info: dict[str, Any] = client.info(path)
            return None if info.get("type") == "directory" else _found(uri, info)

    return _patiently(ask)


def _found(uri: str, info: dict[str, Any]) -> Found:
    size = info.get("size")
    tag = next((str(info[k]).strip('"') for k in _TAGS if info.get(k)), "")
    return Found(uri, None if size is None else int(size), tag)


# Where stores tell that an object is another one now.
_TAGS = (
    *("ETag", "etag", "generation", "md5Hash", "content_md5", "Content-MD5"),
    *("LastModified", "last_modified", "updated", "mtime", "Last-Modified"),
)


def listing(uri: str, *, is_pattern: bool = False, begins: str = "") -> Iterable[Found]:
    """Every object below a prefix, or that a pattern matches, in order; one listing.

    A prefix may hold `*`, `?` and `[` as they stand. begins: only names that begin so; takes one
    of a prefix's listings apart. Raises StorageError.
    """
    client, path = _reach(uri)
    scheme = scheme_of(uri)

    def ask() -> dict[str, dict[str, Any]]:
        with _told("list", uri):
            if begins:
                return client.find(path, detail=True, prefix=begins)
            return (client.glob if is_pattern else client.find)(path, detail=True)

    try:
        entries = _patiently(ask)
    except StorageError as error:
        if error.kind is FailureKind.NOT_FOUND:
            return
        raise
    for name in sorted(entries):
        info = entries[name]
        if info.get("type") == "file" and not name.endswith("/"):
            yield _found(f"{scheme}://{name}", info)


def fetch(uri: str, start: int, end: int, size: int) -> bytes:
    """Bytes `[start, end)` of an object of `size` bytes.

    Raises StorageError, and NoRangesError if the server sends whole files only.
    """
    client, path = _reach(uri)

    def ask() -> bytes:
        with _told("read", uri):
            if not is_web(uri):
                got: bytes = client.cat_file(path, start=start, end=end)
            else:
                try:
                    with client.open(path, cache_type="none", block_size=end, size=size) as body:
                        body.seek(start)
                        got = body.read(end - start)
                except ValueError as error:
                    message = f"{shown(uri)}: the server gives no byte ranges ({error})"
                    raise NoRangesError(message) from None
            if len(got) != end - start:
                message = f"cannot read {shown(uri)}: {len(got)} bytes came for {end - start}"
                raise StorageError(message, FailureKind.IO)
            return got

    return _patiently(ask)


def download(uri: str, path: Path) -> None:
    """Copy an object into a local file. Raises StorageError."""
    client, name = _reach(uri)

    def ask() -> None:
        with _told("download", uri):
            client.get_file(name, str(path))

    _patiently(ask)


def read(uri: str) -> bytes | None:
    """A small object's content, or None if there is none. Raises StorageError."""
    client, path = _reach(uri)

    def ask() -> bytes:
        with _told("read", uri):
            # With a start, s3fs asks for the object at once, without asking for its size first.
            return client.cat_file(path, start=0)

    try:
        return _patiently(ask)
    except StorageError as error:
        if error.kind is FailureKind.NOT_FOUND:
            return None
        if "InvalidRange" in error.message or "416" in error.message:
            return b""
        raise


# What an object is served as: a browser shows a page, and plays a clip, only if it is told so.
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript",
    ".json": "application/json",
    ".csv": "text/csv; charset=utf-8",
    ".jpg": "image/jpeg",
    ".mp4": "video/mp4",
}


def _typed(uri: str) -> dict[str, Any]:
    """The argument with which a store's client is told of an object's type."""
    kind = _TYPES.get(posixpath.splitext(uri)[1])
    if kind is None:
        return {}
    match EXTRAS.get(scheme_of(uri) or ""):
        case "s3":
            return {"ContentType": kind}
        case "gcs":
            return {"content_type": kind}
        case "azure":
            blob: Any = importlib.import_module("azure.storage.blob")
            return {"content_settings": blob.ContentSettings(content_type=kind)}
        case _:
            return {}


def write(uri: str, content: bytes) -> None:
    """Put an object; it appears as a whole or not at all. Raises StorageError."""
    client, path = _reach(uri)

    def put() -> None:
        with _told("write", uri):
            client.pipe_file(path, content, **_typed(uri))

    _patiently(put)


def create(uri: str, content: bytes) -> bool:
    """Put an object unless there is one; whether it was put. Raises StorageError.

    Stores decide this themselves (S3: If-None-Match), so that of two at once only one wins. An
    object may be ours although it was there: when the answer to an earlier try was lost.
    """
    client, path = _reach(uri)

    def put() -> None:
        with _told("write", uri):
            client.pipe_file(path, content, mode="create")

    try:
        _patiently(put)
    except FileExistsError:
        return False
    except StorageError as error:
        refused = r"pre-?condition|conditionnotmet|conditionalrequestconflict|status 412"
        if re.search(refused, error.message, re.IGNORECASE):
            return False
        raise
    return True


def write_file(uri: str, path: Path) -> None:
    """Put a local file as an object; it appears as a whole or not at all. Raises StorageError."""
    client, name = _reach(uri)

    def put() -> None:
        with _told("write", uri):
            client.put_file(str(path), name, **_typed(uri))

    _patiently(put)


def remove(uri: str) -> None:
    """Remove an object if it is there. Raises StorageError."""
    client, path = _reach(uri)

    def ask() -> None:
        with _told("remove", uri):
            client.rm_file(path)

    try:
        _patiently(ask)
    except StorageError as error:
        if error.kind is not FailureKind.NOT_FOUND:
            raise
