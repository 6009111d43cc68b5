"""Whether files that were read once still exist: with few questions, and never by guessing.

What cannot be looked at, or not for sure, counts as there: a disk that is not mounted, a bucket
that does not answer, another machine's folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

from clipping.errors import ClippingError, FailureKind, StorageError
from clipping.storage import object_store
from clipping.storage.addresses import is_remote, is_web

__all__ = ["vanished"]

_LOOKS_AT_ONCE = 16
MOST_LOOKS = 2_000


def vanished(
    uris: Mapping[str, str], present: Iterable[str] = (), searched: Iterable[str] = ()
) -> set[str]:
    """The names among `uris` (name to path or URI) whose files are gone for sure.

    Local: its folder is there with something else in it (one listing a folder), or is gone from
    a folder that is there (`searched`: folders just searched). In a store: an
    object of that bucket is known to be there (`present`: files just listed), and the store
    says that this one is not; at most 2,000 are asked for. Web servers are not asked: what an
    address without its signature gives says nothing.
    """
    local: dict[str, list[tuple[str, str]]] = {}
    remote: list[tuple[str, str]] = []
    for name, uri in uris.items():
        if not _is_far(uri):
            folder, base = os.path.split(uri.removeprefix("file://"))
            local.setdefault(folder, []).append((name, base))
        elif not is_web(uri):
            remote.append((name, uri))
    gone: set[str] = set()
    roots = tuple(os.path.join(os.path.abspath(root), "") for root in searched)
    for folder, named in local.items():
        gone |= _gone_from(folder, named, roots)
    if remote:
        gone |= _gone_from_stores(remote, {_bucket(uri) for uri in present if _is_far(uri)})
    return gone


def _is_far(uri: str) -> bool:
    try:
        return is_remote(uri)
    except ClippingError:
        return False


def _gone_from(folder: str, named: list[tuple[str, str]], roots: tuple[str, ...]) -> set[str]:
    if not os.path.isabs(folder):
        return set()  # relative to another run's working folder
    try:
        there = set(os.listdir(folder))
    except FileNotFoundError:
        return {name for name, _ in named} if folder.startswith(roots) else set()
    except OSError:
        return set()
    return {name for name, base in named if base not in there} if there else set()


def _bucket(uri: str) -> str:
    return "/".join(uri.split("/", 3)[:3])


def _gone_from_stores(named: list[tuple[str, str]], answering: set[str]) -> set[str]:
    def ask(item: tuple[str, str]) -> tuple[str, str, bool | None]:
        name, uri = item
        try:
            return name, uri, object_store.look(uri) is not None
        except StorageError as error:
            return name, uri, False if error.kind is FailureKind.NOT_FOUND else None

    with ThreadPoolExecutor(_LOOKS_AT_ONCE) as pool:
        answers = list(pool.map(ask, named[:MOST_LOOKS]))
    answering = answering | {_bucket(uri) for _, uri, is_there in answers if is_there}
    return {
        name for name, uri, is_there in answers if is_there is False and _bucket(uri) in answering
    }
