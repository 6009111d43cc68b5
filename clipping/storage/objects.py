"""An output that is a prefix of an object store."""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
from collections.abc import Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from clipping.errors import FailureKind, StorageError
from clipping.plan.shards import ALL
from clipping.storage import object_store
from clipping.storage.lease import held_lease, output_is_busy

__all__ = ["ObjectOutput"]


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
        content = object_store.read(self.location(name))
        try:
            return None if content is None else content.decode()
        except UnicodeDecodeError:
            return None

    def sizes(self, folder: str, *, begins: str = "") -> dict[str, int]:
        """Name to size in bytes for every object below `folder`, from one listing.

        begins: of those that begin with one of these characters, listed side by side.
        """
        prefix = self.location(folder) + "/"

        def of(begins: str) -> dict[str, int]:
            found = object_store.listing(prefix, begins=begins)
            return {each.uri.removeprefix(prefix): each.size or 0 for each in found}

        if not begins:
            return of("")
        with ThreadPoolExecutor(len(begins)) as pool:
            return {name: size for part in pool.map(of, begins) for name, size in part.items()}

    def sizes_of(self, folder: str, names: Iterable[str]) -> dict[str, int]:
        """Name to size for those of `names` that are in `folder`."""
        found: dict[str, int] = {}
        for name in names:
            try:
                there = object_store.look(self.location(f"{folder}/{name}"))
            except StorageError as error:
                if error.kind is not FailureKind.NOT_FOUND:
                    raise
                continue
            if there is not None:
                found[name] = there.size or 0
        return found

    def write_text(self, name: str, text: str) -> None:
        """Publish a small text object."""
        object_store.write(self.location(name), text.encode())

    def publish(self, path: Path, name: str) -> tuple[int, str]:
        """Publish the scratch file `path` as `name`; its size and SHA-256."""
        with open(path, "rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        object_store.write_file(self.location(name), path)
        return path.stat().st_size, digest

    def open(self, name: str) -> BinaryIO | None:
        """A copy of an object to read, gone when it is closed; None if there is none."""
        with tempfile.NamedTemporaryFile(prefix="clipping-manifest-") as copy:
            try:
                object_store.download(self.location(name), Path(copy.name))
            except StorageError as error:
                if error.kind is not FailureKind.NOT_FOUND:
                    raise
                return None
            return open(copy.name, "rb")

    def names_below(self, folder: str) -> list[str]:
        """The objects below `folder`, relative to it, from one listing."""
        return list(self.sizes(folder))

    def remove(self, name: str) -> None:
        """Remove an object if it is there."""
        object_store.remove(self.location(name))

    @contextlib.contextmanager
    def claimed(self) -> Generator[None]:
        """Hold the prefix for one run by a lease: a second one refuses at once."""
        with held_lease(self.location(".locks"), self.label, _conflicts) as holder:
            if holder is not None:
                raise output_is_busy(self.root, holder)
            yield


def _conflicts(mine: str, other: str) -> bool:
    """Whether two runs' labels ("all", "3-of-16") may touch the same videos."""
    if ALL in (mine, other) or mine == other:
        return True
    return mine.rpartition("-")[2] != other.rpartition("-")[2]
