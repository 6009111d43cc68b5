"""Clips of a list of spans: the frames of each row, and what the list says of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from clipping.config.execution import Execution
from clipping.config.load import resolve
from clipping.config.recipe import Recipe
from clipping.dataset.layout import own_folders
from clipping.errors import UsageError
from clipping.models import ChunkRecord, ClipStatus
from clipping.run.chunk import make_chunk, plan_chunks, probe_file
from clipping.run.span_list import cut_short, load_spans
from clipping.storage.discover import find_sources
from clipping.storage.outputs import open_output
from tests.media.test_frame_rates import uneven
from tests.media.test_joined_recordings import joined, recording
from tests.support.media import counter_video, read_numbers, steady


def made(folder: Path, rows: str, name: str = "list.csv", **recipe: Any) -> list[ChunkRecord]:
    """The chunks of all videos in `folder`, by a list."""
    (folder / name).write_text(rows)
    values = {"span_list": str(folder / name), "preset": "ultrafast", **recipe}
    config = resolve(Recipe(**values), Execution(num_clips_per_chunk=2, encode_batch_size=2))
    assert config.recipe.spans == "list"
    own = own_folders(str(folder / "out"))
    found = find_sources([str(folder)], config.execution.extensions, own)
    spans = load_spans(config, found)
    assert spans is not None
    assert spans.problems == ()
    output = open_output(str(folder / "out"))
    config = replace(config, output=str(folder / "out"))
    records: list[ChunkRecord] = []
    for file in found.sources:
        chunks = plan_chunks(
            probe_file(file, config.execution), config.recipe, 2, spans.of(file.key)
        )
        records += [make_chunk(chunk, config, output) for chunk in chunks]
    return records


def shown(records: list[ChunkRecord]) -> Iterator[tuple[str, str | None, list[int]]]:
    for record in records:
        for clip in record.clips:
            assert clip.status is ClipStatus.WRITTEN, clip.errors
            assert clip.clip.listed is not None
            numbers = [n for _, n in read_numbers(Path(clip.location or ""))]
            yield record.source_key, clip.clip.listed.id, numbers


def test_each_row_is_a_clip(tmp_path: Path) -> None:
    """Overlapping, out of order, with gaps; by seconds, exactly as typed."""
    counter_video(tmp_path / "a.mp4", *steady(100, 25))
    frames = counter_video(tmp_path / "b.mkv", uneven(60), Fraction(1, 1000))
    rows = "source,start,end,id,label\na.mp4,2,3.2,late,x\nb.mkv,0.5,2.25,b1,y\n"
    rows += "a.mp4,0.4,1,early,z\na.mp4,0.6,2.5,over,\n"
    records = made(tmp_path, rows)
    assert list(shown(records)) == [
        ("a.mp4", "early", list(range(10, 25))),
        ("a.mp4", "over", list(range(15, 63))),
        ("a.mp4", "late", list(range(50, 80))),
        ("b.mkv", "b1", [n for t, n in frames if Fraction(1, 2) <= t < Fraction(9, 4)]),
    ]
    assert sum(r.encoded_frames for r in records if r.source_key == "a.mp4") == 15 + 48 + 30
    labels = [c.clip.listed.label for r in records for c in r.clips if c.clip.listed]
    assert labels == ["z", None, "x", "y"]


def test_frame_numbers(tmp_path: Path) -> None:
    """Of the video's own frames, at another rate as well."""
    frames = counter_video(tmp_path / "a.mkv", uneven(60), Fraction(1, 1000))
    rows = "start_frame,end_frame\n7,19\n19,20\n0,60\n"
    assert [n for *_, n in shown(made(tmp_path, rows))] == [
        list(range(60)), list(range(7, 19)), [19],
    ]  # fmt: skip
    again = made(tmp_path, "start_frame,end_frame\n7,19\n", fps="24")
    [(*_, numbers)] = shown(again)
    times = [t for t, _ in frames]
    slots = [k for k in range(10_000) if times[7] <= Fraction(k, 24) < times[19]]
    assert numbers == [max(n for t, n in frames if t <= Fraction(k, 24)) for k in slots]


def test_what_pyscenedetect_and_losslesscut_save(tmp_path: Path) -> None:
    """Without a name of a video in it: of the only one, or of the one that it is called after."""
    counter_video(tmp_path / "talk.mp4", *steady(100, 30))
    counter_video(tmp_path / "talk 2.mp4", *steady(100, 30))
    head = "Scene Number,Start Frame,Start Timecode,Start Time (seconds),End Frame\n"
    rows = f"Timecode List:,00:00:01.333\n{head}1,1,00:00:00.000,0.000,40\n2,41,00:01,1.333,100\n"
    assert list(shown(made(tmp_path, rows, "talk 2-Scenes.csv"))) == [
        ("talk 2.mp4", None, list(range(40))),
        ("talk 2.mp4", None, list(range(40, 100))),
    ]
    cut = made(tmp_path, "0.5,1.5,first\n2,,rest\n", "talk-llc.csv")
    assert [n for *_, n in shown(cut)] == [list(range(15, 45)), list(range(60, 100))]
    with pytest.raises(UsageError, match="which of the 2 videos it is about cannot be told"):
        made(tmp_path, rows, "scenes.csv")


