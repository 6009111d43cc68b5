"""The report tells what the tables tell: all of the output, and no more than that."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from clipping.dataset.merge import merge_manifests
from clipping.dataset.report import page
from clipping.dataset.report.failures import grouped
from clipping.dataset.report.histograms import histograms
from clipping.dataset.report.rows import CLIP_FIELDS, VIDEO_FIELDS
from clipping.storage.outputs import open_output
from tests.support.made_up import Killed, made_up_run, rows_of, videos

CSS = Path(page.__file__).parent / "templates" / "report.css"


def shown(output: Path, name: str = "report") -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The videos and the clips of a report, as its scripts read them."""
    html = (output / f"{name}.html").read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="settings">(.*?)</script>', html, re.S)
    assert found
    settings = json.loads(found[1])
    read: dict[str, list[Any]] = {"videos": [], "clips": []}
    for kind, names in settings["files"].items():
        for number, file in enumerate(names):
            text = (output / name / file).read_text(encoding="ascii")
            call = re.fullmatch(rf'clipping\("{kind}",{number},(.*)\)\n', text, re.S)
            assert call
            read[kind].append(json.loads(call[1]))
    videos = [dict(zip(VIDEO_FIELDS, row, strict=True)) for part in read["videos"] for row in part]
    clips: list[dict[str, Any]] = []
    for texts, rows in read["clips"]:
        for row in rows:
            clip = dict(zip(CLIP_FIELDS, row, strict=True))
            for column in ("status", "stale", "errors", "encoder"):
                clip[column] = None if clip[column] is None else texts[clip[column]]
            clips.append({**clip, "source": videos[clip["video"]]["source"]})
    there = {path.name for path in (output / name).iterdir()}
    assert there == {"now.js", "made.json", *(f for fs in settings["files"].values() for f in fs)}
    return videos, clips


def written(output: Path) -> dict[str, int]:
    """The report's files, and when each was written."""
    paths = [output / "report.html", *(output / "report").iterdir()]
    return {path.name: path.stat().st_mtime_ns for path in paths}


def test_it_has_the_rows_of_the_tables(tmp_path: Path) -> None:
    """Every clip, in the order of videos and numbers; sums of a video are those of its clips."""
    out = tmp_path / "out"
    folder = videos(tmp_path / "in", two=5, one=3, bad=1)
    made_up_run([folder], out, tmp_path, failing=[4])
    found, clips = shown(out)
    same = ("clip", "source", "number", "status", "bytes", "frames", "damaged_frames", "errors")
    assert [[c[n] for n in same] for c in clips] == [[r[n] for n in same] for r in rows_of(out)]
    assert [v["source"] for v in found] == ["bad.mp4", "one.mp4", "two.mp4"]
    bad, one, two = found
    assert (bad["status"], bad["clips"], bad["rows"]) == ("failed", 0, 0)
    assert "no video" in bad["reason"]
    assert (one["first"], one["rows"], one["written"], one["damaged"], one["noted"]) == (
        0,
        3,
        3,
        1,
        1,
    )
    assert (two["first"], two["rows"], two["written"], two["failed"]) == (3, 5, 4, 1)
    assert two["bytes"] == sum(r["bytes"] for r in rows_of(out) if r["source"] == "two.mp4")


def test_it_is_of_the_whole_output_and_marks_the_last_run(tmp_path: Path) -> None:
    """Other runs' videos stay; clips that are stale by now say why."""
    out = tmp_path / "out"
    first, second = videos(tmp_path / "a", one=3), videos(tmp_path / "b", two=2)
    made_up_run([first], out, tmp_path)
    made_up_run([second], out, tmp_path)
    found, _ = shown(out)
    assert [(v["source"], v["touched"]) for v in found] == [("one.mp4", 0), ("two.mp4", 1)]
    made_up_run([first], out, tmp_path, quality=30, clip_len_s=2, clip_stride_s=2)
    found, clips = shown(out)
    assert [(v["source"], v["touched"], v["stale"]) for v in found] == [
        ("one.mp4", 1, 2),
        ("two.mp4", 0, 0),
    ]
    assert {c["status"] for c in clips if c["stale"] == "other recipe"} == {"superseded"}
    html = (out / "report.html").read_text(encoding="utf-8")
    assert "2 clipped + 0 without clips + 0 failed" in html
    assert "Clips of 2 s every 2 s, encoded by libx264 (quality 30, preset veryfast)" in html
    assert "2 superseded besides" in html


