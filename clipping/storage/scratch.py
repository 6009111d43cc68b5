"""Temporary folders on this node, with room checked first and leftovers swept."""

from __future__ import annotations

import contextlib
import fcntl
import math
import shutil
import tempfile
import time
from collections.abc import Generator
from pathlib import Path

from clipping.errors import ClippingError, FailureKind, StorageError
from clipping.storage.local_files import local_error

__all__ = ["SweptFolder", "scratch_folder"]

_BARE = ".clipping-"
_BARE_SECONDS = 3600.0
_SHM = Path("/dev/shm")  # noqa: S108


@contextlib.contextmanager
def scratch_folder(chosen: str, need: int, *, needed: bool = False) -> Generator[Path]:
    """A temporary folder on this node with room for `need` bytes, removed afterwards.

    chosen: where to make it; empty means memory while that has four times the room, then the
    system's temporary folder. Folders that dead processes left are removed first.
    needed: `need` is no guess: raise StorageError at once where there is less room.
    A disk that fills up while the block works in the folder raises StorageError with the folder
    and the need; where the output is full instead, its own StorageError passes.
    """
    parent = Path(chosen) if chosen else Path(tempfile.gettempdir())
    if not chosen and _SHM.is_dir() and shutil.disk_usage(_SHM).free > 4 * need:
        parent = _SHM
    try:
        parent.mkdir(parents=True, exist_ok=True)
        _sweep(parent)
        free = shutil.disk_usage(parent).free
        # It gets the name that others sweep by when its lock is held, not before.
        bare = Path(tempfile.mkdtemp(prefix=_BARE, dir=parent))
        lock = open(bare / ".lock", "w")  # noqa: SIM115
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder = bare.rename(parent / bare.name.removeprefix("."))
    except OSError as error:
        raise local_error("write", str(parent), error) from None
    try:
        if needed and free < need:
            raise StorageError(
                f"{parent} has {free / 1e9:.1f} GB free, {need / 1e9:.1f} GB are needed to"
                " download the file; set scratch_dir to a folder with more room",
                FailureKind.DISK_FULL,
            )
        yield folder
    except ClippingError as error:
        if error.kind is not FailureKind.DISK_FULL or isinstance(error, StorageError):
            raise
        raise StorageError(
            f"the scratch folder {parent} is full; about {_rounded(need)} are needed there for each"
            " chunk that is made at once: free some, or set scratch_dir to a folder with more room",
            FailureKind.DISK_FULL,
        ) from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.close()


class SweptFolder:
    """Like `tempfile.TemporaryDirectory`; what a killed process leaves, the next one removes."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self.name = str(self._stack.enter_context(scratch_folder(tempfile.gettempdir(), 0)))

    def cleanup(self) -> None:
        """Remove it."""
        self._stack.close()

    def __enter__(self) -> str:
        return self.name

    def __exit__(self, *_: object) -> None:
        self.cleanup()


def _rounded(size: int) -> str:
    """A size in words, rounded up to one digit, so that chunks alike say the same."""
    megabytes = max(1, math.ceil(size / 1e6))
    digits = 10 ** (len(str(megabytes)) - 1)
    megabytes = math.ceil(megabytes / digits) * digits
    return f"{megabytes / 1000:g} GB" if megabytes >= 1000 else f"{megabytes} MB"


def _sweep(parent: Path) -> None:
    """Remove the folders whose owner is gone: nobody holds their lock."""
    for folder in parent.glob("clipping-*"):
        try:
            with open(folder / ".lock") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            continue
    for folder in parent.glob(f"{_BARE}*"):  # its owner died within a moment
        with contextlib.suppress(OSError):
            if time.time() - folder.stat().st_mtime > _BARE_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)
