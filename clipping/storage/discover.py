"""Which videos the inputs name: files, folders, globs, lists, prefixes of object stores."""

from __future__ import annotations

import glob
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr

from clipping.errors import ClippingError, FailureKind, SourceError, StorageError, UsageError
from clipping.models import SourceFile
from clipping.plan.shards import in_shard
from clipping.storage import object_store
from clipping.storage.addresses import is_remote, is_web, shown, split_secret
from clipping.storage.list_files import LISTS, read_list
from clipping.storage.source import fingerprint

__all__ = ["Found", "find_sources"]

_LOOKS_AT_ONCE = 16


@dataclass(slots=True)
class Found:
    """What the inputs hold: sources in order, files that cannot be sources, files passed over."""

    sources: list[SourceFile] = field(default_factory=list[SourceFile])
    failed: list[tuple[str, ClippingError]] = field(default_factory=list[tuple[str, ClippingError]])
    passed_over: list[str] = field(default_factory=list[str])


def find_sources(
    inputs: Sequence[str],
    extensions: Sequence[str],
    leave_out: Sequence[str] = (),
    shard: str = "",
) -> Found:
    """The sources that `inputs` name, each once: files, folders, globs, lists, prefixes.

    A folder or prefix is searched recursively for the `extensions` (any case); other files in
    it, and sidecars of videos, are `passed_over`, and the folders `leave_out` within it are not
    searched. A file given by name, or in a list, is taken whatever it is called. shard: only those
    that fall to it ("3/16").
    Raises UsageError if an input does not exist or names nothing, StorageError if a store
    cannot be listed.
    """
    endings = tuple(e.lower() if e.startswith(".") else f".{e.lower()}" for e in extensions)
    found = Found()
    entries: list[_Entry] = []
    passed_over: list[str] = []
    for given in inputs:
        before = len(entries) + len(passed_over)
        entries += _expand(given, endings, passed_over, found, leave_out)
        if len(entries) + len(passed_over) == before:
            raise UsageError(f"input {shown(given)!r} holds no files")
    mine = in_shard(shard)
    found.failed = [(name, error) for name, error in found.failed if mine(name)]
    found.passed_over = [name for name in passed_over if mine(name)]
    chosen = [(key, entry) for key, entry in _distinct(entries) if mine(key)]
    for key, result in _look_at(chosen):
        if isinstance(result, SourceFile):
            found.sources.append(result)
        else:
            found.failed.append((_printable(key), result))
    return found


def _is_sidecar(path: str) -> bool:
    """Whether a system has put a file beside a video, under a video's name.

    macOS keeps what other file systems cannot hold of `x.mp4` in `._x.mp4` (AppleDouble), and
    Synology's previews lie in `@eaDir`.
    """
    *folders, name = path.split("/")
    return name.startswith("._") or "@eaDir" in folders


def _check_remote(given: str) -> tuple[object_store.Found | None, bool]:
    """The object that a remote input is, if it is one; else whether it is a pattern.

    What is there under the very name comes first. Raises UsageError.
    """
    plain, signed = split_secret(given)
    if signed:
        raise UsageError(
            f"input {plain!r} is a signed address, and a run's inputs are recorded by Prefect:"
            " write it into a list file (.txt) and give that"
        )
    try:
        return object_store.look(given), False
    except StorageError as error:
        if error.kind is FailureKind.NOT_FOUND:
            if _has_pattern(given) and not is_web(given):
                return None, True
            raise UsageError(f"input {given!r}: there is no such object or prefix") from None
        raise UsageError(f"input {given!r}: {error.message}", error.kind) from None


def _has_pattern(uri: str) -> bool:
    return any(c in uri for c in "*?[")


@dataclass(frozen=True, slots=True)
class _Entry:
    """A file that an input names; size and tag if a listing told them already."""

    key: str
    path: str
    listed: object_store.Found | None = None


def _local(given: str) -> str:
    return os.path.expanduser(given.removeprefix("file://"))


