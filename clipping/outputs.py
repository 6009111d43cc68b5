"""Where clips and records go: a local folder, or a prefix of an object store.

Either publishes whole files only. Locally a file is written beside its place (`.partial/`)
and renamed; an object store shows an object when its PUT is complete. Names below the output
are relative, with `/`.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import uuid
from collections.abc import Generator, Iterable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from clipping import remote
from clipping.errors import FailureKind, StorageError, UsageError
from clipping.lease import held_lease
from clipping.scratch import local_error
from clipping.shards import ALL, shard_label

__all__ = ["LocalOutput", "ObjectOutput", "Output", "open_output"]


class Output(Protocol):
    """What the rest needs of an output. All of it raises StorageError."""

    def location(self, name: str) -> str:
        """The full path or URI of a name."""
        ...

    def read_text(self, name: str) -> str | None:
        """A file's text, or None if there is no such file."""
        ...

    def sizes(self, folder: str) -> dict[str, int]:
        """Name to size in bytes for every file directly in `folder`, from one listing."""
        ...

    def sizes_of(self, folder: str, names: Iterable[str]) -> dict[str, int]:
        """Name to size for those of `names` that are in `folder`."""
        ...

    def write_text(self, name: str, text: str) -> None:
        """Publish a small text file."""
        ...

    def publish(self, path: Path, name: str) -> tuple[int, str]:
        """Publish the scratch file `path` as `name`; its size and SHA-256."""
        ...

    def fetch(self, name: str, path: Path) -> None:
        """Copy a file to the local `path`."""
        ...

    def remove(self, name: str) -> None:
        """Remove a file if it is there."""
        ...

    def claimed(self) -> AbstractContextManager[None]:
        """Hold the output for one run: a second one refuses at once. Raises UsageError."""
        ...


def open_output(root: str, shard: str = "") -> Output:
    """The output at a path or URI; runs of different shards ("3/16") may share one.

    Raises UsageError for what cannot be written to.
    """
    label = shard_label(shard)
    if not remote.is_remote(root):
        return LocalOutput(root.removeprefix("file://"), label)
    if remote.is_web(root):
        raise UsageError(f"output {remote.shown(root)!r}: a web server takes no clips")
    return ObjectOutput(root.rstrip("/"), label)


def require_seen(root: str) -> None:
    """Raise StorageError if this machine does not see the folder that a run writes into.

    Clips would be written all the same, into a folder of that name that nobody else has.
    """
    if remote.is_remote(root):
        return
    folder = root.removeprefix("file://")
    if not os.path.isdir(os.path.join(folder, ".locks")):  # the run's own, on its machine
        message = f"output {folder}: cannot be seen from node {os.uname().nodename}"
        raise StorageError(message, FailureKind.NOT_FOUND)


def _refusal(root: str, holder: str = "") -> UsageError:
    by = f" ({holder})" if holder else ""
    dead = "; if it died, its hold ends within two minutes" if holder else ""
    return UsageError(
        f"another run{by} is writing into {root}; wait for it, or choose another output{dead}"
    )


