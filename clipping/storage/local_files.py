"""Local files: where a path leads, and an output that is a local folder."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import uuid
from collections.abc import Generator, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from clipping.errors import FailureKind, StorageError
from clipping.plan.shards import ALL
from clipping.storage.lease import output_is_busy

__all__ = ["LocalOutput", "absolute", "local_error"]


def absolute(path: str) -> str:
    """A path as it is from any working folder: absolute, without `.`, `..` and `~`.

    Links keep their names, unless a `..` goes up from one: that leads to where the link points,
    which the shorter path would not.
    """
    full = os.path.expanduser(path.removeprefix("file://"))
    plain = os.path.abspath(full)
    if ".." not in full.split("/"):
        return plain
    real = os.path.realpath(full)
    return plain if os.path.realpath(plain) == real else real


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

    def sizes(self, folder: str, *, begins: str = "") -> dict[str, int]:
        """Name to size in bytes for every file directly in `folder`, from one listing."""
        del begins
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

    def open(self, name: str) -> BinaryIO | None:
        """A file to read as it is now, even if it is replaced meanwhile; None if there is none."""
        try:
            return open(self.location(name), "rb")
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise local_error("read", self.location(name), error) from None

    def names_below(self, folder: str) -> list[str]:
        """The files below `folder`, in folders within it too, relative to it."""
        root = self.location(folder)
        return [
            os.path.relpath(os.path.join(where, name), root)
            for where, _, names in os.walk(root)
            for name in names
        ]

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
            raise output_is_busy(self.root) from None


def local_error(verb: str, path: str, error: OSError) -> StorageError:
    """A failed call on the local file system as an error for a person."""
    full = error.errno in (28, 122)  # ENOSPC, EDQUOT
    kind = FailureKind.DISK_FULL if full else FailureKind.IO
    return StorageError(f"cannot {verb} {path}: {error.strerror or error}", kind)
