"""Shots, lists, other rates and copies through the whole flow: real Ray, a real server, S3."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clipping.config.execution import Execution
from clipping.config.recipe import Recipe
from clipping.orchestration.flow import clip_flow
from clipping.run.result import RunResult
from clipping.storage import object_store
from tests.media.test_shots import SHOTS, video_of_shots
from tests.media.test_shots import numbers as numbers_in
from tests.media.test_shots import steady as steady_shots
from tests.support.flow_runs import manifest, newest_flow_run, newest_task_runs
from tests.support.media import counter_video, read_numbers, steady
from tests.support.stores import S3

pytestmark = pytest.mark.usefixtures("prefect_ray")


def run(
    input: Path | str, output: Path | str, *, profile: str = "", prune: bool = False, **recipe: Any
) -> Any:
    """Run the flow; its state."""
    return clip_flow(
        input=[str(input)],
        output=str(output),
        recipe=Recipe(**{"min_clip_length_s": 0, **recipe}),
        execution=Execution(retry_delay_s=0.1, prune=prune),
        profile=profile,
        return_state=True,
    )


def result(state: Any) -> RunResult:
    assert state.is_completed(), state.message
    return state.result()


class _Row:
    """What the reader of shots takes."""

    def __init__(self, location: Path) -> None:
        self.location = str(location)


def test_shots_on_s3(s3: S3, tmp_path: Path) -> None:
    """A task of its own; what it finds is kept beside the clips, and used again."""
    video = video_of_shots(tmp_path / "in.mp4", SHOTS, *steady_shots())
    object_store.write("s3://videos/in/in.mp4", video.read_bytes())
    recipe = {"spans": "scenes", "clip_len_s": 1, "clip_stride_s": 1, "fps": "12.5"}
    first = result(run("s3://videos/in/", "s3://videos/out", **recipe))
    kinds = [r.task_key.rsplit("-", 1)[0] for r in newest_task_runs()]
    assert sorted(set(kinds)) == ["detect_shots", "probe_sources", "transcode_chunks"]
    assert "detect shots in in.mp4" in {r.name for r in newest_task_runs()}
    assert newest_flow_run().name == "in → out, 1 s every 1 s within shots"
    assert first.written == first.clips > 8
    kept = json.loads(object_store.read("s3://videos/out/shots/in.mp4.json") or b"")
    assert kept["seconds"] == [[begin / 25 for begin, _ in SHOTS[1:]]]
    for i, entry in enumerate(object_store.listing("s3://videos/out/clips/")):
        path = tmp_path / f"{i}.mp4"
        path.write_bytes(object_store.read(entry.uri) or b"")
        row: Any = _Row(path)
        held = numbers_in(row)
        begin, end = next((a, b) for a, b in SHOTS if a <= held[0] < b)
        assert begin <= held[0] <= held[-1] < end
    s3.seen.clear()
    other = result(run("s3://videos/in/", "s3://videos/out", **{**recipe, "clip_len_s": 0.8}))
    assert other.made > 0
    written = [s.path for s in s3.seen if s.method == "PUT" and "/shots/" in s.path]
    assert written == []


def test_a_list_that_changes(tmp_path: Path) -> None:
    """What no row asks for any more is stale, and goes with --prune; a bad row fails alone."""
    counter_video(tmp_path / "in.mp4", *steady(100, 25))
    rows = ["source,start,end,id,label", "in.mp4,0,1,a,one", "in.mp4,2,3.2,b,two"]
    listed, out = tmp_path / "list.csv", tmp_path / "out"
    listed.write_text("\n".join(rows))
    made = result(run(tmp_path / "in.mp4", out, span_list=str(listed)))
    assert (made.written, made.made) == (2, 2)
    assert [(r["span_id"], r["label"], r["frames"]) for r in manifest(tmp_path)] == [
        ("a", "one", 25), ("b", "two", 30),
    ]  # fmt: skip
    again = result(run(tmp_path / "in.mp4", out, span_list=str(listed)))
    assert (again.written, again.made) == (2, 0)
    listed.write_text("\n".join([*rows[:1], rows[2], "in.mp4,0.4,0.8,c,three"]))
    changed = result(run(tmp_path / "in.mp4", out, span_list=str(listed), prune=True))
    assert (changed.written, changed.made) == (2, 1)
    assert [(r["span_id"], r["status"]) for r in manifest(tmp_path)] == [
        ("c", "written"), ("b", "written"),
    ]  # fmt: skip
    assert len(list((out / "clips").iterdir())) == 2
    listed.write_text("\n".join([*rows, "gone.mp4,0,1,d,four"]))
    state = run(tmp_path / "in.mp4", out, span_list=str(listed))
    assert state.is_failed()
    assert "list.csv row 3: no video of this run is called 'gone.mp4'" in (state.message or "")
    assert "written" in {r["status"] for r in manifest(tmp_path)}


def test_a_profile_and_what_differs_from_it(tmp_path: Path) -> None:
    counter_video(tmp_path / "in.mp4", *steady(125, 25), size=(320, 192))
    made = result(
        run(tmp_path / "in.mp4", tmp_path / "out", profile="cogvideox", frames=17, size="320x192")
    )
    assert made.made == 2
    for row in manifest(tmp_path):
        assert (row["frames"], row["frame_rate"]) == (17, "8")
        path = tmp_path / "out" / "clips" / f"{row['clip']}.mp4"
        first = row["start_frame"]
        shown = [n for _, n in read_numbers(path)]
        assert shown == [k * 25 // 8 for k in range(first, first + 17)]
        assert row["start_pts_s"] == first / 8
        assert row["dropped_frames"] == 54 - 17


def test_copies_on_s3(s3: S3, tmp_path: Path) -> None:
    """Read by ranges; the packets reach the store as they are."""
    counter_video(tmp_path / "in.mp4", *steady(200, 25), options={"g": "25", "bf": "2"})
    object_store.write("s3://videos/c/in.mp4", (tmp_path / "in.mp4").read_bytes())
    recipe = {"encoder": "copy", "clip_len_s": 1.7, "clip_stride_s": 1.7}
    made = result(run("s3://videos/c/", "s3://videos/copied", **recipe))
    assert made.written == 5
    numbers: list[int] = []
    clips = [json.loads(object_store.read(o.uri) or b"") for o in
             object_store.listing("s3://videos/copied/metas/v0/")]  # fmt: skip
    for meta in sorted(clips, key=lambda values: values["start_frame"]):
        path = tmp_path / f"{meta['span_uuid']}.mp4"
        path.write_bytes(object_store.read(meta["clip_location"]) or b"")
        numbers += [n for _, n in read_numbers(path)]
        assert meta["encoder"] == "copy"
    assert numbers == list(range(200))
    assert result(run("s3://videos/c/", "s3://videos/copied", **recipe)).made == 0
