"""Shards split the sources between runs."""

from __future__ import annotations

import pytest

from clipping.plan.shards import in_shard


def test_shards_split_every_key_once_and_stay_put() -> None:
    """Each key falls to one shard of a count, by a hash that is the same everywhere."""
    keys = [f"videos/{i}.mp4" for i in range(500)]
    falls = [in_shard(f"{i}/7") for i in range(1, 8)]
    owners = [[f(key) for f in falls].index(True) for key in keys]
    assert all(sum(f(key) for f in falls) == 1 for key in keys)
    assert min(owners.count(i) for i in range(7)) > 40
    assert owners[:6] == [2, 6, 0, 4, 1, 2]
    assert all(in_shard("")(key) for key in keys)


@pytest.mark.parametrize("shard", ["3", "0/4", "5/4", "a/b", "1/0", "-1/4", "1/4/2"])
def test_a_shard_that_makes_no_sense_is_refused(shard: str) -> None:
    """Told with what a shard looks like."""
    with pytest.raises(ValueError, match="shard"):
        in_shard(shard)