def _expand(
    given: str,
    endings: tuple[str, ...],
    passed_over: list[str],
    found: Found,
    leave_out: Sequence[str],
) -> Iterator[_Entry]:
    """What one input names."""
    if is_remote(given):
        yield from _expand_remote(given, endings, passed_over, leave_out)
        return
    path = _local(given)
    if os.path.isdir(path):
        yield from _walk(path, endings, passed_over, found, leave_out)
    elif os.path.isfile(path):
        if path.lower().endswith(LISTS):
            try:
                content = Path(path).read_bytes()
            except OSError as error:
                raise UsageError(f"the list {path!r} cannot be read: {error.strerror}") from None
            yield from _listed(path, content)
        else:
            yield _Entry(os.path.basename(path), path)
    elif matches := _once(_matches(path)):
        root = _glob_root(path)
        for match in matches:
            if os.path.isdir(match):
                continue
            key = os.path.relpath(match, root)
            if match.lower().endswith(endings) and not _is_sidecar(key):
                yield _Entry(key, match)
            else:
                passed_over.append(_printable(match))
    else:
        raise UsageError(f"input {given!r}: there is no such file or folder, and no glob matches")


def _matches(pattern: str) -> Iterator[str]:
    """What a glob matches. `**` enters each folder once, whatever links lead there.

    Python's own goes round in circles of links until their path is too long for the system.
    """
    parts = pattern.split("/")
    if "**" not in parts:
        yield from glob.iglob(pattern)
        return
    at = parts.index("**")
    rest = parts[at + 1 :] or ["*"]
    seen: set[str] = set()
    for base in glob.iglob("/".join([*parts[:at], ""])) if at else ["."]:
        for folder, folders, _ in os.walk(base, followlinks=True):
            real = os.path.realpath(folder)
            if real in seen:
                folders.clear()
                continue
            seen.add(real)
            folders[:] = sorted(f for f in folders if not f.startswith("."))
            yield from _matches("/".join([glob.escape(folder.rstrip("/")), *rest]))


def _once(matches: Iterable[str]) -> list[str]:
    """The matches of a glob in order, each file once, where fewest folders lead to it."""
    places: dict[tuple[str, str], str] = {}
    for match in sorted(matches, key=lambda path: (path.count("/"), path)):
        folder, name = os.path.split(match)
        places.setdefault((os.path.realpath(folder), name), match)
    return sorted(places.values())


def _expand_remote(
    given: str, endings: tuple[str, ...], passed_over: list[str], leave_out: Sequence[str]
) -> Iterator[_Entry]:
    there, is_pattern = _check_remote(given)
    if there is not None:
        if given.lower().endswith(LISTS):
            yield from _listed(given, object_store.read(given) or b"")
        else:
            yield _Entry(_web_key(given) if is_web(given) else _last(given), given, there)
        return
    if is_web(given):
        raise UsageError(f"input {given!r}: a web server cannot be listed; give its files")
    root = _pattern_root(given) if is_pattern else given.rstrip("/") + "/"
    prefixes = tuple(p for p in (f"{x.rstrip('/')}/" for x in leave_out) if p != root)
    for each in object_store.listing(given, is_pattern=is_pattern):
        if each.uri.startswith(prefixes):
            continue
        key = each.uri.removeprefix(root)
        if each.uri.lower().endswith(endings) and not _is_sidecar(key):
            yield _Entry(key, each.uri, each)
        else:
            passed_over.append(key)


def _pattern_root(given: str) -> str:
    """What the keys of a pattern's matches are relative to: all before the first wildcard."""
    plain = itertools.takewhile(lambda part: not _has_pattern(part), given.split("/"))
    return "/".join(plain) + "/"


def _last(uri: str) -> str:
    return uri.rstrip("/").rpartition("/")[2]


def _web_key(uri: str) -> str:
    """Host and path as they stand, and what of the query tells files apart."""
    return shown(uri).partition("://")[2]


def _walk(
    root: str,
    endings: tuple[str, ...],
    passed_over: list[str],
    found: Found,
    leave_out: Sequence[str],
) -> Iterator[_Entry]:
    seen: set[str] = set()
    left_out = {os.path.realpath(folder) for folder in leave_out}

    def is_new(folder: str) -> bool:
        # Links may lead in circles.
        real = os.path.realpath(folder)
        if real in seen or real in left_out:
            return False
        seen.add(real)
        return True

    def unreadable(error: OSError) -> None:
        name = _printable(str(error.filename))
        failure = SourceError(f"{name}: cannot be read: {error.strerror}", FailureKind.IO)
        found.failed.append((name, failure))

    is_new(root)
    for folder, folders, names in os.walk(root, onerror=unreadable, followlinks=True):
        folders[:] = sorted(f for f in folders if is_new(os.path.join(folder, f)))
        for name in sorted(names):
            path = os.path.join(folder, name)
            if name.lower().endswith(endings) and not _is_sidecar(os.path.relpath(path, root)):
                yield _Entry(os.path.relpath(path, root), path)
            else:
                passed_over.append(_printable(os.path.relpath(path, root)))