@dataclass(frozen=True, slots=True)
class LocalOutput:
    """A folder."""

    root: str
    label: str = ALL

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
            raise local_error("read", self.location(name), error) from None

    def sizes(self, folder: str) -> dict[str, int]:
        """Name to size in bytes for every file directly in `folder`, from one listing."""
        try:
            with os.scandir(self.location(folder)) as entries:
                return {e.name: e.stat().st_size for e in entries if e.is_file()}
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise local_error("list", self.location(folder), error) from None

    def sizes_of(self, folder: str, names: Iterable[str]) -> dict[str, int]:
        """Name to size for those of `names` that are in `folder`."""
        found: dict[str, int] = {}
        for name in names:
            try:
                found[name] = os.stat(self.location(f"{folder}/{name}")).st_size
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                raise local_error("read", self.location(f"{folder}/{name}"), error) from None
        return found

    def write_text(self, name: str, text: str) -> None:
        """Publish a small text file."""
        with (
            self._partial(name) as partial,
            open(partial, "w", encoding="utf-8") as stream,
        ):
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())

    def publish(self, path: Path, name: str) -> tuple[int, str]:
        """Publish the scratch file `path` as `name`; its size and SHA-256."""
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

    def fetch(self, name: str, path: Path) -> None:
        """Copy a file to the local `path`."""
        try:
            shutil.copyfile(self.location(name), path)
        except OSError as error:
            raise local_error("read", self.location(name), error) from None

    def remove(self, name: str) -> None:
        """Remove a file if it is there."""
        try:
            os.unlink(self.location(name))
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise local_error("remove", self.location(name), error) from None

    @property
    def _partials(self) -> str:
        return self.location(f".partial/{self.label}")

    @contextlib.contextmanager
    def _partial(self, name: str) -> Generator[str]:
        """A path to write; it gets its final name when the block ends well."""
        final = self.location(name)
        partial = os.path.join(self._partials, uuid.uuid4().hex)
        try:
            os.makedirs(self._partials, exist_ok=True)
            yield partial
            os.makedirs(os.path.dirname(final), exist_ok=True)
            os.replace(partial, final)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.unlink(partial)
            raise local_error("write", final, error) from None

    @contextlib.contextmanager
    def claimed(self) -> Generator[None]:
        """Hold the folder for one run: a second one refuses at once. Clears leftovers.

        Runs of different shards of one count go on side by side. The kernel lets go of the
        locks of a process that died.
        """
        with ExitStack() as stack:
            whole = self.label == ALL
            self._lock(stack, ALL, shared=not whole)
            if not whole:
                self._lock(stack, self.label, shared=False)
                count = self.label.rpartition("-")[2]
                for other in self._other_counts(count):
                    self._lock(stack, other, shared=True)
            leftovers = self.location(".partial") if whole else self._partials
            shutil.rmtree(leftovers, ignore_errors=True)
            yield
            shutil.rmtree(leftovers, ignore_errors=True)
            with contextlib.suppress(OSError):
                os.rmdir(self.location(".partial"))

    def _other_counts(self, count: str) -> list[str]:
        """Shards of another count: they hold other videos, some of them ours."""
        names = os.listdir(self.location(".locks"))
        return [n for n in names if n != ALL and n.rpartition("-")[2] != count]

    def _lock(self, stack: ExitStack, label: str, *, shared: bool) -> None:
        try:
            os.makedirs(self.location(".locks"), exist_ok=True)
            handle: BinaryIO = open(self.location(f".locks/{label}"), "ab")  # noqa: SIM115
            stack.callback(handle.close)
        except OSError as error:
            raise local_error("write", self.root, error) from None
        try:
            fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except OSError:
            raise _refusal(self.root) from None


@dataclass(frozen=True, slots=True)
class ObjectOutput:
    """A prefix of an object store."""

    root: str
    label: str = ALL

    def location(self, name: str) -> str:
        """The full URI of a name."""
        return f"{self.root}/{name}"

    def read_text(self, name: str) -> str | None:
        """An object's text, or None if there is no such object."""
        content = remote.read(self.location(name))
        try:
            return None if content is None else content.decode()
        except UnicodeDecodeError:
            return None

    def sizes(self, folder: str) -> dict[str, int]:
        """Name to size in bytes for every object below `folder`, from one listing."""
        prefix = self.location(folder) + "/"
        return {o.uri.removeprefix(prefix): o.size or 0 for o in remote.listing(prefix)}

    def sizes_of(self, folder: str, names: Iterable[str]) -> dict[str, int]:
        """Name to size for those of `names` that are in `folder`."""
        found: dict[str, int] = {}
        for name in names:
            try:
                there = remote.look(self.location(f"{folder}/{name}"))
            except StorageError as error:
                if error.kind is not FailureKind.NOT_FOUND:
                    raise
                continue
            if there is not None:
                found[name] = there.size or 0
        return found

    def write_text(self, name: str, text: str) -> None:
        """Publish a small text object."""
        remote.write(self.location(name), text.encode())

    def publish(self, path: Path, name: str) -> tuple[int, str]:
        """Publish the scratch file `path` as `name`; its size and SHA-256."""
        with open(path, "rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        remote.write_file(self.location(name), path)
        return path.stat().st_size, digest

    def fetch(self, name: str, path: Path) -> None:
        """Copy an object to the local `path`."""
        remote.download(self.location(name), path)

    def remove(self, name: str) -> None:
        """Remove an object if it is there."""
        remote.remove(self.location(name))

    @contextlib.contextmanager
    def claimed(self) -> Generator[None]:
        """Hold the prefix for one run by a lease: a second one refuses at once."""
        with held_lease(self.location(".locks"), self.label, _conflicts) as holder:
            if holder is not None:
                raise _refusal(self.root, holder)
            yield


def _conflicts(mine: str, other: str) -> bool:
    """Whether two runs' labels ("all", "3-of-16") may touch the same videos."""
    if ALL in (mine, other) or mine == other:
        return True
    return mine.rpartition("-")[2] != other.rpartition("-")[2]
