"""What the stages after ours read: by the rules of their own readers.

NeMo Curator's and cosmos-curate's stages find their way by paths and keys. The readers here do
what cosmos-curate's do with JSON, from these of its files, on its main branch of 2026:

- `cosmos_curate/pipelines/video/utils/video_pipe_input.py`: which videos are done
  (`_worker_verify_processed_video`), which clips to pack (`_get_clip_metadata_paths_from_summary`,
  `_worker_read_clip_metadata`)
- `cosmos_curate/pipelines/video/read_write/summary_writers.py`: what `summary.json` has to say of
  the records (`_worker_read_video_metadata`, `_write_split_result_summary`)
- `.../video/output_comparison/` (`OutputSummary.from_json_dict`): the types in `summary.json`

`tests/media/test_nemo.py` runs NeMo Curator itself.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from clipping.dataset.summary_json import write_summary
from clipping.models import ChunkRecord, SourceRecord
from tests.support.made_up import made_up_run, rows_of, videos

COUNTS = (
    *("num_clips_filtered_by_motion", "num_clips_filtered_by_aesthetic"),
    *("num_clips_filtered_by_qwen_classifier", "num_clips_filtered_by_qwen_semantic"),
    *("num_clips_filtered_by_artificial_text", "num_clips_passed", "num_clips_transcoded"),
    *("num_clips_with_embeddings", "num_clips_with_caption", "num_caption_windows"),
    "num_clips_with_webp",
)

TWO: dict[str, Any] = {"clip_len_s": 2, "clip_stride_s": 2, "min_clip_length_s": 2}


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """Videos with clips, one of them in a folder, one too short for a clip, one that failed."""
    folder = videos(tmp_path / "in", one=18, short=1, bad=1)
    videos(folder / "sub", two=6)
    made_up_run([folder], tmp_path / "out", tmp_path, **TWO)
    return tmp_path / "out"


def read(path: Path) -> dict[str, Any]:
    """A JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def is_processed(output: Path, name: str) -> bool:
    """Whether all of a video is done, by the path of its record (it would be clipped again)."""
    try:
        chunks = int(read(output / "processed_videos" / f"{name}.json")["num_clip_chunks"])
    except (OSError, KeyError):
        return False
    paths = (output / "processed_clip_chunks" / f"{name}_{i}.json" for i in range(chunks))
    return all(path.exists() for path in paths)


def clips_to_pack(output: Path) -> list[dict[str, Any]]:
    """The valid clips by way of `summary.json`, with what their bins and tars are made by."""
    found: list[dict[str, Any]] = []
    for value in read(output / "summary.json").values():
        if isinstance(value, dict) and "clips" in value:
            for clip in value["clips"]:
                meta = read(output / "metas" / "v0" / f"{clip}.json")
                if meta["valid"]:
                    found.append(meta)
    return found


def summarised(output: Path, names: list[str]) -> dict[str, Any]:
    """`summary.json` as cosmos-curate's own writer makes it of the records."""
    summary: dict[str, Any] = {"total_video_duration": 0, "total_clip_duration": 0}
    summary |= {"max_clip_duration": 0, "total_prompt_tokens": 0, "total_output_tokens": 0}
    summary |= {f"total_{key}": 0 for key in COUNTS}
    for name in names:
        record = read(output / "processed_videos" / f"{name}.json")
        if "num_clip_chunks" not in record:  # its writer makes no record of a video that failed
            summary[name] = {"source_video": record["video"], "processed": False}
            continue
        chunks = [
            read(output / "processed_clip_chunks" / f"{name}_{i}.json")
            for i in range(record["num_clip_chunks"])
        ]
        entry: dict[str, Any] = {"source_video": record["video"], "clips": [], "filtered_clips": []}
        entry["video_uuid"] = record["video_uuid"]
        entry["num_clip_chunks"] = len(chunks)
        entry["num_total_clips"] = record["num_total_clips"]
        entry |= {key: sum(chunk[key] for chunk in chunks) for key in COUNTS}
        for chunk in chunks:
            entry["clips"] += chunk["clips"]
            entry["filtered_clips"] += chunk["filtered_clips"]
            summary["total_clip_duration"] += chunk["total_clip_duration"]
            longest = max(summary["max_clip_duration"], chunk["max_clip_duration"])
            summary["max_clip_duration"] = longest
        for key in COUNTS:
            summary[f"total_{key}"] += entry[key]
        summary["total_video_duration"] += record["duration"]
        summary[name] = entry
    return summary


