"""The whole command with `s3://` on both sides, in a new HOME; what it leaves is searched."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.sorting import FlowRunSort

from clipping.storage import object_store
from tests.support.bucket import exact_clips, put_videos
from tests.support.command_line import command
from tests.support.processes import RAY_ENDS_AFTER_SIGKILL_S, left_over, wait_until
from tests.support.stores import KEY_ID, S3, SECRET, Seen, web_server

SIGNATURE = "5ecre7s1gna7ureThatMustNotStay"
RECIPE = ["--clip-len-s", "1", "--clip-stride-s", "0.5", "--min-clip-length-s", "1",
          "--preset", "ultrafast"]  # fmt: skip


@pytest.fixture
def home(tmp_path: Path, s3: S3) -> Iterator[dict[str, str]]:
    """A new user's environment with the store's credentials, and a Ray folder of its own."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT", "CLIPPING", "RAY"))}
    (tmp_path / "home").mkdir()
    with tempfile.TemporaryDirectory(prefix="r", dir="/tmp") as ray:  # sockets have short paths
        yield {
            **kept,
            "HOME": str(tmp_path / "home"),
            "PATH": "/usr/bin:/bin",
            "RAY_TMPDIR": ray,
            "AWS_ENDPOINT_URL": s3.url,
        }


def test_from_bucket_to_bucket_and_no_secret_left(
    home: dict[str, str], s3: S3, tmp_path: Path
) -> None:
    """Exact clips, a free second run, and neither secret nor signature in anything left."""
    put_videos(tmp_path, 2)
    with web_server({"w.mp4": (tmp_path / "1.mp4").read_bytes()}, query=f"sig={SIGNATURE}") as (
        url,
        _,
    ):
        (tmp_path / "list.txt").write_text(f"{url}/w.mp4?sig={SIGNATURE}\n")
        run = command(
            *["--input", "s3://videos/in", "--input", tmp_path / "list.txt"],
            *["--output", "s3://videos/out", *RECIPE, "--verbose", "--ffmpeg-verbose"],
        )
        first = subprocess.run(
            run, check=False, env=home, capture_output=True, text=True, timeout=120
        )
        assert first.returncode == 0, first.stderr
        assert "15 clips from 3 videos in s3://videos/out" in first.stdout
        assert exact_clips(tmp_path) == 15
        s3.seen.clear()
        again = subprocess.run(
            run, check=False, env=home, capture_output=True, text=True, timeout=120
        )
    assert again.returncode == 0, again.stderr
    assert "nothing was encoded" in again.stdout
    touched = [s.path for s in s3.seen if s.method == "PUT" and ".locks" not in s.path]
    assert touched == [], "nothing has changed, and the tables stay"
    clips = [s for s in s3.seen if "/out/clips/" in s.path]
    assert clips == [], "what is there is known from one listing"

    left = [first.stdout, first.stderr, again.stdout, again.stderr]
    files = [p for p in Path(home["HOME"]).rglob("*") if p.is_file()]
    files += [p for p in Path(home["RAY_TMPDIR"]).rglob("*") if p.is_file()]
    contents = [p.read_bytes() for p in files]
    contents += [object_store.read(o.uri) or b"" for o in object_store.listing("s3://videos/out/")]
    assert any(p.suffix == ".db" for p in files), "Prefect's database is among what is searched"
    assert len(contents) > len(files) > 20
    for word in (SECRET, SIGNATURE):
        assert not [t for t in left if word in t]
        assert not [c[:80] for c in contents if word.encode() in c]
    assert not [t for t in left if KEY_ID in t]


def test_killed_in_the_middle_and_run_again(
    home: dict[str, str], s3: S3, prefect_server: str, tmp_path: Path
) -> None:
    """Every object is whole after SIGKILL; the next run is let in at once and makes the rest."""
    began = datetime.now(UTC)
    put_videos(tmp_path, 4)
    s3.fault = lambda seen: "slow" if seen.range and "/in/" in seen.path else ""
    run = command(
        *["--input", "s3://videos/in", "--output", "s3://videos/out", *RECIPE],
        *["--num-clips-per-chunk", "1"],
    )
    home["PREFECT_API_URL"] = prefect_server
    process = subprocess.Popen(run, env=home, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and published(s3.seen) < 3:
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert published(s3.seen) >= 3
    wait_until(
        lambda: not left_over(home),
        RAY_ENDS_AFTER_SIGKILL_S,
        lambda: f"processes end: {left_over(home)}",
    )
    before = {o.uri: o.tag for o in object_store.listing("s3://videos/out/clips/")}
    again = subprocess.run(run, check=False, env=home, capture_output=True, text=True, timeout=150)
    assert again.returncode == 0, again.stderr
    assert exact_clips(tmp_path) == 20
    after = {o.uri: o.tag for o in object_store.listing("s3://videos/out/clips/")}
    proved = {u for u in before if after[u] == before[u]}
    assert len(before) - len(proved) <= 2, "at most the clips whose record was under way"
    assert states_since(began) == ["COMPLETED", "CRASHED"], "the killed run is not Running for ever"


def states_since(moment: datetime) -> list[str]:
    """The states of the flow runs that the server has since then, sorted."""
    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs(sort=FlowRunSort.START_TIME_DESC)
    since = [run for run in runs if run.start_time and run.start_time >= moment]
    return sorted(run.state_type.name for run in since if run.state_type)


def published(seen: list[Seen]) -> int:
    return sum(s.method == "PUT" and "/out/clips/" in s.path for s in seen)


def test_a_wrong_prefix_is_one_line(home: dict[str, str]) -> None:
    """Exit status 2 and no traceback, before anything starts."""
    run = command("--input", "s3://videos/typo/", "--output", "s3://videos/out")
    done = subprocess.run(run, check=False, env=home, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "no such object or prefix" in done.stderr
