"""What a run costs in which nothing is to be done: made-up clips of many videos, no encoding.

    uv run python -m benchmarks.repeats --videos 100000
    uv run python -m benchmarks.repeats --videos 10000 --records
    uv run python -m benchmarks.repeats --videos 100000 --s3

Measured is all that such a run does besides Prefect's server: the inputs and the clips are listed,
the tables are read, each video is looked up, the tables are checked against the listing.
`--records`: also without tables, from the records. `--s3`: against moto's server in a process of
its own, whose CPU time is told apart, since it sorts all its keys for each page of a listing.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import psutil

from clipping.config.execution import Execution
from clipping.config.recipe import Recipe
from clipping.config.run_config import RunConfig
from clipping.dataset.coverage import Coverage
from clipping.dataset.layout import chunk_record_name, clip_name, source_record_name
from clipping.dataset.manifest import Origin, clip_row
from clipping.models import (
    ChunkRecord,
    Clip,
    ClipRecord,
    ClipStatus,
    SourceFile,
    SourceRecord,
    SourceStatus,
    Span,
)
from clipping.run.preparation import prepared
from clipping.run.tally import Tally
from clipping.run.tracker import Tracker
from tests.support.sources import source_of, times_of

_CLIP = b"clip"
_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION")
_FACTS = source_of(times_of([40] * 749))


def main() -> None:
    """Fill an output, write its tables, and measure runs over it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.repeats", description=__doc__)
    parser.add_argument("--videos", type=int, default=10_000)
    parser.add_argument("--clips", type=int, default=3, help="of each video (default: 3)")
    parser.add_argument("--records", action="store_true", help="also without tables")
    parser.add_argument("--s3", action="store_true", help="input and output in an S3 server")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        _serve(options.videos, options.clips)
        return
    print("| what | wall s | CPU s | server CPU s | memory, most, MB |")
    print("| --- | ---: | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        if options.s3:
            with _server(options.videos, options.clips) as server:
                config = _config("s3://videos/in", "s3://videos/out")
                _write_tables(config, options.clips)
                for _ in range(2):
                    _measure("S3, with tables", config, server)
            return
        root = Path(folder)
        for name in _names(options.videos, options.clips):
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(_CLIP)
        config = _config(str(root / "in"), str(root / "out"))
        if options.records:
            _write_records(config, options.clips)
            _measure("local, records alone", config)
        else:
            _write_tables(config, options.clips)
        for _ in range(2):
            _measure("local, with tables", config)


def _config(source: str, output: str) -> RunConfig:
    return RunConfig(Recipe(), Execution(), (source,), output)


def _key(number: int) -> str:
    return f"{number // 1000:03d}/{number:06d}.mp4"


def _clip_id(key: str, number: int) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{key}_{number}"))


def _names(videos: int, clips: int) -> Iterator[str]:
    """Everything of the input and the output that a run over finished work looks at."""
    for number in range(videos):
        key = _key(number)
        yield f"in/{key}"
        for clip in range(clips):
            yield f"out/{clip_name(_clip_id(key, clip))}"


def _records(file: SourceFile, digest: str, clips: int) -> tuple[SourceRecord, list[ClipRecord]]:
    made = [
        ClipRecord(
            clip=Clip(
                id=_clip_id(file.key, number), number=number,
                span=Span(start=Fraction(10 * number), end=Fraction(10 * number + 10)),
                start_frame=250 * number, end_frame=250 * number + 250,
                start_pts=10_000 * number, end_pts=10_000 * number + 10_000,
            ),
            status=ClipStatus.WRITTEN, frames=250, width=1280, height=720, video_codec="h264",
            encoder="libx264", bytes=len(_CLIP), sha256=uuid.uuid4().hex * 2,
            location=f"/out/{clip_name(_clip_id(file.key, number))}",
        )
        for number in range(clips)
    ]  # fmt: skip
    record = SourceRecord(
        key=file.key, uri=file.uri, fingerprint=file.fingerprint, recipe_digest=digest,
        status=SourceStatus.CLIPPED, chunks=1, clips=clips,
        source=_FACTS.model_copy(update={"file": file}),
    )  # fmt: skip
    return record, made


def _write_tables(config: RunConfig, clips: int) -> None:
    """As a run that has made all the clips would."""
    with prepared(config) as work:
        assert work.earlier.tables is not None
        digest = work.earlier.recipe_digest
        with Coverage(work.earlier.tables, digest) as coverage:
            for file in work.found.sources:
                record, made = _records(file, digest, clips)
                origin = Origin.of(file, _FACTS.video)
                coverage.add([clip_row(clip, origin, digest) for clip in made])
                coverage.end(record)
            coverage.publish()


def _write_records(config: RunConfig, clips: int) -> None:
    with prepared(config) as work:
        digest = work.earlier.recipe_digest
        for file in work.found.sources:
            record, made = _records(file, digest, clips)
            chunk = ChunkRecord(
                source_key=file.key, chunk=0, recipe_digest=digest,
                fingerprint=file.fingerprint, clips=tuple(made),
            )  # fmt: skip
            for name, value in (
                (source_record_name(file.key), record),
                (chunk_record_name(file.key, 0), chunk),
            ):
                path = Path(config.output) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(value.model_dump_json(indent=1), encoding="utf-8")


def _measure(what: str, config: RunConfig, server: psutil.Process | None = None) -> None:
    before = server.cpu_times().user if server else 0.0
    wall, cpu = time.perf_counter(), time.process_time()
    tally = Tally()
    with prepared(config) as work:
        assert not work.may_have_work or "alone" in what
        assert work.earlier.tables is not None
        with Coverage(work.earlier.tables, work.earlier.recipe_digest) as manifest:
            tracker = Tracker(config, work.earlier, tally, manifest)
            assert not tracker.sort_out(work.found)
            holding = manifest.publish([f.uri for f in work.found.sources], config.input)
    assert not tally.problems()
    assert holding.clips == tally.written > 0
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    used = f"{server.cpu_times().user - before:.1f}" if server else ""
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    name = f"{what}, {tally.sources:,} videos, {tally.written:,} clips"
    print(f"| {name} | {wall:.1f} | {cpu:.1f} | {used} | {memory:.0f} |", flush=True)


@contextmanager
def _server(videos: int, clips: int) -> Iterator[psutil.Process]:
    """Moto's S3 server with everything in it, and the environment that leads to it."""
    command = [sys.executable, "-m", "benchmarks.repeats", "--serve"]
    command += ["--videos", str(videos), "--clips", str(clips)]
    os.environ |= dict.fromkeys(_KEYS, "us-east-1")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        os.environ["AWS_ENDPOINT_URL"] = process.stdout.readline().strip()
        yield psutil.Process(process.pid)
    finally:
        process.kill()
        process.wait()


def _serve(videos: int, clips: int) -> None:
    """Serve until standard input ends. Objects are put in without requests."""
    from moto.s3.models import s3_backends

    from tests.support.stores import s3_server

    with s3_server() as store:
        backend = s3_backends["123456789012"]["aws"]
        backend.create_bucket("videos", "us-east-1")
        for name in _names(videos, clips):
            backend.put_object("videos", name, _CLIP)
        print(store.url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