def test_videos_that_are_done_count_as_processed(output: Path) -> None:
    """One without clips too; one that failed, or lacks a chunk, does not."""
    names = ["one.mp4", "sub/two.mp4", "short.mp4", "bad.mp4"]
    assert [is_processed(output, name) for name in names] == [True, True, True, False]
    (output / "processed_clip_chunks" / "one.mp4_1.json").unlink()
    assert not is_processed(output, "one.mp4")


def test_a_videos_record_has_its_facts(output: Path) -> None:
    """Under their names, in their types; ours beside them, all as they were."""
    record = read(output / "processed_videos" / "one.mp4.json")
    source = str(output.parent / "in" / "one.mp4")
    theirs = {
        "video": source, "height": 48, "width": 64, "framerate": 10.0, "num_frames": 180,
        "duration": 18.0, "video_codec": "h264", "pixel_format": "yuv420p", "audio_format": "aac",
        "num_total_clips": 9, "num_clip_chunks": 3,
    }  # fmt: skip
    assert {key: record[key] for key in theirs} == theirs
    assert [type(record[key]) for key in theirs] == [type(value) for value in theirs.values()]
    assert SourceRecord.model_validate(record).chunks == 3
    short = read(output / "processed_videos" / "short.mp4.json")
    assert (short["num_total_clips"], short["num_clip_chunks"]) == (0, 0)
    assert (short["num_frames"], short["status"]) == (10, "no clips")


def test_a_video_that_moved_keeps_its_facts(output: Path, tmp_path: Path) -> None:
    """Its record says where it is now, and all else that it said; nothing is made again."""
    before = {n: read(output / "processed_videos" / f"{n}.mp4.json") for n in ("one", "short")}
    (tmp_path / "in").rename(tmp_path / "moved")
    tally, _ = made_up_run([tmp_path / "moved"], output, tmp_path, **TWO)
    assert (tally.written, tally.reused) == (12, 12)
    for name, was in before.items():
        uri = str(tmp_path / "moved" / f"{name}.mp4")
        now = read(output / "processed_videos" / f"{name}.mp4.json")
        assert (now["video"], now["uri"], now["source"]["file"]["uri"]) == (uri, uri, uri)
        changed = {key for key in was if now[key] != was[key]}
        assert changed == {"video", "video_uuid", "uri", "source"}


def test_a_chunks_record_has_its_clips_ids_and_counts(output: Path) -> None:
    """Of the clips that are written; our records of all of them are in `clip_records`."""
    chunk = read(output / "processed_clip_chunks" / "one.mp4_2.json")
    rows = [r for r in rows_of(output) if r["source"] == "one.mp4"][8:]
    assert chunk["clips"] == [row["clip"] for row in rows]
    assert (chunk["video"], chunk["clip_chunk_index"]) == (rows[0]["source_uri"], 2)
    assert {key: chunk[key] for key in COUNTS if chunk[key]} == {
        "num_clips_passed": 1, "num_clips_transcoded": 1,
    }  # fmt: skip
    assert (chunk["total_clip_duration"], chunk["max_clip_duration"]) == (2.0, 2.0)
    assert chunk["all_windows"] == {clip: {} for clip in chunk["clips"]}
    assert [c["clip"]["id"] for c in chunk["clip_records"]] == chunk["clips"]