def _glob_root(pattern: str) -> str:
    """The folder above the first part of a glob that holds a wildcard."""
    parts = Path(pattern).parts
    plain = itertools.takewhile(lambda part: not glob.has_magic(part), parts)
    return os.path.join(".", *plain)


def _listed(path: str, content: bytes) -> Iterator[_Entry]:
    """The entries of a list: full addresses, or paths relative to the list."""
    folder = path.rpartition("/")[0] if is_remote(path) else _folder(path)
    entries = list(read_list(path, content))
    if not entries:
        raise UsageError(f"the list {path!r} names no files")
    for entry in entries:
        if is_web(entry):
            yield _Entry(_web_key(entry), entry)
        elif is_remote(entry):
            below = entry.startswith(f"{folder}/")
            yield _Entry(entry[len(folder) + 1 :] if below else entry.partition("://")[2], entry)
        elif is_remote(path):
            yield _Entry(entry, f"{folder}/{entry}")
        else:
            full = os.path.normpath(os.path.join(folder, _local(entry)))
            relative = os.path.relpath(full, folder)
            yield _Entry(full.lstrip("/") if relative.startswith("..") else relative, full)


def _folder(path: str) -> str:
    return os.path.dirname(os.path.abspath(path))


def _distinct(entries: Sequence[_Entry]) -> Iterator[tuple[str, _Entry]]:
    """Each path once; where two files have one key, their full paths tell them apart."""
    by_path: dict[str, _Entry] = {}
    for entry in entries:
        is_far = is_remote(entry.path)
        path = shown(entry.path) if is_far else os.path.abspath(entry.path)
        by_path.setdefault(path, entry)
    count: dict[str, int] = {}
    for entry in by_path.values():
        count[entry.key] = count.get(entry.key, 0) + 1
    for path, entry in by_path.items():
        yield (entry.key if count[entry.key] == 1 else path.lstrip("/")), entry


def _look_at(
    entries: Sequence[tuple[str, _Entry]],
) -> Iterator[tuple[str, SourceFile | ClippingError]]:
    """The source file of each entry, or why there is none; remote ones side by side."""

    def look(keyed: tuple[str, _Entry]) -> tuple[str, SourceFile | ClippingError]:
        key, entry = keyed
        try:
            is_far = is_remote(entry.path)
            return key, _remote_file(key, entry) if is_far else _source_file(key, entry.path)
        except ClippingError as error:
            return key, error

    if any(e.listed is None and is_remote(e.path) for _, e in entries):
        with ThreadPoolExecutor(_LOOKS_AT_ONCE) as pool:
            yield from pool.map(look, entries)
    else:
        yield from map(look, entries)


def _remote_file(key: str, entry: _Entry) -> SourceFile:
    plain, signed = split_secret(entry.path)
    if "\n" in plain or "\r" in plain:
        raise SourceError(f"{key!r}: a name with a line break cannot be read; rename it")
    try:
        there = entry.listed or object_store.look(entry.path)
    except StorageError as error:
        raise SourceError(f"{key}: {error.message}", error.kind) from None
    if there is None:
        raise SourceError(f"{key}: is a prefix, not a video")
    if there.size is None:
        raise SourceError(f"{key}: the server does not say how long it is")
    return SourceFile(
        key=key,
        uri=plain,
        size=there.size,
        fingerprint=fingerprint(there),
        signed=SecretStr(signed) if signed else None,
    )


def _source_file(key: str, path: str) -> SourceFile:
    try:
        (key + path).encode()
    except UnicodeEncodeError:
        raise SourceError(f"{_printable(key)}: the name is not valid UTF-8; rename it") from None
    try:
        stat = os.stat(path)
    except FileNotFoundError:
        raise SourceError(f"{key}: there is no such file", FailureKind.NOT_FOUND) from None
    except OSError as error:
        raise SourceError(f"{key}: cannot be read: {error.strerror}", FailureKind.IO) from None
    if os.path.isdir(path):
        raise SourceError(f"{key}: is a folder, not a video")
    if not os.path.isfile(path):
        raise SourceError(f"{key}: is not a regular file")
    fingerprint = f"{stat.st_size}-{stat.st_mtime_ns}"
    return SourceFile(key=key, uri=path, size=stat.st_size, fingerprint=fingerprint)


def _printable(name: str) -> str:
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
