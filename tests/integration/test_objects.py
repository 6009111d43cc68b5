"""Object stores and web servers: read by ranges, published whole, nothing lost to faults."""

from __future__ import annotations

import itertools
import json
import os
import re
import threading
import time
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import pytest
import s3fs

from clipping.config.execution import Execution
from clipping.config.recipe import Recipe
from clipping.config.run_config import RunConfig
from clipping.dataset.layout import own_folders
from clipping.dataset.resume import EarlierWork
from clipping.errors import ClippingError, FailureKind, StorageError, UsageError
from clipping.models import ChunkRecord, ClipStatus, SourceFile
from clipping.run.chunk import make_chunk, plan_chunks, probe_file
from clipping.storage import object_store
from clipping.storage.discover import find_sources
from clipping.storage.lease import held_lease
from clipping.storage.objects import ObjectOutput
from clipping.storage.outputs import open_output
from tests.support.media import counter_video, ffmpeg, large_video, read_numbers, steady
from tests.support.stores import S3, Seen, web_server

ENDINGS = [".mp4", ".mkv", ".ts"]
RECIPE = Recipe(clip_len_s=1, clip_stride_s=0.5, min_clip_length_s=1, preset="ultrafast")
OUT = "s3://videos/out"


@pytest.fixture(scope="module")
def counter(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A numbered 3 s video."""
    path = tmp_path_factory.mktemp("media") / "counter.mp4"
    counter_video(path, *steady(75, 25))
    return path.read_bytes()


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A 3 s video of more than one block."""
    path = tmp_path_factory.mktemp("media") / "large.mp4"
    large_video(path, 3)
    return path.read_bytes()


@pytest.fixture(scope="module")
def very_large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A 40 s video of more than 48 MB."""
    path = tmp_path_factory.mktemp("media") / "very-large.mp4"
    large_video(path, 40)
    return path


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request is tried again as often as ever, after a twentieth of the pause."""
    pause = time.sleep
    monkeypatch.setattr("tenacity.nap.time", SimpleNamespace(sleep=lambda s: pause(s / 20)))


def put(key: str, content: bytes) -> None:
    object_store.write(f"s3://videos/{key}", content)


def keys(prefix: str) -> list[str]:
    return [
        o.uri.removeprefix("s3://videos/") for o in object_store.listing(f"s3://videos/{prefix}")
    ]


def clip_all(file: SourceFile, out: str = OUT, limit_clips: int = 0) -> list[ChunkRecord]:
    recipe = RECIPE.model_copy(update={"limit_clips": limit_clips})
    probed = probe_file(file, Execution())
    assert probed.failure is None, probed.failure
    output = open_output(out)
    return [
        make_chunk(c, RunConfig(recipe, Execution()), output, cpus=2)
        for c in plan_chunks(probed, recipe, 2)
    ]


def numbers(uri: str, tmp_path: Path) -> list[int]:
    object_store.download(uri, tmp_path / "clip.mp4")
    return [n for _, n in read_numbers(tmp_path / "clip.mp4")]


def assert_all_exact(records: list[ChunkRecord], tmp_path: Path) -> None:
    clips = [c for r in records for c in r.clips]
    assert [c.status for c in clips] == [ClipStatus.WRITTEN] * 5
    for record in clips:
        assert record.location is not None
        first = record.clip.number * 25 * Fraction(1, 2)
        shown = numbers(record.location, tmp_path)
        assert shown == [n for n in range(75) if first <= n < first + 25]


# Finding


def test_a_prefix_is_listed_once_and_searched_like_a_folder(s3: S3, counter: bytes) -> None:
    """Videos below it in order with the store's own tag; others passed over; output left out."""
    for key in ("in/b.mp4", "in/deep/a.MP4", "in/notes.txt", "in/out/clips/x.mp4", "index.mp4"):
        put(key, counter)
    put("in/deep/._a.MP4", counter)
    s3.seen.clear()
    found = find_sources(["s3://videos/in/"], ENDINGS, own_folders("s3://videos/in/out"))
    assert [s.key for s in found.sources] == ["b.mp4", "deep/a.MP4"]
    assert found.passed_over == ["deep/._a.MP4", "notes.txt"]
    assert all(s.size == len(counter) and "-" in s.fingerprint for s in found.sources)
    assert sum("list-type" in s.path and "max-keys" not in s.path for s in s3.seen) == 1
    assert not [s for s in s3.seen if s.path.endswith(".mp4")], "no request a video"
    put("clips/y.mp4", counter)
    whole = find_sources(["s3://videos"], ENDINGS, own_folders("s3://videos"))
    assert [s.key for s in whole.sources if "out/" not in s.key] == [
        *["in/b.mp4", "in/deep/a.MP4", "index.mp4"]
    ]


def test_objects_patterns_and_lists(s3: S3, counter: bytes, tmp_path: Path) -> None:
    """A single object, a pattern, and lists here and there, with addresses of any kind."""
    for key in ("a/1.mp4", "a/2.mp4", "b/3.mp4"):
        put(key, counter)
    put("a/list.txt", b"1.mp4\ns3://videos/b/3.mp4\nmissing.mp4\n")
    (tmp_path / "own.csv").write_text("path\ns3://videos/a/2.mp4\nlocal.mp4\n")
    (tmp_path / "local.mp4").write_bytes(counter)

    def found(*inputs: str) -> list[str]:
        return sorted(s.key for s in find_sources(list(inputs), ENDINGS).sources)

    assert found("s3://videos/a/1.mp4") == ["1.mp4"]
    assert found("s3://videos/*/?.mp4") == ["a/1.mp4", "a/2.mp4", "b/3.mp4"]
    assert found(str(tmp_path / "own.csv")) == ["local.mp4", "videos/a/2.mp4"]
    listed = find_sources(["s3://videos/a/list.txt"], ENDINGS)
    assert [s.key for s in listed.sources] == ["1.mp4", "videos/b/3.mp4"]
    [(key, error)] = listed.failed
    assert (key, error.kind) == ("missing.mp4", FailureKind.NOT_FOUND)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("s3://videos/nothing/here", "no such object or prefix"),
        ("s3://no-such-bucket/x", "no such object or prefix"),
        ("http://127.0.0.1:9/x.mp4", "cannot find http://127.0.0.1:9/x.mp4"),
    ],
)
@pytest.mark.usefixtures("s3")
def test_an_address_with_nothing_there_is_told_before_anything_starts(
    given: str, message: str
) -> None:
    """In one line."""
    with pytest.raises(UsageError, match=re.escape(message)):
        find_sources([given], ENDINGS)


