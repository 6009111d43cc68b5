"""Where files are: finding sources, reading records, and publishing whole files only.

A local output is written beside its place (`.partial/`) and renamed, so that a file at its
final name is whole whatever happens. Object stores publish a PUT as a whole by themselves.
"""

from __future__ import annotations

import contextlib
import csv
import fcntl
import glob
import hashlib
import itertools
import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clipping.errors import FailureKind, SourceError, StorageError, UsageError
from clipping.models import SourceFile

__all__ = ["Found", "OutputFolder", "find_sources", "record_name", "scratch_folder"]

LISTS = (".txt", ".csv", ".jsonl", ".parquet")
_COLUMNS = ("path", "uri", "url", "video", "file", "filepath", "video_path", "source")


@dataclass(slots=True)
class Found:
    """What the inputs hold: sources in order, files that cannot be sources, files passed over."""

    sources: list[SourceFile] = field(default_factory=list[SourceFile])
    failed: list[tuple[str, SourceError]] = field(default_factory=list[tuple[str, SourceError]])
    passed_over: list[str] = field(default_factory=list[str])


def find_sources(inputs: Sequence[str], extensions: Sequence[str], output: str = "") -> Found:
    """The sources that `inputs` (files, folders, globs, lists) name, each once.

    A folder is searched recursively for the `extensions` (any case); other files in it are
    `passed_over`, and the `output` folder is left out. A file given by name, or in a list, is
    taken whatever it is called. Raises UsageError if an input does not exist or names nothing.
    """
    endings = tuple(e.lower() if e.startswith(".") else f".{e.lower()}" for e in extensions)
    found = Found()
    pairs: list[tuple[str, str]] = []
    for given in inputs:
        before = len(pairs) + len(found.passed_over)
        pairs += _expand(given, endings, found, os.path.realpath(output) if output else "")
        if len(pairs) + len(found.passed_over) == before:
            raise UsageError(f"input {given!r} holds no files")
    for key, path in _distinct(pairs):
        try:
            found.sources.append(_source_file(key, path))
        except SourceError as error:
            found.failed.append((_printable(key), error))
    return found


def _expand(
    given: str, endings: tuple[str, ...], found: Found, output: str
) -> Iterator[tuple[str, str]]:
    """Pairs of key and path for one input."""
    if "://" in given:
        raise UsageError(f"input {given!r}: only local files and folders can be read so far")
    path = os.path.expanduser(given)
    if os.path.isdir(path):
        yield from _walk(path, endings, found, output)
    elif os.path.isfile(path):
        if path.lower().endswith(LISTS):
            yield from _listed(path)
        else:
            yield os.path.basename(path), path
    elif matches := sorted(glob.glob(path, recursive=True)):
        root = _glob_root(path)
        for match in matches:
            if os.path.isdir(match):
                continue
            if match.lower().endswith(endings):
                yield os.path.relpath(match, root), match
            else:
                found.passed_over.append(_printable(match))
    else:
        raise UsageError(f"input {given!r}: there is no such file or folder, and no glob matches")


def _walk(
    root: str, endings: tuple[str, ...], found: Found, output: str
) -> Iterator[tuple[str, str]]:
    seen: set[str] = set()

    def is_new(folder: str) -> bool:
        # Links may lead in circles, and earlier clips are no sources.
        real = os.path.realpath(folder)
        if real in seen or real == output:
            return False
        seen.add(real)
        return True

    def unreadable(error: OSError) -> None:
        name = _printable(str(error.filename))
        failure = SourceError(f"{name}: cannot be read: {error.strerror}", FailureKind.IO)
        found.failed.append((name, failure))

    for folder, folders, names in os.walk(root, onerror=unreadable, followlinks=True):
        folders[:] = sorted(f for f in folders if is_new(os.path.join(folder, f)))
        for name in sorted(names):
            path = os.path.join(folder, name)
            if name.lower().endswith(endings):
                yield os.path.relpath(path, root), path
            else:
                found.passed_over.append(_printable(os.path.relpath(path, root)))


def _glob_root(pattern: str) -> str:
    """The folder above the first part of a glob that holds a wildcard."""
    parts = Path(pattern).parts
    plain = itertools.takewhile(lambda part: not glob.has_magic(part), parts)
    return os.path.join(".", *plain)


