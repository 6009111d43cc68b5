"""Fixtures: an S3 server, a Prefect server, Ray, PostgreSQL, and a site of deployments."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.documented_site import FRAMES, RATE, Site, documented_site, fresh_clone
from tests.support.media import counter_video, steady
from tests.support.postgres import Postgres, postgres
from tests.support.stores import KEY_ID, S3, SECRET, s3_server

os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")

FOLDER = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what lies in this folder `integration`."""
    for item in items:
        if FOLDER in item.path.parents:
            item.add_marker(pytest.mark.integration)


@pytest.fixture(scope="session")
def s3_process() -> Iterator[S3]:
    """An S3 server for the session, and the environment that leads to it."""
    with s3_server() as store:
        values = {
            "AWS_ENDPOINT_URL": store.url,
            "AWS_ACCESS_KEY_ID": KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        os.environ.update(values)
        yield store
        for name in values:
            os.environ.pop(name, None)


def start_ray() -> None:
    """A Ray of one node with two CPUs."""
    import ray

    from clipping.cluster._ray_private import starting_ray

    with starting_ray():
        ray.init(
            "local",
            num_cpus=2,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",  # pyright: ignore[reportArgumentType]
            namespace="prefect",
            object_store_memory=100 * 1024 * 1024,
        )


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[str]:
    """A real Prefect server on a database of its own, where flows of this process are recorded.

    Its address, for processes whose test is not about the server that they start themselves.
    """
    from prefect.settings import (
        PREFECT_API_URL,
        PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW,
        temporary_settings,
    )
    from prefect.testing.utilities import prefect_test_harness

    quiet: Any = {PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW: "ignore"}
    with prefect_test_harness(server_startup_timeout=120), temporary_settings(quiet):
        yield str(PREFECT_API_URL.value())


@pytest.fixture(scope="session")
def used_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A HOME in which Prefect was used before: it has its database, which takes seconds to make."""
    home = tmp_path_factory.mktemp("used") / "home"
    home.mkdir()
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT")}
    line = [Path(sys.executable).with_name("prefect"), "server", "database", "upgrade", "--yes"]
    environment = {**kept, "HOME": str(home)}
    subprocess.run(line, env=environment, check=True, capture_output=True, timeout=100)
    return home


@pytest.fixture(scope="module")
def prefect_ray(prefect_server: str, s3_process: S3) -> Iterator[None]:
    """The Prefect server, and a real Ray with two CPUs.

    Ray's workers know both servers from the environment that they start with.
    """
    assert prefect_server
    assert s3_process.url
    import ray

    start_ray()
    yield
    ray.shutdown()


@pytest.fixture
def s3(s3_process: S3) -> Iterator[S3]:
    """The S3 server with nothing in its one bucket, `videos`, and no faults."""
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    client = s3fs.S3FileSystem(use_listings_cache=False, skip_instance_cache=True)
    if client.exists("videos"):
        client.rm("videos", recursive=True)
    client.mkdir("videos")
    s3_process.seen.clear()
    yield s3_process
    s3_process.fault = lambda _seen: ""


@pytest.fixture(scope="module")
def database() -> Iterator[Postgres]:
    """A PostgreSQL server with an empty database."""
    with postgres() as made:
        yield made


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh clone of this work tree; the sites in it follow each other."""
    return fresh_clone(tmp_path_factory.mktemp("clone"))


@pytest.fixture(scope="module")
def site(
    clone: Path, database: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """The documented commands, with folders for the videos and the clips."""
    folder = tmp_path_factory.mktemp("site")
    for name, frames in FRAMES.items():
        (folder / "videos" / name).parent.mkdir(parents=True, exist_ok=True)
        counter_video(folder / "videos" / name, *steady(frames, RATE))
    folders = {
        "CLIPPING_INPUT": str(folder / "videos"),
        "CLIPPING_OUTPUT": str(folder / "clips"),
    }
    with documented_site(folder, clone, database, folders) as made:
        yield made
