"""Videos for the S3 server's bucket, and the clips that came of them."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from clipping.storage import object_store
from tests.support.media import counter_video, read_numbers, steady


def put_videos(tmp_path: Path, count: int) -> None:
    """Videos of 3 s and a frame more each, under `in/`."""
    for i in range(count):
        path = tmp_path / f"{i}.mp4"
        counter_video(path, *steady(75 + i, 25))
        object_store.write(f"s3://videos/in/{i}.mp4", path.read_bytes())


def exact_clips(tmp_path: Path) -> int:
    """How many clips there are; each holds its 25 consecutive frames from its start."""
    object_store.download("s3://videos/out/manifest.parquet", tmp_path / "manifest.parquet")
    rows = pq.read_table(tmp_path / "manifest.parquet").to_pylist()
    for row in rows:
        assert row["status"] == "written"
        object_store.download(f"s3://videos/out/{row['file']}", tmp_path / "clip.mp4")
        shown = [n for _, n in read_numbers(tmp_path / "clip.mp4")]
        assert shown == list(range(row["start_frame"], row["end_frame"]))
        assert len(shown) in (25, 24)
    return len(rows)