def test_rows_that_cannot_be_made_are_told_by_number(tmp_path: Path) -> None:
    for name in ("x/a.mp4", "y/a.mp4", "b.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        counter_video(tmp_path / name, *steady(50, 25))
    (tmp_path / "list.csv").write_text(
        "source,start,end,id\nb.mp4,0,1,i\nc.mp4,0,1,\na.mp4,0,1,\nx/a.mp4,0,1,\nb.mp4,2,1,\n"
        f"b.mp4,0,2,i\n{tmp_path}/y/a.mp4,0,1,\n"
    )
    config = resolve(Recipe(span_list=str(tmp_path / "list.csv")), Execution())
    found = find_sources([str(tmp_path)], config.execution.extensions)
    spans = load_spans(config, found)
    assert spans is not None
    assert [error.message for _, error in spans.problems] == [
        "list.csv row 2: no video of this run is called 'c.mp4'",
        "list.csv row 3: several videos of this run are called 'a.mp4'",
        "list.csv row 5: it ends at 1, not after its start at 2",
        "list.csv row 6: its id 'i' stands in row 1 already",
    ]
    assert {f.key: len(spans.of(f.key)) for f in found.sources} == {
        "b.mp4": 1, "x/a.mp4": 1, "y/a.mp4": 1,
    }  # fmt: skip


def test_beyond_the_end(tmp_path: Path) -> None:
    """Cut short, or absent; both are told by the row."""
    counter_video(tmp_path / "a.mp4", *steady(50, 25))
    [record] = made(tmp_path, "source,start,end\na.mp4,1.6,9\na.mp4,7,9\n")
    cut, gone = record.clips
    assert [n for _, n in read_numbers(Path(cut.location or ""))] == list(range(40, 50))
    assert gone.status is ClipStatus.ABSENT
    assert gone.errors == ("row 2 of the list: no frame is presented from 7 s to 9 s",)
    assert list(cut_short([cut.clip, gone.clip])) == [
        "it ends at 2 s, before the 9 s of row 1",
        "row 2: it ends before the 7 s at which the span would begin",
    ]


def test_only_what_the_list_changes_is_made_again(tmp_path: Path) -> None:
    counter_video(tmp_path / "a.mp4", *steady(150, 25))
    rows = [f"a.mp4,{i},{i + 1},r{i}" for i in range(5)]
    head = "source,start,end,id\n"
    first = made(tmp_path, head + "\n".join(rows))
    assert sum(r.encoded_frames for r in first) == 125
    again = made(tmp_path, head + "\n".join(rows))
    assert sum(r.encoded_frames for r in again) == 0
    rows.insert(1, "a.mp4,0.5,1.5,new")
    more = made(tmp_path, head + "\n".join(rows))
    assert sum(r.encoded_frames for r in more) == 25
    assert [i for _, i, _ in shown(more)] == ["r0", "new", "r1", "r2", "r3", "r4"]


def test_rows_that_ask_for_the_same_are_clips_of_their_own(tmp_path: Path) -> None:
    counter_video(tmp_path / "a.mp4", *steady(50, 25))
    rows = "source,start,end,label\n" + "".join(f"a.mp4,0.4,1,{i}\n" for i in "abc")
    rows += "a.mp4,7,8,d\na.mp4,7,8,e\na.mp4,7,9,f\n"
    records = [clip for record in made(tmp_path, rows) for clip in record.clips]
    assert len({clip.clip.id for clip in records}) == 6
    written = [c for c in records if c.status is ClipStatus.WRITTEN]
    assert len({c.location for c in written}) == 3
    assert len(list((tmp_path / "out" / "clips").iterdir())) == 3
    told = {c.clip.listed.label for c in written if c.clip.listed}
    assert told == {"a", "b", "c"}


def test_a_list_is_called_after_a_whole_name(tmp_path: Path) -> None:
    for name in ("a.mp4", "tal.mp4"):
        counter_video(tmp_path / name, *steady(30, 25))
    for name in ("annotations.csv", "talk-Scenes.csv"):
        with pytest.raises(UsageError, match="which of the 2 videos it is about cannot be told"):
            made(tmp_path, "start,end\n0,1\n", name)


def test_a_row_without_a_name_fails_alone(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        counter_video(tmp_path / name, *steady(30, 25))
    (tmp_path / "l.csv").write_text("source,start,end\na.mp4,0,1\n,0,1\nb.mp4,0,1\n")
    config = resolve(Recipe(span_list=str(tmp_path / "l.csv")), Execution())
    spans = load_spans(config, find_sources([str(tmp_path)], config.execution.extensions))
    assert spans is not None
    told = [e.message for _, e in spans.problems]
    assert told == ["l.csv row 2: it names no video, as other rows do"]
    assert len(spans.of("a.mp4")) == len(spans.of("b.mp4")) == 1


def test_recordings_joined_in_a_file(tmp_path: Path) -> None:
    """A row ends with its recording."""
    parts = tmp_path / "parts"
    parts.mkdir()
    files = [recording(parts, frames, first, 0) for frames, first in ((60, 0), (75, 60))]
    folder = tmp_path / "in"
    folder.mkdir()
    joined(folder / "a.ts", files)
    records = made(folder, "source,start,end\na.ts,1,2\na.ts,2,4\na.ts,3.4,4.4\n")
    assert [n for *_, n in shown(records)] == [
        list(range(25, 50)), list(range(50, 60)), list(range(85, 110)),
    ]  # fmt: skip
    clips = [clip.clip for record in records for clip in record.clips]
    assert [clip.listed and (clip.listed.start, clip.listed.end) for clip in clips] == [
        (1, 2), (2, 4), (Fraction("3.4"), Fraction("4.4")),
    ]  # fmt: skip
    assert list(cut_short(clips)) == ["it ends at 2.4 s, before the 4 s of row 2"]
