"""The tables in an object store: few requests, whatever number of videos there is."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from clipping.run.preparation import prepared
from clipping.storage import object_store
from clipping.storage.outputs import open_output
from clipping.storage.presence import vanished
from tests.support.made_up import made_up_config, made_up_run
from tests.support.stores import S3


@pytest.fixture(autouse=True)
def bucket(s3: S3) -> None:
    """A bucket of twelve videos."""
    assert s3.url
    for i in range(12):
        object_store.write(f"s3://videos/in/{i:02d}.mp4", b"v" * 3)


def test_nothing_to_do_is_a_matter_of_a_few_requests(s3: S3, tmp_path: Path) -> None:
    """Two tables, listings and the lease; nothing is written; what vanished is asked for."""
    made_up_run(["s3://videos/in"], "s3://videos/out", tmp_path)
    object_store.write("s3://videos/more/x.mp4", b"v" * 2)
    made_up_run(["s3://videos/more"], "s3://videos/out", tmp_path)
    s3.seen.clear()
    tally, holding = made_up_run(["s3://videos/in"], "s3://videos/out", tmp_path)
    assert (tally.written, tally.reused, holding.clips, holding.elsewhere) == (36, 36, 38, 2)
    asked = [s for s in s3.seen if ".locks" not in s.path]
    assert len(asked) <= 16, [(s.method, s.path) for s in asked]
    assert {s.method for s in asked} <= {"GET", "HEAD"}

    object_store.write("s3://videos/more/bad.mp4", b"v")
    config = made_up_config(["s3://videos/more"], "s3://videos/out")
    with prepared(config) as work:
        assert work.may_have_work
    made_up_run(["s3://videos/more"], "s3://videos/out", tmp_path)
    with prepared(config) as work:
        assert not work.may_have_work, "what failed for good is known, too"

    object_store.remove("s3://videos/in/00.mp4")
    _, holding = made_up_run(["s3://videos/more"], "s3://videos/out", tmp_path)
    assert holding.stale == {"source vanished": 3}
    _, holding = made_up_run(
        ["s3://videos/more"], "s3://videos/out", tmp_path, execution={"prune": True}
    )
    assert holding.removed == 3
    object_store.download("s3://videos/out/manifest.parquet", tmp_path / "manifest.parquet")
    rows = pq.read_table(tmp_path / "manifest.parquet").to_pylist()
    listed = object_store.listing("s3://videos/out/clips/")
    there = {each.uri.removeprefix("s3://videos/out/") for each in listed}
    assert {row["file"] for row in rows} == there
    assert len(rows) == len(there) == 35
    output = open_output("s3://videos/out")
    assert output.sizes("clips", begins="0123456789abcdef") == output.sizes("clips")


def test_a_store_that_does_not_answer_has_lost_nothing() -> None:
    """Nor has a bucket in which nothing at all is found."""
    uris = {"there": "s3://videos/in/01.mp4", "gone": "s3://videos/in/x.mp4"}
    assert vanished(uris) == {"gone"}
    assert vanished({"gone": uris["gone"]}) == set()
    assert vanished({"gone": uris["gone"]}, present=[uris["there"]]) == {"gone"}
    assert vanished({"gone": "s3://no-such-bucket/x.mp4"}, present=[uris["there"]]) == set()
