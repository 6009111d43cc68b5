"""Where clips and records go: a local folder, or a prefix of an object store.

Either publishes whole files only. Locally a file is written beside its place (`.partial/`)
and renamed; an object store shows an object when its PUT is complete. Names below the output
are relative, with `/`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, Protocol

from clipping.errors import FailureKind, StorageError, UsageError
from clipping.plan.shards import shard_label
from clipping.storage.addresses import is_remote, is_web, shown
from clipping.storage.local_files import LocalOutput
from clipping.storage.objects import ObjectOutput

__all__ = ["Output", "open_output", "require_mounted"]


class Output(Protocol):
    """What the rest needs of an output. All of it raises StorageError."""

    def location(self, name: str) -> str:
        """The full path or URI of a name."""
        ...

    def read_text(self, name: str) -> str | None:
        """A file's text, or None if there is no such file."""
        ...

    def sizes(self, folder: str, *, begins: str = "") -> dict[str, int]:
        """Name to size in bytes for every file directly in `folder`, from one listing.

        begins: of files that begin with one of these characters, at least; a store is then asked
        for each of them at the same time, which saves waiting where there are many files.
        """
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

    def open(self, name: str) -> BinaryIO | None:
        """A file to read as it is now, even if it is replaced meanwhile; None if there is none."""
        ...

    def names_below(self, folder: str) -> list[str]:
        """The files below `folder`, in folders within it too, relative to it; one listing."""
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
    if not is_remote(root):
        return LocalOutput(root.removeprefix("file://"), label)
    if is_web(root):
        raise UsageError(f"output {shown(root)!r}: a web server takes no clips")
    return ObjectOutput(root.rstrip("/"), label)


def require_mounted(root: str) -> None:
    """Raise StorageError if this machine does not see the folder that a run writes into.

    Clips would be written all the same, into a folder of that name that nobody else has.
    """
    if is_remote(root):
        return
    folder = root.removeprefix("file://")
    if not os.path.isdir(os.path.join(folder, ".locks")):  # the run's own, on its machine
        message = f"output {folder}: cannot be seen from node {os.uname().nodename}"
        raise StorageError(message, FailureKind.NOT_FOUND)
