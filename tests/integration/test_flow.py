"""The flow on a real Prefect server and a real Ray: counts, records, retries, resume."""

from __future__ import annotations

import base64
import io
import json
import logging
import os
import shutil
import stat
from pathlib import Path
from typing import Any

import av
import pyarrow.parquet as pq
import pytest
from prefect.client.schemas.objects import State

from clipping.config.execution import Execution
from clipping.config.recipe import Recipe
from clipping.dataset.coverage import Coverage
from clipping.dataset.layout import manifest_name
from clipping.dataset.merge import merge_manifests
from clipping.errors import FailureKind, StorageError, UsageError
from clipping.orchestration.flow import clip_flow
from clipping.run.result import RunFailedError, RunResult
from clipping.storage import object_store
from clipping.storage.outputs import open_output
from tests.support.bucket import exact_clips, put_videos
from tests.support.flow_runs import (
    events_of,
    logs_of,
    manifest,
    newest_artifact,
    newest_flow_run,
    newest_task_runs,
)
from tests.support.media import FFMPEG, counter_video, read_numbers, steady
from tests.support.processes import wait_until
from tests.support.stores import S3

pytestmark = pytest.mark.usefixtures("prefect_ray")

RECIPE = {"clip_len_s": 1, "clip_stride_s": 0.5, "preset": "ultrafast"}
CURATOR_KEYS = [
    "span_uuid", "source_video", "duration_span", "width_source", "height_source",
    "framerate_source", "clip_location", "width", "height", "framerate", "num_frames",
    "video_codec", "num_bytes", "valid", "errors", "windows",
]  # fmt: skip


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """Two videos of 3 s and 2 s, in two folders under one name."""
    for name, frames in (("a/clip.mp4", 75), ("b/clip.mp4", 50)):
        path = tmp_path / "videos" / name
        path.parent.mkdir(parents=True)
        counter_video(path, *steady(frames, 25))
    return tmp_path / "videos"


def clip(
    videos: Path, tmp_path: Path, execution: dict[str, Any] | None = None, **recipe: Any
) -> State[Any]:
    """Run the flow as the command line does."""
    return clip_flow(
        input=[str(videos)],
        output=str(tmp_path / "out"),
        recipe=Recipe(**{**RECIPE, **recipe}),
        execution=Execution(**{"retry_delay_s": 0.1, **(execution or {})}),
        return_state=True,
    )


def test_a_folder_is_clipped_and_recorded(videos: Path, tmp_path: Path) -> None:
    """Every clip exact, every record there, and Prefect shows what was done."""
    state = clip(videos, tmp_path)
    assert state.is_completed(), state.message
    result = state.result()
    assert isinstance(result, RunResult)
    assert (result.videos, result.clipped, result.clips, result.written) == (2, 2, 8, 8)
    assert (result.made, result.reused, result.failed, result.failures) == (8, 0, 0, ())
    assert result.manifest == str(tmp_path / "out" / "manifest.parquet")
    assert result.report == str(tmp_path / "out" / "report.html")
    assert (result.clip_seconds, result.message) == (8, state.message)
    rows = manifest(tmp_path)
    assert [(r["source"], r["number"]) for r in rows] == [
        *(("a/clip.mp4", i) for i in range(5)),
        *(("b/clip.mp4", i) for i in range(3)),
    ]
    out = tmp_path / "out"
    for row in rows:
        assert row["status"] == "written"
        path = out / "clips" / f"{row['clip']}.mp4"
        assert [n for _, n in read_numbers(path)] == list(
            range(row["start_frame"], row["end_frame"])
        )
        meta = json.loads((out / "metas" / "v0" / f"{row['clip']}.json").read_text())
        assert list(meta)[: len(CURATOR_KEYS)] == CURATOR_KEYS
        assert meta["clip_location"] == str(path)
        assert meta["num_bytes"] == path.stat().st_size
        assert (meta["num_frames"], meta["valid"], meta["windows"]) == (row["frames"], True, [])
        assert meta["framerate"] == pytest.approx(25)
    names = {str(p.relative_to(out)) for p in out.rglob("*") if p.is_file()}
    for source in ("a/clip.mp4", "b/clip.mp4"):
        assert f"processed_videos/{source}.json" in names
        assert f"processed_clip_chunks/{source}_0.json" in names
    assert not [n for n in names if n.startswith(".partial")]
    assert len([n for n in names if n.startswith("previews/")]) == 8
    assert {"report.html", "report/now.js"} <= names
    summary = newest_artifact("clip-summary").data
    assert "| Clips written | 8 (8 made now, 0 there already) |" in summary
    assert "| Retries | 0 |" in summary
    assert len(json.loads(newest_artifact("clip-table").data)) == 8
    assert newest_artifact("clip-progress").data == 100
    assert newest_artifact("clip-output").data == f"`{out}`"  # no browser opens a folder
    assert picture_of(newest_artifact("clip-pictures").data) == (276, 972)
    assert newest_flow_run().name == "videos → out, 1 s every 0.5 s"
    check_task_runs()
    assert {r.task_key.rsplit("-", 1)[0] for r in newest_task_runs()} == {
        "probe_sources", "transcode_chunks",
    }  # fmt: skip


