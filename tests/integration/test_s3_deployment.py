"""The documented commands once more, with `s3://` on both sides: only `deploy/.env` differs."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pyarrow.parquet as pq

from clipping.storage import object_store
from tests.support.documented_site import FRAMES, RATE, documented_site
from tests.support.media import counter_video, read_numbers, steady
from tests.support.postgres import Postgres, binary
from tests.support.stores import KEY_ID, S3, SECRET


def shown(prefix: str, scratch: Path) -> dict[tuple[str, int], list[int]]:
    """The frames of every clip that the manifest there names, by source and number."""
    object_store.download(f"{prefix}/manifest.parquet", scratch / "manifest.parquet")
    frames: dict[tuple[str, int], list[int]] = {}
    for row in pq.read_table(scratch / "manifest.parquet").to_pylist():
        object_store.download(f"{prefix}/{row['file']}", scratch / "clip.mp4")
        numbers = [n for _, n in read_numbers(scratch / "clip.mp4")]
        frames[row["source"], row["number"]] = numbers
    return frames


def test_the_documented_commands_clip_a_bucket(
    s3: S3, clone: Path, database: Postgres, tmp_path: Path
) -> None:
    """Nightly and by hand, clips are exact; the database holds no secret afterwards."""
    for name, frames in FRAMES.items():
        counter_video(tmp_path / "video.mp4", *steady(frames, RATE))
        object_store.write(f"s3://videos/in/{name}", (tmp_path / "video.mp4").read_bytes())
    values = {
        "CLIPPING_INPUT": "s3://videos/in",
        "CLIPPING_OUTPUT": "s3://videos/clips",
        "CLIPPING_EXTRAS": "s3",
    }
    credentials = (
        f"AWS_ENDPOINT_URL={s3.url}\nAWS_ACCESS_KEY_ID={KEY_ID}\n"
        f"AWS_SECRET_ACCESS_KEY={SECRET}\nAWS_DEFAULT_REGION=us-east-1\n"
    )
    (tmp_path / "site").mkdir()
    with documented_site(tmp_path / "site", clone, database, values, credentials) as site:
        assert sum("finished successfully" in text for text in site.printed) == 2
        whole = {(name, 0): list(range(frames)) for name, frames in FRAMES.items()}
        assert shown("s3://videos/clips", tmp_path) == whole
        by_hand = shown("s3://videos/clips-4s", tmp_path)
        assert by_hand["counter.mp4", 1] == list(range(2 * RATE, 6 * RATE))
        again = site.run("clip-nightly")
        assert again["state"]["message"].startswith("2 clips from 2 videos in s3://videos/clips")
        assert site.task_runs(again["id"]) == []
        dump = subprocess.run(
            [binary("pg_dump"), "-h", "127.0.0.1", "-p", str(database.port), "-U", "prefect"],
            env={**os.environ, "PGPASSWORD": database.password},
            capture_output=True, text=True, check=True, timeout=60,
        ).stdout  # fmt: skip
        assert "s3://videos/in" in dump
        assert SECRET not in dump
        assert SECRET not in site.log("worker") + site.log("server")
