"""A lease on a prefix of an object store: an object that its holder renews while it lives.

Object stores have no locks. Creating an object that must not exist is decided by the store;
a holder that died is told from one that works by when it last wrote its object. The machines'
clocks have to agree to a minute for that.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Generator
from dataclasses import dataclass

import psutil

from clipping.errors import ClippingError, StorageError, UsageError
from clipping.storage import object_store

__all__ = ["held_lease", "output_is_busy"]

_RENEW_SECONDS = 20.0
_STALE_SECONDS = 120.0
_TAKE_TRIES = 3


@dataclass(frozen=True, slots=True)
class _Lease:
    id: str
    host: str
    process: int
    renewed: float

    @property
    def holder(self) -> str:
        """Who holds it, for a person."""
        return f"process {self.process} on {self.host}"

    @property
    def is_live(self) -> bool:
        """Whether its holder seems to be at work; a process of this machine can be looked for."""
        if self.host == socket.gethostname() and not psutil.pid_exists(self.process):
            return False
        return time.time() - self.renewed < _STALE_SECONDS


@contextlib.contextmanager
def held_lease(
    folder: str, label: str, conflicts: Callable[[str, str], bool]
) -> Generator[str | None]:
    """Hold the lease `label` below the URI `folder`; yields who holds one against it, or None.

    A lease that was not renewed for two minutes belongs to a run that died. Raises StorageError.
    """
    uri, mine = f"{folder}/{label}.json", uuid.uuid4().hex
    against = _standing(folder, label, conflicts) or _take(uri, mine)
    if against is not None:
        yield against.holder
        return
    # Two that looked at the same moment saw neither: whoever sees the other now gives way.
    late = _standing(folder, label, conflicts, but=mine)
    if late is not None:
        object_store.remove(uri)
        yield late.holder
        return
    done = threading.Event()
    renewing = threading.Thread(target=_renew, args=(uri, mine, done), daemon=True, name="lease")
    renewing.start()
    try:
        yield None
    finally:
        done.set()
        renewing.join(timeout=_RENEW_SECONDS)
        with contextlib.suppress(StorageError):  # it goes stale by itself
            held = _read(uri)
            if held is not None and held.id == mine:
                object_store.remove(uri)


_UNKNOWN = _Lease("", "an unknown machine", 0, 0.0)


def _take(uri: str, mine: str) -> _Lease | None:
    """Write our lease, over one whose holder died; who holds it instead, or None."""
    held: _Lease | None = None
    for _ in range(_TAKE_TRIES):
        if object_store.create(uri, _content(mine)):
            return None
        held = _read(uri)
        if held is not None and held.id == mine:
            return None
        if held is not None and held.is_live:
            return held
        object_store.remove(uri)
    return held or _UNKNOWN


def _content(mine: str) -> bytes:
    values = {"id": mine, "host": socket.gethostname(), "process": os.getpid()}
    return json.dumps({**values, "renewed": time.time()}).encode()


def _read(uri: str) -> _Lease | None:
    content = object_store.read(uri)
    if content is None:
        return None
    try:
        values = json.loads(content)
        return _Lease(
            str(values["id"]),
            str(values["host"]),
            int(values["process"]),
            float(values["renewed"]),
        )
    except (ValueError, KeyError, TypeError):
        return _UNKNOWN


def _standing(
    folder: str, label: str, conflicts: Callable[[str, str], bool], but: str = ""
) -> _Lease | None:
    """A live lease that conflicts with `label`."""
    for each in object_store.listing(folder + "/"):
        other = each.uri.rpartition("/")[2].removesuffix(".json")
        if not each.uri.endswith(".json") or not conflicts(label, other):
            continue
        lease = _read(each.uri)
        if lease is not None and lease.id != but and lease.is_live:
            return lease
    return None


def _renew(uri: str, mine: str, done: threading.Event) -> None:
    """Say that we live, until done."""
    while not done.wait(_RENEW_SECONDS):
        try:
            held = _read(uri)
            if held is None or held.id == mine:
                object_store.write(uri, _content(mine))
        except ClippingError:
            continue  # the store may be back in time for the next one


def output_is_busy(root: str, holder: str = "") -> UsageError:
    """The error of a run whose output another one is writing into; `holder`: who, if known."""
    by = f" ({holder})" if holder else ""
    dead = "; if it died, its lock expires within two minutes" if holder else ""
    return UsageError(
        f"another run{by} is writing into {root}; wait for it, or choose another output{dead}"
    )