def _listed(path: str) -> Iterator[tuple[str, str]]:
    folder = os.path.dirname(os.path.abspath(path))
    entries = list(_read_list(path))
    if not entries:
        raise UsageError(f"the list {path!r} names no files")
    for entry in entries:
        full = os.path.normpath(os.path.join(folder, os.path.expanduser(entry)))
        relative = os.path.relpath(full, folder)
        yield (full.lstrip("/") if relative.startswith("..") else relative), full


def _read_list(path: str) -> Iterator[str]:
    """The file names in a text, CSV, JSON Lines or Parquet list."""
    try:
        if path.lower().endswith(".parquet"):
            from pyarrow import parquet  # slow to import, seldom needed

            reader: Any = parquet
            table: Any = reader.read_table(path)
            column = _column(table.column_names, path)
            yield from (str(v) for v in table.column(column).to_pylist() if v)
            return
        with open(path, encoding="utf-8-sig", newline="") as lines:
            if path.lower().endswith(".csv"):
                rows = csv.reader(lines)
                header = next(rows, list[str]())
                named = [c.strip().lower() for c in header]
                at = next((named.index(c) for c in _COLUMNS if c in named), None)
                if at is None:  # no header: the first column, from the first row on
                    at = 0
                    yield from header[:1]
                yield from (row[at] for row in rows if len(row) > at and row[at].strip())
            elif path.lower().endswith(".jsonl"):
                for line in lines:
                    if not line.strip():
                        continue
                    value: Any = json.loads(line)
                    yield str(value if isinstance(value, str) else value[_column(value, path)])
            else:
                kept = (line.strip("\r\n") for line in lines)
                yield from (x for x in kept if x.strip() and not x.startswith("#"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"the list {path!r} cannot be read: {error}") from None
    except Exception as error:  # pyarrow has errors of its own for a file that is no Parquet
        if type(error).__module__.startswith("pyarrow"):
            raise UsageError(f"the list {path!r} is not a Parquet file: {error}") from None
        raise


def _column(names: Any, path: str) -> str:
    for wanted in _COLUMNS:
        if wanted in names:
            return wanted
    known = ", ".join(_COLUMNS[:4])
    raise UsageError(f"the list {path!r} has no column called {known} or the like")


def _distinct(pairs: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Each path once; where two files have one key, their full paths tell them apart."""
    by_path: dict[str, str] = {}
    for key, path in pairs:
        by_path.setdefault(os.path.abspath(path), key)
    count: dict[str, int] = {}
    for key in by_path.values():
        count[key] = count.get(key, 0) + 1
    for path, key in by_path.items():
        yield (key if count[key] == 1 else path.lstrip("/")), path


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


_NAME_LIMIT = 255  # bytes in a file name, on every common file system


def record_name(key: str, suffix: str) -> str:
    """The relative path of a source's record: its key and `suffix`, within the name limit.

    A part of the key that is too long, or would lead elsewhere, is replaced by its start and
    a digest.
    """
    parts = [p for p in key.split("/") if p not in ("", ".")]
    safe = [_fitting(p, "") for p in parts[:-1]]
    return "/".join([*safe, _fitting(parts[-1], suffix)])


def _fitting(part: str, suffix: str) -> str:
    raw = part.encode()
    if part != ".." and len(raw) + len(suffix.encode()) <= _NAME_LIMIT:
        return part + suffix
    digest = hashlib.sha256(raw).hexdigest()[:16]
    room = _NAME_LIMIT - len(suffix.encode()) - len(digest) - 1
    return f"{raw[:room].decode(errors='ignore').strip('.')}~{digest}{suffix}"


@dataclass(frozen=True, slots=True)
class OutputFolder:
    """The output: names below it are relative, with `/`."""

    root: str

    def location(self, name: str) -> str:
        """The full path of a name."""
        return os.path.join(self.root, name)

    def read_text(self, name: str) -> str | None:
        """A file's text, or None if there is no such file."""
        try:
            with open(self.location(name), encoding="utf-8") as stream:
                return stream.read()
        except (FileNotFoundError, NotADirectoryError, UnicodeDecodeError):
            return None
        except OSError as error:
            raise _storage_error("read", self.location(name), error) from None

    def sizes(self, folder: str) -> dict[str, int]:
        """Name to size in bytes for every file directly in `folder`, from one listing."""
        try:
            with os.scandir(self.location(folder)) as entries:
                return {e.name: e.stat().st_size for e in entries if e.is_file()}
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise _storage_error("list", self.location(folder), error) from None

    def sizes_of(self, folder: str, names: Iterable[str]) -> dict[str, int]:
        """Name to size for those of `names` that are in `folder`."""
        found: dict[str, int] = {}
        for name in names:
            try:
                found[name] = os.stat(self.location(f"{folder}/{name}")).st_size
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                raise _storage_error("read", self.location(f"{folder}/{name}"), error) from None
        return found

    def write_text(self, name: str, text: str) -> None:
        """Publish a small text file. Raises StorageError."""
        with (
            self._partial(name) as partial,
            open(partial, "w", encoding="utf-8") as stream,
        ):
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())

    def publish(self, path: Path, name: str) -> tuple[int, str]:
        """Publish the scratch file `path` as `name`; its size and SHA-256. Raises StorageError."""
        digest = hashlib.sha256()
        size = 0
        with (
            self._partial(name) as partial,
            open(path, "rb") as source,
            open(partial, "wb") as target,
        ):
            while block := source.read(1 << 20):
                digest.update(block)
                size += len(block)
                target.write(block)
            target.flush()
            os.fsync(target.fileno())
        return size, digest.hexdigest()

    def remove(self, name: str) -> None:
        """Remove a file if it is there."""
        try:
            os.unlink(self.location(name))
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise _storage_error("remove", self.location(name), error) from None

    @contextlib.contextmanager
    def _partial(self, name: str) -> Generator[str]:
        """A path to write; it gets its final name when the block ends well."""
        final = self.location(name)
        partial = self.location(f".partial/{uuid.uuid4().hex}")
        try:
            os.makedirs(os.path.dirname(partial), exist_ok=True)
            yield partial
            os.makedirs(os.path.dirname(final), exist_ok=True)
            os.replace(partial, final)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.unlink(partial)
            raise _storage_error("write", final, error) from None

    @contextlib.contextmanager
    def claimed(self) -> Generator[None]:
        """Hold the output for one run: a second one refuses at once. Clears leftovers.

        Raises UsageError if another run holds it, StorageError if it cannot be made.
        """
        try:
            os.makedirs(self.root, exist_ok=True)
            handle = open(self.location(".lock"), "a")  # noqa: SIM115
        except OSError as error:
            raise _storage_error("write", self.root, error) from None
        with handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise UsageError(
                    f"another run is writing into {self.root}; wait for it, or choose another"
                    " --output"
                ) from None
            shutil.rmtree(self.location(".partial"), ignore_errors=True)
            yield
            shutil.rmtree(self.location(".partial"), ignore_errors=True)


def _storage_error(verb: str, path: str, error: OSError) -> StorageError:
    full = error.errno in (28, 122)  # ENOSPC, EDQUOT
    kind = FailureKind.DISK_FULL if full else FailureKind.IO
    return StorageError(f"cannot {verb} {path}: {error.strerror or error}", kind)


_SHM = Path("/dev/shm")  # noqa: S108


@contextlib.contextmanager
def scratch_folder(chosen: str, need: int) -> Generator[Path]:
    """A temporary folder on this node with room for `need` bytes, removed afterwards.

    chosen: where to make it; empty means memory while that has four times the room, then the
    system's temporary folder. Folders that dead processes left are removed first.
    """
    parent = Path(chosen) if chosen else Path(tempfile.gettempdir())
    if not chosen and _SHM.is_dir() and shutil.disk_usage(_SHM).free > 4 * need:
        parent = _SHM
    try:
        parent.mkdir(parents=True, exist_ok=True)
        _sweep(parent)
        folder = Path(tempfile.mkdtemp(prefix="clipping-", dir=parent))
        lock = open(folder / ".lock", "w")  # noqa: SIM115
        fcntl.flock(lock, fcntl.LOCK_EX)
    except OSError as error:
        raise _storage_error("write", str(parent), error) from None
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.close()


def _sweep(parent: Path) -> None:
    """Remove the folders whose owner is gone: nobody holds their lock."""
    for folder in parent.glob("clipping-*"):
        try:
            with open(folder / ".lock") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            continue