def test_a_prefix_with_wildcards_in_its_name(s3: S3, counter: bytes, tmp_path: Path) -> None:
    """In and out: it is listed as it stands, resumes, and its lease is seen."""
    assert s3.url
    put("in[1]*/x.mp4", counter)
    put("in1/other.mp4", counter)
    [file] = find_sources(["s3://videos/in[1]*"], ENDINGS).sources
    assert file.key == "x.mp4"
    out = "s3://videos/out[a]?"
    assert_all_exact(clip_all(file, out), tmp_path)
    assert len(open_output(out).sizes("clips")) == 5
    with (
        open_output(out).claimed(),
        pytest.raises(UsageError, match="another run"),
        open_output(out, "1/2").claimed(),
    ):
        pass


def test_a_lease_survives_faults(s3: S3) -> None:
    """A store that answers 503, or loses its answer, does not keep a run out."""
    for what in ("503", "drop"):
        turns = itertools.cycle([what, ""])
        s3.fault = lambda seen, turns=turns: next(turns) if seen.method == "PUT" else ""  # type: ignore[misc]
        with open_output(OUT).claimed():
            assert keys("out/.locks") == ["out/.locks/all.json"]
    s3.fault = lambda _seen: ""
    assert keys("out/.locks") == []


def test_two_sources_never_share_a_key(s3: S3, counter: bytes, tmp_path: Path) -> None:
    """Same path in two places, or the same text encoded differently: still two sources."""
    assert s3.url
    put("a/x.mp4", counter)
    put("b/x.mp4", counter)
    files = {"a/b.mp4": counter, "a%2Fb.mp4": counter}
    with web_server(files, query=None) as (url, _), web_server(files, query=None) as (other, _):
        lines = [f"{site}/{name}" for site in (url, other) for name in files]
        lines += [f"{url}/a/b.mp4?id=1", f"{url}/a/b.mp4?sig=1", f"{url}/a/b.mp4"]
        (tmp_path / "list.txt").write_text("\n".join(lines))
        inputs = ["s3://videos/a/", "s3://videos/b/x.mp4", str(tmp_path / "list.txt")]
        found = find_sources(inputs, ENDINGS)
    assert found.failed == []
    keyed = [s.key for s in found.sources]
    assert len(keyed) == len(set(keyed)) == 2 + 4 + 1
    assert {"s3://videos/a/x.mp4", "s3://videos/b/x.mp4"} <= set(keyed)