def picture_of(address: str) -> tuple[int, ...]:
    """Height and width of the picture in a data URL."""
    head, _, body = address.partition(",")
    assert head == "data:image/jpeg;base64"
    with av.open(io.BytesIO(base64.b64decode(body)), "r") as container:
        return next(container.decode(video=0)).to_ndarray(format="gray").shape


def check_task_runs() -> None:
    """Names, tags, inputs in words, and every task's log to its last line."""
    runs = {r.name: r for r in newest_task_runs()}
    assert set(runs) == {
        "open 2 videos from a/clip.mp4",
        "a/clip.mp4 #0, clips 0-4, libx264",
        "b/clip.mp4 #0, clips 0-2, libx264",
    }
    node = os.uname().nodename
    assert runs["a/clip.mp4 #0, clips 0-4, libx264"].tags == sorted(["libx264", node])
    assert runs["open 2 videos from a/clip.mp4"].tags == [node]
    inputs = runs["b/clip.mp4 #0, clips 0-2, libx264"].task_inputs
    assert inputs["chunks"][0].type == "b/clip.mp4 #0 clips 0-2 (2 s)"
    assert inputs["encoder"][0].type == "libx264"
    assert len(json.dumps({k: [i.type for i in v] for k, v in inputs.items()})) < 1000
    last = {log.task_run_id: log.message for log in logs_of(newest_flow_run()) if log.task_run_id}
    assert last == {r.id: "Finished in state Completed()" for r in runs.values()}


def stamps(tmp_path: Path) -> dict[str, int]:
    """When each clip was written."""
    return {p.name: p.stat().st_mtime_ns for p in (tmp_path / "out" / "clips").iterdir()}


