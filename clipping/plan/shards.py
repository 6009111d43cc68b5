"""Splitting sources between runs that do not talk to each other. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

__all__ = ["ALL", "in_shard", "shard_label", "shard_number", "shard_parts"]

ALL = "all"


def in_shard(shard: str) -> Callable[[str], bool]:
    """Whether a key falls to shard "i/n", by its SHA-256: the same on every machine.

    Without a shard, all do. Raises ValueError for anything but "1/n" to "n/n".
    """
    if not shard:
        return lambda _key: True
    number, count = shard_parts(shard)
    return lambda key: shard_number(key, count) == number


def shard_number(key: str, count: int) -> int:
    """The shard, from 1 to `count`, that a key falls to."""
    digest = hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big") % count + 1


def shard_label(shard: str) -> str:
    """A shard as it stands in names: "3-of-16"; "all" without one."""
    return "{}-of-{}".format(*shard_parts(shard)) if shard else ALL


def shard_parts(shard: str) -> tuple[int, int]:
    """Number (from 1) and count of a shard like "3/16". Raises ValueError."""
    number, _, count = shard.partition("/")
    if not (number.strip().isdecimal() and count.strip().isdecimal()):
        raise ValueError(f"a shard is given as NUMBER/COUNT, like 3/16, not {shard!r}")
    if not 1 <= int(number) <= int(count):
        raise ValueError(f"shard {shard!r}: the number goes from 1 to the count")
    return int(number), int(count)