def test_a_run_that_changes_nothing_does_not_write_it(tmp_path: Path) -> None:
    """Unless it is missing, of another version of the package, or was never finished."""
    out, folder = tmp_path / "out", videos(tmp_path / "in", one=3)
    tally, _ = made_up_run([folder], out, tmp_path)
    assert tally.report == f"Report: {out}/report.html"
    before = written(out)
    tally, _ = made_up_run([folder], out, tmp_path)
    assert tally.report == f"Report: {out}/report.html"
    assert written(out) == before
    for spoil in (
        (out / "report" / "made.json").unlink,
        lambda: (out / "report" / "made.json").write_text('{"time": 1, "version": "0"}'),
    ):
        spoil()
        made_up_run([folder], out, tmp_path)
        assert written(out)["report.html"] > before["report.html"]
        before = written(out)


def test_after_a_killed_run_it_is_made_by_the_next(tmp_path: Path) -> None:
    """The page from before stays whole until then."""
    out, folder = tmp_path / "out", videos(tmp_path / "in", one=3)
    made_up_run([folder], out, tmp_path)
    before = written(out)
    videos(folder, two=2)

    def kill() -> None:
        raise Killed

    with pytest.raises(Killed):
        made_up_run([folder], out, tmp_path, before_publish=kill)
    assert written(out) == before
    shown(out)
    made_up_run([folder], out, tmp_path)
    assert [v["source"] for v in shown(out)[0]] == ["one.mp4", "two.mp4"]


def test_what_has_not_changed_is_not_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With many clips, only the data files with new rows are; those that are old go."""
    monkeypatch.setattr("clipping.dataset.report.rows.ROWS_A_FILE", 4)
    out, folder = tmp_path / "out", videos(tmp_path / "in", a=4, b=4)
    made_up_run([folder], out, tmp_path)
    before = written(out)
    videos(folder, c=2)
    made_up_run([folder], out, tmp_path)
    after = written(out)
    kept = {n for n in before if n.startswith("clips-") and after.get(n) == before[n]}
    assert len(kept) == 2
    assert len([n for n in after if n.startswith("clips-")]) == 3
    shown(out)


def test_a_report_that_cannot_be_written_fails_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last line says why, and the next run makes it."""
    out, folder = tmp_path / "out", videos(tmp_path / "in", one=3)
    (out / "report.html").mkdir(parents=True)
    (out / "report.html" / "x").touch()
    tally, holding = made_up_run([folder], out, tmp_path)
    assert holding.clips == 3
    assert "report.html was not written: cannot write" in tally.report
    assert f"{out}/report.html" in tally.report
    (out / "report.html" / "x").unlink()
    (out / "report.html").rmdir()
    made_up_run([folder], out, tmp_path)
    shown(out)


def test_shards_have_pages_of_their_own_and_the_merge_has_one_of_all(tmp_path: Path) -> None:
    """Each is an index of its shard, and leads to the others."""
    out = tmp_path / "out"
    folder = videos(tmp_path / "in", **{f"v{i}": 2 for i in range(8)})
    for number in (1, 2):
        made_up_run([folder], out, tmp_path, execution={"shard": f"{number}/2"})
    one, two = (shown(out / "manifests", f"{n}-of-2.report")[0] for n in (1, 2))
    assert len(one) + len(two) == 8
    html = (out / "manifests" / "1-of-2.report.html").read_text(encoding="utf-8")
    assert "shard 1/2" in html
    assert 'href="../manifests/2-of-2.report.html"' in html
    assert '"clips": "../clips/"' in html
    assert not (out / "report.html").exists()
    said = merge_manifests(open_output(str(out)))
    assert f"Report: {out}/report.html" in said
    assert len(shown(out)[0]) == 8


def test_failures_are_grouped_by_reason_the_worst_first() -> None:
    """Names and numbers in a reason do not part it; videos come before clips, many before few."""

    def row(source: str, reason: str, *, status: str = "failed", clip: str = "") -> dict[str, str]:
        return {"source": source, "source_uri": f"/in/{source}", "clip": clip, "number": "7",
                "status": status, "failure_kind": "bad input", "reason": reason}  # fmt: skip

    rows = [
        *(row(f"{i}.mp4", f"frame {i} cannot be decoded", clip=f"c{i}") for i in range(30)),
        row("x.mp4", "x.mp4: the file is empty"),
        row("a.mp4", "a.mp4: no video"),
        row("b.mp4", "/in/b.mp4: no video"),
        row("s.mp4", "lasts 0.1 s", status="no clips"),
        row("r.mp4", "lasts 1.25 s", status="no clips"),
        row("g.mp4", "no frame", status="absent", clip="c"),
    ]
    groups, videos = grouped(rows)
    assert videos == 3
    assert [(g.what, g.status, g.text, g.count) for g in groups] == [
        ("video", "failed", "no video", 2),
        ("video", "failed", "the file is empty", 1),
        ("clip", "failed", "frame 0–29 cannot be decoded", 30),
        ("video", "no clips", "lasts 0.1–1.25 s", 2),
        ("stretch", "absent", "no frame", 1),
    ]
    assert groups[0].names == [("a.mp4", ""), ("b.mp4", "")]
    assert groups[2].names[0] == ("0.mp4", " clip 7")
    assert (len(groups[2].names), groups[2].more) == (20, 10)