def test_resume_makes_what_is_missing_and_nothing_else(videos: Path, tmp_path: Path) -> None:
    """Nothing is encoded twice; a lost or cut clip comes back alone; a new recipe redoes all."""
    assert clip(videos, tmp_path).is_completed()
    before = stamps(tmp_path)
    state = clip(videos, tmp_path)
    assert state.is_completed()
    assert stamps(tmp_path) == before
    assert newest_task_runs() == []
    assert (
        "| Clips written | 8 (0 made now, 8 there already) |"
        in newest_artifact("clip-summary").data
    )
    lost, cut = sorted(before)[:2]
    (tmp_path / "out" / "clips" / lost).unlink()
    whole = (tmp_path / "out" / "clips" / cut).read_bytes()
    (tmp_path / "out" / "clips" / cut).write_bytes(whole[: len(whole) // 2])
    assert clip(videos, tmp_path).is_completed()
    after = stamps(tmp_path)
    assert set(after) == set(before)
    assert {name for name in after if after[name] != before[name]} == {lost, cut}
    for row in manifest(tmp_path):
        shown = [n for _, n in read_numbers(tmp_path / "out" / row["file"])]
        assert shown == list(range(row["start_frame"], row["end_frame"]))
    assert clip(videos, tmp_path, quality=30).is_completed()
    anew = stamps(tmp_path)
    assert all(anew[name] != after[name] for name in after)


def test_a_changed_source_is_made_anew(videos: Path, tmp_path: Path) -> None:
    """The fingerprint decides, source by source."""
    assert clip(videos, tmp_path).is_completed()
    before = stamps(tmp_path)
    counter_video(videos / "b" / "clip.mp4", *steady(60, 25))
    assert clip(videos, tmp_path).is_completed()
    changed = {r["clip"] + ".mp4" for r in manifest(tmp_path) if r["source"] == "b/clip.mp4"}
    after = stamps(tmp_path)
    assert {n for n in before if after.get(n) == before[n]} == set(before) - changed


def test_a_chunk_without_its_record_keeps_its_clips(videos: Path, tmp_path: Path) -> None:
    """Killed after some clips: their own records vouch for them."""
    assert clip(videos, tmp_path).is_completed()
    before = stamps(tmp_path)
    shutil.rmtree(tmp_path / "out" / "processed_clip_chunks")
    shutil.rmtree(tmp_path / "out" / "processed_videos")
    victim = sorted(before)[0]
    (tmp_path / "out" / "clips" / victim).unlink()
    assert clip(videos, tmp_path).is_completed()
    after = stamps(tmp_path)
    assert {n for n in after if after[n] != before.get(n)} == {victim}


def test_bad_files_fail_alone(videos: Path, tmp_path: Path) -> None:
    """The run ends Failed and names them; with leave it ends Completed; the rest is made.

    The next run fails only for what is new: it opens no bad file again, and starts no task.
    """
    (videos / "empty.mp4").touch()
    (videos / "page.mp4").write_text("<html>404</html>")
    state = clip(videos, tmp_path)
    assert state.is_failed()
    assert "2 videos failed" in (state.message or "")
    error = state.result(raise_on_failure=False)
    assert isinstance(error, RunFailedError)
    assert [(f.name, f.kind.value) for f in error.result.failures] == [
        ("empty.mp4", "bad input"), ("page.mp4", "bad input"),
    ]  # fmt: skip
    assert (error.result.written, error.result.new_failures) == (8, 2)
    (log,) = (tmp_path / "out" / "logs").iterdir()
    told = log.read_text()
    assert "ERROR  empty.mp4: the file is empty" in told
    assert "Clips of 1 s every 0.5 s, encoded by libx264" in told
    assert told.rstrip().endswith(f"Ended as failed: {state.message}")
    assert len(manifest(tmp_path)) == 8
    record = json.loads((tmp_path / "out/processed_videos/empty.mp4.json").read_text())
    assert record["failure"] == {"kind": "bad input", "message": "empty.mp4: the file is empty"}
    assert "page.mp4: an HTML page" in newest_artifact("clip-summary").data
    check_told("empty.mp4: the file is empty", "page.mp4: an HTML page")
    again = clip_flow(
        input=str(videos), output=str(tmp_path / "out"), recipe=Recipe(**RECIPE), return_state=True
    )
    assert again.is_completed()
    assert (again.result().reused, again.result().failed_before) == (8, 2)
    assert (again.message or "").endswith("; 2 failed before, 0 new")
    assert not newest_task_runs()
    summary = newest_artifact("clip-summary").data
    assert "| Failed before | 2 of the failed clips and videos" in summary
    assert "page.mp4: an HTML page" in summary
    (videos / "new.mp4").write_text("<html>404</html>")
    state = clip(videos, tmp_path)
    assert state.is_failed()
    assert "1 video failed (0 allowed), 2 failed before;" in (state.message or "")
    assert len(newest_task_runs()) == 1
    retry = {"retry_failed": True}
    assert clip(videos, tmp_path, {**retry, "allow_failures": "3"}).is_completed()
    assert clip(videos, tmp_path, {**retry, "allow_failures": "0.5"}).is_completed()
    assert clip(videos, tmp_path, {**retry, "allow_failures": "10%"}).is_failed()


def check_told(*reasons: str) -> None:
    """Each an error in the log and an event, once; the state begins with the first of them."""
    run = newest_flow_run()
    assert run.state.message.startswith(f"{reasons[0]} (and 1 more). 2 videos failed")

    def errors() -> list[str]:
        return [log.message for log in logs_of(run) if log.level >= logging.ERROR]

    wait_until(lambda: len(errors()) >= len(reasons), 20, "the log arrives")
    assert [e[: len(r)] for e, r in zip(errors(), reasons, strict=True)] == list(reasons)
    wait_until(lambda: len(events_of(run)) > len(reasons), 20, "the events arrive")
    *failed, finished = events_of(run)
    assert [e["event"] for e in failed] == ["clipping.source.failed"] * len(reasons)
    assert [e["payload"]["reason"][: len(r)] for e, r in zip(failed, reasons, strict=True)] == list(
        reasons
    )
    assert failed[0]["resource"]["prefect.resource.id"] == "clipping.source.empty.mp4"
    assert finished["event"] == "clipping.run.finished"
    assert finished["resource"]["clipping.result"] == "failed"
    counted = {"videos": 4, "videos_failed": 2, "clips": 8, "clips_failed": 0, "failures_new": 2}
    assert finished["payload"] | counted == finished["payload"]


def test_two_videos_of_one_name_never_replace_each_other(videos: Path, tmp_path: Path) -> None:
    """Another folder clipped into the same output: its namesake fails, the first one stays."""
    other = tmp_path / "other"
    (other / "a").mkdir(parents=True)
    counter_video(other / "a" / "clip.mp4", *steady(80, 25))
    assert clip(videos, tmp_path).is_completed()
    before = stamps(tmp_path)
    state = clip(other, tmp_path)
    assert state.is_failed()
    assert "that name belongs to" in newest_artifact("clip-summary").data
    assert stamps(tmp_path) == before


def test_no_clips_is_no_success(tmp_path: Path) -> None:
    """Nothing long enough: Failed, with the reason."""
    counter_video(tmp_path / "short.mp4", *steady(10, 25))
    state = clip(tmp_path / "short.mp4", tmp_path)
    assert state.is_failed()
    assert "0 clips" in (state.message or "")
    assert "min_clip_length_s" in (state.message or "")


def stand_in(tmp_path: Path, body: str) -> str:
    """An ffmpeg that does `body` the first time it is to encode, and is ffmpeg otherwise."""
    script = tmp_path / "ffmpeg-stand-in"
    script.write_text(
        "#!/bin/sh\n"
        f'case "$*" in *setpts*) if mkdir "{tmp_path}/once" 2>/dev/null; then\n{body}\nfi;; esac\n'
        f'exec "{FFMPEG}" "$@"\n'
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return str(script)


def test_what_can_pass_is_tried_again_and_prefect_shows_it(videos: Path, tmp_path: Path) -> None:
    """A full disk that clears: one retry, counted from Prefect's record."""
    binary = stand_in(tmp_path, 'echo "No space left on device" >&2; exit 228')
    state = clip(videos, tmp_path, {"ffmpeg_binary": binary})
    assert state.is_completed(), state.message
    runs = [r for r in newest_task_runs() if "transcode" in r.task_key]
    assert sorted(r.run_count for r in runs) == [1, 2]
    assert "| Retries | 1 |" in newest_artifact("clip-summary").data
    [retried] = [r for r in runs if r.run_count == 2]
    assert retried.name.endswith(", libx264, attempt 2")
    said = [log for log in logs_of(newest_flow_run()) if log.task_run_id == retried.id]
    assert "is full" in said[0].message
    assert said[-1].message == "Finished in state Completed()"
    assert max(log.level for log in said) == logging.WARNING
    assert not [log for log in said if "Traceback" in log.message]


def test_what_cannot_pass_is_not_tried_again(videos: Path, tmp_path: Path) -> None:
    """An ffmpeg without the encoder: no retry, the reason in the record."""
    binary = stand_in(tmp_path, "echo \"Unknown encoder 'libx264'\" >&2; exit 8")
    state = clip(videos, tmp_path, {"ffmpeg_binary": binary})
    assert state.is_failed()
    assert all(r.run_count == 1 for r in newest_task_runs())
    failed = [r for r in manifest(tmp_path) if r["status"] == "failed"]
    assert failed
    assert all("Unknown encoder" in r["errors"] for r in failed)
    run = newest_flow_run()
    video = failed[0]["source"]

    def errors() -> list[str]:
        return [log.message for log in logs_of(run) if log.level >= logging.ERROR]

    # Of all clips that failed for one reason, one line with their video.
    wait_until(errors, 20, "the log arrives")
    assert len(errors()) == 1
    assert errors()[0].startswith(f"{video} clip 0: ")
    assert run.state.message.startswith(f"{video} clip 0: ")


def test_a_killed_worker_costs_a_resubmission(videos: Path, tmp_path: Path) -> None:
    """SIGKILL in mid-chunk: Prefect shows a crashed run and a new one; every clip is made."""
    binary = stand_in(tmp_path, "kill -9 $PPID; sleep 5")
    state = clip(videos, tmp_path, {"ffmpeg_binary": binary})
    assert state.is_completed(), state.message
    states = sorted(r.state.type.value for r in newest_task_runs() if "transcode" in r.task_key)
    assert states == ["COMPLETED", "COMPLETED", "CRASHED"]
    names = {r.name: r.state.type.value for r in newest_task_runs() if "transcode" in r.task_key}
    [crashed] = [name for name, state in names.items() if state == "CRASHED"]
    work = crashed.removesuffix(", worker died")
    assert work != crashed
    assert names[f"{work}, again after a crash"] == "COMPLETED"
    assert len([r for r in manifest(tmp_path) if r["status"] == "written"]) == 8
    assert "| Workers lost | 1 |" in newest_artifact("clip-summary").data


def test_a_worker_that_always_dies_fails_its_chunk(videos: Path, tmp_path: Path) -> None:
    """The resubmissions are counted; what can be made is made."""
    script = tmp_path / "deadly"
    deadly = (
        f'case "$*" in *b/clip.mp4*setpts*) kill -9 $PPID; sleep 5;; esac\nexec "{FFMPEG}" "$@"\n'
    )
    script.write_text("#!/bin/sh\n" + deadly)
    script.chmod(0o755)
    state = clip(videos, tmp_path, {"ffmpeg_binary": str(script), "crash_retries": 1})
    assert state.is_failed()
    rows = manifest(tmp_path)
    assert [r["status"] for r in rows] == ["written"] * 5 + ["failed"] * 3
    assert all("the worker that made it died 2 times" in r["errors"] for r in rows[5:])


def test_a_full_disk_at_the_end_leaves_summary_and_table(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tables cannot be written; what was made is told of all the same."""

    def publish(*_: Any, **__: Any) -> None:
        raise StorageError("cannot write manifest.parquet: no space left", FailureKind.DISK_FULL)

    monkeypatch.setattr(Coverage, "publish", publish)
    state = clip(videos, tmp_path)
    assert state.is_failed()
    assert (state.message or "").startswith("cannot write manifest.parquet: no space left")
    run = newest_flow_run()
    summary = newest_artifact("clip-summary")
    assert summary.flow_run_id == run.id
    assert summary.data.startswith("# Ended early, with 8 clips from 2 videos\n")
    assert "**cannot write manifest.parquet: no space left**" in summary.data
    table = newest_artifact("clip-table")
    assert table.flow_run_id == run.id
    assert len(json.loads(table.data)) == 8
    wait_until(lambda: events_of(run), 20, "the event arrives")
    assert [e["event"] for e in events_of(run)] == ["clipping.run.finished"]


def test_a_missing_ffmpeg_is_told_before_anything_starts(videos: Path, tmp_path: Path) -> None:
    """A wrong binary is one clear error, not one for each video."""
    state = clip(videos, tmp_path, {"ffmpeg_binary": "/no/such/ffmpeg"})
    error = state.result(raise_on_failure=False)
    assert "there is no program '/no/such/ffmpeg'" in str(error)


def test_nvenc_without_a_gpu_is_told_at_once(videos: Path, tmp_path: Path) -> None:
    """No node has a GPU: the error says what was asked, what is there, and what to do."""
    state = clip(videos, tmp_path, encoder="h264_nvenc", preset="p4")
    error = str(state.result(raise_on_failure=False))
    assert "no node can run a chunk: it asks for 1 CPU and 0.3333 GPU" in error
    assert "ray start" in error


def test_shards_share_one_output_and_merge(tmp_path: Path, s3: S3) -> None:
    """Runs of two shards split the input between them; their manifests become one."""
    assert s3.url
    put_videos(tmp_path, 6)
    output = open_output("s3://videos/out")
    with pytest.raises(UsageError, match="run the shards first"):
        merge_manifests(output)
    recipe = Recipe(clip_len_s=1, clip_stride_s=0.5, min_clip_length_s=1, preset="ultrafast")
    parts: list[set[str]] = []
    for shard in ("1/2", "2/2"):
        clip_flow(
            input=["s3://videos/in"], output=output.location("").rstrip("/"), recipe=recipe,
            execution=Execution(shard=shard),
        )  # fmt: skip
        object_store.download(f"s3://videos/out/{manifest_name(shard)}", tmp_path / "part.parquet")
        parts.append(set(pq.read_table(tmp_path / "part.parquet")["source"].to_pylist()))
        if shard == "1/2":
            with pytest.raises(UsageError, match="shards 2/2 have left no manifest"):
                merge_manifests(output)
    assert all(parts)
    assert not parts[0] & parts[1]
    assert "30 clips of 2 shards in s3://videos/out/manifest.parquet" in merge_manifests(output)
    assert exact_clips(tmp_path) == 30
    object_store.write("s3://videos/out/manifests/1-of-3.parquet", b"of another split")
    with pytest.raises(UsageError, match="different counts"):
        merge_manifests(output)


def test_no_more_than_a_window_is_in_flight(tmp_path: Path) -> None:
    """Forty chunks: what is submitted and not done never exceeds the slots and a few."""
    from clipping.orchestration import run as run_module
    from clipping.orchestration.task_window import TaskWindow

    counter_video(tmp_path / "long.mp4", *steady(1000, 25), size=(64, 48))
    most = 0

    class Counting(TaskWindow):
        def submit(self, *args: Any, **kwargs: Any) -> None:
            nonlocal most
            super().submit(*args, **kwargs)
            most = max(most, len(self))

    run_module.TaskWindow = Counting  # type: ignore[misc]
    try:
        state = clip(tmp_path / "long.mp4", tmp_path, {"num_clips_per_chunk": 1}, clip_stride_s=1)
    finally:
        run_module.TaskWindow = TaskWindow  # type: ignore[misc]
    assert state.is_completed()
    assert len(list((tmp_path / "out" / "processed_clip_chunks").iterdir())) == 40
    # Short chunks share a task run, in bundles that get smaller towards the end.
    assert 5 <= len(newest_task_runs()) <= 21
    assert 1 <= most <= 4


def test_videos_that_share_a_task_fail_and_crash_alone(tmp_path: Path) -> None:
    """Of 24 short videos one kills its worker each time and one fails: 22 are clipped."""
    folder = tmp_path / "many"
    folder.mkdir()
    for i in range(24):
        counter_video(folder / f"{i:02d}.mp4", *steady(30, 25), size=(64, 48))
    script = tmp_path / "moody"
    moods = (
        'case "$*" in *04.mp4*setpts*) kill -9 $PPID; sleep 5;;\n'
        '*07.mp4*setpts*) echo "Conversion failed!" >&2; exit 1;; esac\n'
    )
    script.write_text(f'#!/bin/sh\n{moods}exec "{FFMPEG}" "$@"\n')
    script.chmod(0o755)
    execution = {"ffmpeg_binary": str(script), "crash_retries": 1}
    state = clip(folder, tmp_path, execution, clip_len_s=1, clip_stride_s=1)
    assert state.is_failed()
    rows = {r["source"]: r for r in manifest(tmp_path)}
    assert {k for k, r in rows.items() if r["status"] == "failed"} == {"04.mp4", "07.mp4"}
    assert "the worker that made it died 2 times" in rows["04.mp4"]["errors"]
    assert "died" not in rows["07.mp4"]["errors"]
    assert len(rows) == 24
    transcoding = [r for r in newest_task_runs() if "transcode" in r.task_key]
    assert len(transcoding) < 24