def test_names_that_a_bucket_may_hold(s3: S3, counter: bytes, tmp_path: Path) -> None:
    """Every key is clipped, none leaves the output, and no two share a record."""
    odd = [
        "../up.mp4", "a//b.mp4", "a/./b.mp4", "a/b.mp4", "%2e%2e/x.mp4", "-dash.mp4",
        "blank and 'quote' \"two\" $(x);|&.mp4", "percent%d%%.mp4", "star*[1]?.mp4", "ü/日本.mp4",
        "x:y#z?.mp4", "deep/" + "n" * 240 + ".mp4", "tab\there.mp4",
    ]  # fmt: skip
    for key in odd:
        put(f"odd/{key}", counter)
    (tmp_path / "list.jsonl").write_text(json.dumps("s3://videos/line\nbreak.mp4"))
    [(_, error)] = find_sources([str(tmp_path / "list.jsonl")], ENDINGS).failed
    assert "line break" in str(error)
    found = find_sources(["s3://videos/odd/"], ENDINGS)
    assert sorted(s.key for s in found.sources) == sorted(odd)
    for out in (OUT, str(tmp_path / "out")):
        for file in found.sources:
            [record] = clip_all(file, out, limit_clips=2)
            assert [c.status for c in record.clips] == [ClipStatus.WRITTEN] * 2
    names = keys("out/processed_clip_chunks")
    assert len(names) == len(odd)
    assert not [k for k in keys("") if not k.startswith(("out/", "odd/"))]
    assert {p.name for p in tmp_path.iterdir()} <= {"out", "list.jsonl", "clip.mp4"}


# Reading


@pytest.mark.parametrize("container", ["mp4", "mkv", "ts"])
def test_clips_of_an_object_are_exact(s3: S3, tmp_path: Path, container: str) -> None:
    """Read by ranges, published whole, and done the second time."""
    path = tmp_path / f"in.{container}"
    counter_video(path, *steady(75, 25))
    put(f"in/in.{container}", path.read_bytes())
    [file] = find_sources(["s3://videos/in/"], ENDINGS).sources
    assert_all_exact(clip_all(file), tmp_path)
    s3.seen.clear()
    again = clip_all(file)
    assert [r.reused for r in again] == [2, 2, 1]
    assert not [s for s in s3.seen if s.method == "PUT" and "/clips/" in s.path]


@pytest.mark.parametrize("flags", ["+faststart", "0", "+frag_keyframe"])
def test_a_large_object_is_not_fetched_whole_for_a_few_clips(
    s3: S3, very_large: Path, tmp_path: Path, flags: str
) -> None:
    """The frame index of an MP4 costs its headers; a clip costs its own stretch."""
    path = tmp_path / "large.mp4"
    ffmpeg("-i", very_large, "-c", "copy", "-movflags", flags, path)
    content = path.read_bytes()
    assert len(content) > 48_000_000
    put("in/large.mp4", content)
    [file] = find_sources(["s3://videos/in/"], ENDINGS).sources
    s3.seen.clear()
    recipe = RECIPE.model_copy(update={"limit_clips": 2})
    probed = probe_file(file, Execution())
    [chunk] = plan_chunks(probed, recipe, 32)
    record = make_chunk(chunk, RunConfig(recipe, Execution()), open_output(OUT), cpus=1)
    assert [c.status for c in record.clips] == [ClipStatus.WRITTEN] * 2
    assert fetched(s3.seen) < len(content) / 2
    [local] = find_sources([str(path)], ENDINGS).sources
    alike = probe_file(local, Execution())
    assert alike.source is not None
    assert probed.source is not None
    assert (probed.frame_pts, probed.keyframes) == (alike.frame_pts, alike.keyframes)
    assert probed.source.video == alike.source.video


def fetched(seen: list[Seen]) -> int:
    """Bytes that range requests asked for."""
    total = 0
    for each in seen:
        if each.method == "GET" and each.range and "in/large" in each.path:
            first, _, last = each.range.removeprefix("bytes=").partition("-")
            total += int(last) - int(first) + 1
    return total