def table(**columns: list[float]) -> Any:
    """Written clips."""
    count = len(next(iter(columns.values())))
    one = {
        "width": 64,
        "height": 48,
        "frames": 100,
        "bytes": 38_400,
        "duration_s": 4.0,
        "fps": 25.0,
    }
    usual = {name: [value] * count for name, value in one.items()}
    ids = {"clip": [f"c{i}" for i in range(count)], "row": list(range(count))}
    return pa.table({**usual, **columns, **ids})


def counted(chart: Any) -> int:
    return sum(int(bar.text.split()[0]) for bar in chart.bars)


def test_histograms_count_every_clip_and_name_the_outliers() -> None:
    """Also where one of them is a thousand times as long as the others."""
    lengths = [4.0 + i % 5 / 10 for i in range(200)]
    lengths[17] = 4000.0
    charts = histograms(table(duration_s=lengths))
    assert [c.title for c in charts] == [
        "Length of a clip", "Bits per pixel", "Frame rate", "Size of a clip",
    ]  # fmt: skip
    assert [counted(c) for c in charts] == [200] * 4
    length, bits, *_ = charts
    assert [(o.clip, o.row, o.text) for o in length.outliers] == [("c17", 17, "4000 s")]
    assert len(length.bars) > 3, "the one does not press the others into one bar"
    assert length.ticks[-1][1].startswith("> ")
    assert length.bars[-1].text.endswith("to 4000 s")
    assert bits.summary == "all 1 bits"  # 38,400 bytes are a bit for each of 64 x 48 x 100 pixels
    assert all(b.x >= 0 and b.x + b.width <= 320 and b.height > 0 for c in charts for b in c.bars)


@pytest.mark.parametrize(
    "lengths",
    [[1.0], [0.001, 0.001], [0.0, 0.0], [1.0, 1.0000001], [5.0] * 99 + [5.04], [1e-9, 1e9]],
)
def test_histograms_of_odd_values(lengths: list[float]) -> None:
    """One clip, all alike, nearly alike, worlds apart."""
    charts = histograms(table(duration_s=lengths))
    assert counted(charts[0]) == len(lengths)
    assert histograms(table(duration_s=lengths).slice(0, 0)) == []


def test_clips_without_pixels_are_left_out_of_bits_per_pixel() -> None:
    """Old records may not tell a size: nothing is divided by nothing."""
    charts = histograms(table(duration_s=[1.0, 2.0], width=[0, 64]))
    assert [counted(c) for c in charts] == [2, 1, 2, 2]


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2)."""
    digits = colour.lstrip("#")
    digits = "".join(d * 2 for d in digits) if len(digits) == 3 else digits
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out(scheme: str) -> None:
    """4.5 to 1 for text, 3 to 1 for the colours of the time line (WCAG 2.2, AA)."""
    blocks = re.findall(r":root \{(.*?)\}", CSS.read_text(encoding="utf-8"), re.S)
    named = dict(re.findall(r"--(\w+): (#\w+);", blocks[scheme == "dark"]))

    def ratio(one: str, other: str) -> float:
        low, high = sorted((luminance(named[one]), luminance(named[other])))
        return (high + 0.05) / (low + 0.05)

    for ground in ("back", "raised"):
        for text in ("text", "muted", "link", "failed", "damaged", "stale"):
            assert ratio(text, ground) >= 4.5, (text, ground)
    for colour in ("written", "absent"):
        assert ratio(colour, "back") >= 3, colour


def test_a_page_is_there_while_the_first_run_goes_on(tmp_path: Path) -> None:
    """And a page that is there is left alone."""
    output = open_output(str(tmp_path / "out"))
    page.write_now(output, "", {"text": "</script>"})
    page.require_page(output, "")
    html = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "Clips in" in html
    made_up_run([videos(tmp_path / "in", one=3)], tmp_path / "out", tmp_path)
    before = written(tmp_path / "out")
    page.require_page(output, "")
    assert written(tmp_path / "out") == before