def test_clips_are_found_by_way_of_the_summary(output: Path) -> None:
    """Each written clip once, with its file and the numbers that bins are chosen by."""
    found = clips_to_pack(output)
    rows = rows_of(output)
    assert [meta["span_uuid"] for meta in found] == [row["clip"] for row in rows]
    for meta, row in zip(found, rows, strict=True):
        assert Path(meta["clip_location"]).stat().st_size == meta["num_bytes"] == row["bytes"]
        numbers = [meta[key] for key in ("width", "height", "num_frames", "framerate")]
        assert numbers == [64, 48, row["frames"], row["fps"]]
        assert meta["windows"] == []


def test_the_summary_is_that_of_the_records(output: Path) -> None:
    """What their own writer would make of our records stands in it, with the same types."""
    summary = read(output / "summary.json")
    expected = summarised(output, ["one.mp4", "sub/two.mp4", "short.mp4", "bad.mp4"])
    expected |= {
        "num_input_videos": 4, "num_input_videos_selected": 4, "num_processed_videos": 3,
        "embedding_algorithm": "", "num_remuxed_videos": 0, "total_video_bytes": 18 + 6 + 1,
    }  # fmt: skip
    assert summary == expected
    assert list(summary)[:4] == ["bad.mp4", "one.mp4", "short.mp4", "sub/two.mp4"]
    seconds = ("total_video_duration", "total_clip_duration", "max_clip_duration")
    assert all(isinstance(summary[key], float) for key in seconds)
    assert all(isinstance(summary[f"total_{key}"], int) for key in COUNTS)


def test_the_summary_covers_the_output(output: Path, tmp_path: Path) -> None:
    """Clips of all runs; superseded ones and those of shards not yet merged are not in it."""
    made_up_run([videos(tmp_path / "more", three=2)], output, tmp_path)
    made_up_run([tmp_path / "in" / "one.mp4"], output, tmp_path, clip_len_s=3, min_clip_length_s=3)
    summary = read(output / "summary.json")
    written = {row["clip"] for row in rows_of(output) if row["status"] == "written"}
    assert {meta["span_uuid"] for meta in clips_to_pack(output)} == written
    assert summary["one.mp4"]["num_total_clips"] == 16
    assert summary["total_num_clips_transcoded"] == len(written) == 16 + 3 + 2
    before = (output / "summary.json").read_bytes()
    made_up_run([tmp_path / "more"], output, tmp_path, execution={"shard": "1/2"}, quality=30)
    assert (output / "summary.json").read_bytes() == before


def test_no_videos_name_hides_a_number() -> None:
    """Nor can a name break the file."""
    names = ['a"\n\\.mp4', "num_input_videos", "ü"]
    rows = [
        {"source": name, "source_uri": name, "status": "clipped", "chunks": 1, "duration_s": 1.0,
         "source_bytes": 1}
        for name in names
    ]  # fmt: skip
    stream = io.StringIO()
    write_summary(stream, rows, [])
    summary = json.loads(stream.getvalue())
    assert summary["num_input_videos"] == summary["num_processed_videos"] == 3
    assert {*names} <= summary.keys()
    write_summary(empty := io.StringIO(), [], [])
    assert json.loads(empty.getvalue())["num_input_videos"] == 0


def test_outputs_of_earlier_versions_resume(output: Path, tmp_path: Path) -> None:
    """Their records have none of these keys, and a list of records where there are ids now."""
    for path in (output / "processed_clip_chunks").rglob("*.json"):
        path.write_text(ChunkRecord.model_validate_json(path.read_text()).model_dump_json())
    for path in (output / "processed_videos").rglob("*.json"):
        path.write_text(SourceRecord.model_validate_json(path.read_text()).model_dump_json())
    before = rows_of(output)
    for name in ("manifest.parquet", "sources.parquet", "summary.json"):
        (output / name).unlink()
    tally, _ = made_up_run([tmp_path / "in"], output, tmp_path, **TWO)
    assert (tally.written, tally.reused) == (12, 12)
    assert rows_of(output) == before
    assert len(clips_to_pack(output)) == 12