@pytest.mark.parametrize("ranges", [True, False])
def test_a_web_server_with_and_without_ranges(
    large: bytes, tmp_path: Path, *, ranges: bool
) -> None:
    """Ranges are used where they are given; else the file is downloaded to scratch, once."""
    with web_server({"v/in.mp4": large}, ranges=ranges) as (url, seen):
        [file] = find_sources([f"{url}/v/in.mp4"], ENDINGS).sources
        assert file.key.endswith("/v/in.mp4")
        seen.clear()
        probed = probe_file(file, Execution(scratch_dir=str(tmp_path)))
        [chunk] = plan_chunks(probed, RECIPE, 32)
        output = open_output(str(tmp_path / "out"))
        seen.clear()
        execution = Execution(scratch_dir=str(tmp_path / "scratch"))
        record = make_chunk(chunk, RunConfig(RECIPE, execution), output, cpus=2)
        whole = [s for s in seen if s.method == "GET" and not s.range]
        assert len(whole) == (0 if ranges else 1)
    assert [c.status for c in record.clips] == [ClipStatus.WRITTEN] * 5
    assert list((tmp_path / "scratch").iterdir()) == []


def test_the_room_for_a_download_is_checked_first(large: bytes, tmp_path: Path) -> None:
    """A file that cannot fit is not begun."""
    with web_server({"in.mp4": large}, ranges=False) as (url, seen):
        [file] = find_sources([f"{url}/in.mp4"], ENDINGS).sources
        vast = file.model_copy(update={"size": 1 << 60})
        seen.clear()
        with pytest.raises(StorageError, match="GB are needed") as error:
            probe_file(vast, Execution(scratch_dir=str(tmp_path)))
        assert error.value.kind is FailureKind.DISK_FULL
        assert not [s for s in seen if not s.range]


def test_a_signed_address_works_and_its_signature_stays_out(counter: bytes, tmp_path: Path) -> None:
    """From a list file; neither key, record, message nor JSON holds what signs it."""
    query = "id=7&X-Amz-Signature=5ecre7s1gna7ure&X-Amz-Expires=60"
    with web_server({"in.mp4": counter}, query=query) as (url, _):
        (tmp_path / "list.txt").write_text(f"{url}/in.mp4?{query}\n{url}/gone.mp4?{query}\n")
        found = find_sources([str(tmp_path / "list.txt")], ENDINGS)
        [file] = found.sources
        clip_all(file, str(tmp_path / "out"))
    assert file.uri == f"{url}/in.mp4?id=7"
    [(name, error)] = found.failed
    texts = [repr(file), file.model_dump_json(), file.key, name, str(error)]
    texts += [p.read_text() for p in (tmp_path / "out").rglob("*.json")]
    assert len(texts) > 10
    assert not [t for t in texts if "5ecre7" in t]


# Faults


@pytest.mark.parametrize("what", ["503", "drop", "slow"])
def test_faults_are_tried_again_and_nothing_is_lost(
    s3: S3, counter: bytes, tmp_path: Path, what: str
) -> None:
    """Every third request fails; all clips are exact and every object is whole."""
    put("in/in.mp4", counter)
    [file] = find_sources(["s3://videos/in/"], ENDINGS).sources
    turns, hit = itertools.cycle([what, "", ""]), [0]
    lock = threading.Lock()

    def fault(_seen: Seen) -> str:
        with lock:
            chosen = next(turns)
        hit[0] += bool(chosen)
        return chosen

    s3.fault = fault
    records = clip_all(file)
    s3.fault = lambda _seen: ""
    assert hit[0] >= 5
    assert_all_exact(records, tmp_path)
    for each in object_store.listing(f"{OUT}/metas/"):
        values = json.loads(object_store.read(each.uri) or b"")
        there = object_store.look(values["clip_location"])
        assert there is not None
        assert there.size == values["num_bytes"]


def test_a_store_that_stays_away_is_named_and_resumed(s3: S3, counter: bytes) -> None:
    """The failure is the store's, not the video's; what was published counts afterwards."""
    put("in/in.mp4", counter)
    [file] = find_sources(["s3://videos/in/"], ENDINGS).sources
    probed = probe_file(file, Execution())
    [chunk] = plan_chunks(probed, RECIPE, 32)
    output = ObjectOutput(OUT)
    puts = itertools.count()
    s3.fault = lambda seen: (
        "503" if seen.method == "PUT" and "/clips/" in seen.path and next(puts) >= 2 else ""
    )
    with pytest.raises(StorageError, match="cannot write s3://videos/out/clips/") as error:
        make_chunk(chunk, RunConfig(RECIPE, Execution()), output)
    assert error.value.kind.is_transient
    s3.fault = lambda _seen: ""
    sizes = output.sizes("clips")
    done = EarlierWork.among(RunConfig(RECIPE, Execution()), output, sizes).done_clips(chunk)
    assert len(done) == len(sizes) == 2
    record = make_chunk(chunk, RunConfig(RECIPE, Execution()), output)
    assert record.reused == 2
    assert [c.status for c in record.clips] == [ClipStatus.WRITTEN] * 5


def test_a_source_that_breaks_off_is_not_called_damaged(s3: S3, counter: bytes) -> None:
    """ffmpeg sees an early end of file; what is reported is the store."""
    put("in/in.mp4", counter)
    [file] = find_sources(["s3://videos/in/"], ENDINGS).sources
    probed = probe_file(file, Execution())
    [chunk] = plan_chunks(probed, RECIPE, 32)
    s3.fault = lambda seen: "drop" if seen.range and "/in/in.mp4" in seen.path else ""
    with pytest.raises(StorageError, match=r"cannot read s3://videos/in/in\.mp4") as error:
        make_chunk(chunk, RunConfig(RECIPE, Execution()), open_output(OUT))
    assert error.value.kind is FailureKind.IO
    assert keys("out/clips") == []


def test_an_object_that_changed_is_not_cut(s3: S3, counter: bytes) -> None:
    """Frame times of one content must not cut another."""
    put("in/in.mp4", counter)
    [file] = find_sources(["s3://videos/in/"], ENDINGS).sources
    [chunk] = plan_chunks(probe_file(file, Execution()), RECIPE, 32)
    put("in/in.mp4", counter + b"more")
    with pytest.raises(ClippingError, match="changed while it was being clipped"):
        make_chunk(chunk, RunConfig(RECIPE, Execution()), open_output(OUT))


def test_denied_is_said_with_what_to_do(
    s3: S3, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Missing credentials are an error of one line that is not tried again."""
    s3fs.S3FileSystem.clear_instance_cache()
    object_store._filesystem.cache_clear()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    s3.seen.clear()
    with pytest.raises(StorageError, match=r"access denied .*credentials") as error:
        object_store.look("s3://videos/in.mp4")
    assert not error.value.kind.is_transient
    object_store._filesystem.cache_clear()
    s3fs.S3FileSystem.clear_instance_cache()


# Two runs on one output


@pytest.mark.usefixtures("s3")
def test_one_run_holds_a_prefix() -> None:
    """A second run is refused by name; shards of one count go side by side."""
    with open_output(OUT).claimed():
        for shard in ("", "1/2"):
            with (
                pytest.raises(UsageError, match=f"process {os.getpid()}"),
                open_output(OUT, shard).claimed(),
            ):
                pass
    with open_output(OUT, "1/2").claimed(), open_output(OUT, "2/2").claimed():
        for shard in ("", "1/2", "1/3"):
            with (
                pytest.raises(UsageError, match="another run"),
                open_output(OUT, shard).claimed(),
            ):
                pass
    with open_output(OUT).claimed():
        pass
    assert keys("out/.locks") == []


@pytest.mark.usefixtures("s3")
def test_a_lease_is_renewed_while_it_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or a long run would lose it; and it is gone when the run has ended."""
    monkeypatch.setattr("clipping.storage.lease._RENEW_SECONDS", 0.05)
    with open_output(OUT).claimed():
        first = object_store.read(f"{OUT}/.locks/all.json")
        time.sleep(0.5)
        second = object_store.read(f"{OUT}/.locks/all.json")
        assert json.loads(second or b"")["renewed"] > json.loads(first or b"")["renewed"]
        assert json.loads(second or b"")["id"] == json.loads(first or b"")["id"]
    assert keys("out/.locks") == []


@pytest.mark.usefixtures("s3")
def test_an_output_in_no_bucket_is_told() -> None:
    """By the name of what is missing."""
    with (
        pytest.raises(StorageError, match=r"cannot write s3://nowhere/.*no such bucket"),
        open_output("s3://nowhere/out").claimed(),
    ):
        pass


@pytest.mark.usefixtures("s3")
@pytest.mark.parametrize(
    ("values", "is_free"),
    [
        ({"host": "elsewhere", "process": 1, "renewed": 0}, True),
        ({"host": "elsewhere", "process": 1, "renewed": 1e12}, False),
        ({"host": os.uname().nodename, "process": 2**22 + 1, "renewed": 1e12}, True),
        ({"garbage": 1}, True),
    ],
)
def test_the_lease_of_a_dead_run_is_taken_over(values: dict[str, object], *, is_free: bool) -> None:
    """Dead means: not renewed for minutes, or a process of this machine that is gone."""
    object_store.write(f"{OUT}/.locks/all.json", json.dumps({"id": "x", **values}).encode())
    with held_lease(f"{OUT}/.locks", "all", lambda _a, _b: True) as holder:
        assert (holder is None) == is_free
