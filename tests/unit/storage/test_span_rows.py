"""Lists of spans as people and programs write them."""

from __future__ import annotations

import io
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipping.errors import UsageError
from clipping.storage.span_rows import TO_THE_END, read_spans

PYSCENEDETECT = (
    "Timecode List:,00:00:01.600,00:00:03.800\n"
    "Scene Number,Start Frame,Start Timecode,Start Time (seconds),End Frame,End Timecode,"
    "End Time (seconds),Length (frames),Length (timecode),Length (seconds)\n"
    "1,1,00:00:00.000,0.000,40,00:00:01.600,1.600,40,00:00:01.600,1.600\n"
    "2,41,00:00:01.600,1.600,95,00:00:03.800,3.800,55,00:00:02.200,2.200\n"
)


def spans(name: str, content: str | bytes) -> list[tuple[Any, ...]]:
    held = read_spans(name, content if isinstance(content, bytes) else content.encode())
    assert not held.bad
    return [
        (r.source, r.span.start, r.span.end, r.span.in_frames, r.span.id, r.span.label)
        for r in held.rows
    ]


def parquet(**columns: list[Any]) -> bytes:
    table: Any = pa.table(columns)
    writer: Any = pq
    sink = io.BytesIO()
    writer.write_table(table, sink)
    return sink.getvalue()


A = ("a.mp4", Fraction(3, 2), Fraction(21, 5), False, None, None)
LABELLED = ("a.mp4", Fraction(3, 2), Fraction(21, 5), False, "x1", "a cat")

SCENES = [(None, 0, 40, True, None, None), (None, 40, 95, True, None, None)]


@pytest.mark.parametrize(
    ("name", "content", "wanted"),
    [
        ("l.csv", "source,start,end\na.mp4,1.5,4.2\n", [A]),
        ("l.csv", "\ufeffVideo,Start,End\r\na.mp4,00:00:01.5,00:04.2\r\n\r\n", [A]),
        ("l.tsv", "path\tstart_s\tduration\na.mp4\t1.5\t2.7\n", [A]),
        ("l.csv", "id,file,start time,end time,label\nx1,a.mp4,1.5,4.2,a cat\n", [LABELLED]),
        ("l.csv", 'source,start_frame,end_frame\na.mp4,3,9\n', [("a.mp4", 3, 9, True, None, None)]),
        ("l.json", json.dumps([{"source": "a.mp4", "start": 1.5, "end": 4.2}]), [A]),
        ("l.json", json.dumps({"spans": [{"source": "a.mp4", "start": 1.5, "end": "4.2"}]}), [A]),
        ("l.jsonl", '{"source": "a.mp4", "start": 1.5, "end": 4.2}\n\n', [A]),
        ("l.parquet", parquet(source=["a.mp4"], start=[1.5], end=[4.2]), [A]),
        ("l.parquet", parquet(source=["a.mp4"], start_frame=[3], end_frame=[9]),
         [("a.mp4", 3, 9, True, None, None)]),
        ("s.csv", PYSCENEDETECT, SCENES),
        ("s.csv", PYSCENEDETECT.split("\n", 1)[1], SCENES),
        ("l.csv", "1.5,4.2,a cat\n,00:00:07,\n5,,the end\n",
         [(None, Fraction(3, 2), Fraction(21, 5), False, None, "a cat"),
          (None, 0, 7, False, None, None), (None, 5, TO_THE_END, False, None, "the end")]),
    ],
)  # fmt: skip
def test_what_is_read(name: str, content: str | bytes, wanted: list[tuple[Any, ...]]) -> None:
    assert spans(name, content) == wanted


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("a.mp4,4,4", "ends at 4, not after its start at 4"),
        ("a.mp4,4,3", "ends at 3, not after its start at 4"),
        ("a.mp4,-1,3", "starts before 0, at -1"),
        ("a.mp4,soon,3", "'soon' is no time"),
        ("a.mp4,00:61:00,3", "'00:61:00' is no time"),
        ("a.mp4,nan,3", "'nan' is no time"),
        ("a.mp4,-1e999,3", "'-1e999' is no time"),
        ("a.mp4,2e999,3e999", "'2e999' is no time"),
        ("a.mp4,1" + "0" * 5000 + ",3", "is no time"),
        ("a.mp4,1.5", "it has no end"),
    ],
)
def test_a_bad_row_is_told_and_the_others_are_read(row: str, words: str) -> None:
    held = read_spans("l.csv", f"source,start,end\nb.mp4,1,2\n{row}\nc.mp4,1,2\n".encode())
    assert [r.source for r in held.rows] == ["b.mp4", "c.mp4"]
    assert [r.span.row for r in held.rows] == [1, 3]
    assert words in held.bad[2]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("l.csv", b"", "there is no row in it"),
        ("l.csv", b"source,begin of it,until\na,b,c\n", "no column called start: it has source"),
        ("l.csv", b"source,start\na,1\n", "no column called end"),
        ("l.csv", b"\xff\xfe\x00", "cannot be read"),
        ("l.json", b"{", "cannot be read as JSON"),
        ("l.json", b"{}", "no list of spans"),
        ("l.parquet", b"PAR1", "is not a Parquet file"),
        ("l.xlsx", b"x", "give a .csv"),
    ],
)
def test_what_is_no_list_is_refused(name: str, content: bytes, words: str) -> None:
    with pytest.raises(UsageError, match="span_list") as caught:
        read_spans(name, content)
    assert words in caught.value.message


def test_a_misspelt_key_is_no_whole_video() -> None:
    rows = [{"source": "b.mp4"}, {"source": "b.mp4", "start": 1, "ned": 2}]
    held = read_spans("l.json", json.dumps(rows).encode())
    assert held.bad == {1: "it has no start", 2: "it has no end"}


@given(seconds=st.decimals(0, 100_000, places=3, allow_nan=False))
def test_times_are_exact(seconds: Any) -> None:
    exact = Fraction(str(seconds))
    whole, part = divmod(exact, 1)
    clock = f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}.{int(part * 1000):03d}"
    rows = f"source,start,end\na,{seconds},200000\nb,{clock},200000\n"
    held = read_spans("l.csv", rows.encode())
    assert [r.span.start for r in held.rows] == [exact, exact]


def test_the_documents_example() -> None:
    text = (Path(__file__).parents[3] / "docs" / "spans.md").read_text(encoding="utf-8")
    example = text.split("```csv\n")[1].split("```")[0]
    assert spans("l.csv", example) == [
        ("talk.mp4", Fraction("1.5"), Fraction("4.2"), False, "greeting", "hello"),
        ("talk.mp4", Fraction("70.25"), 80, False, None, None),
        ("b/other.mkv", 0, Fraction("2.5"), False, None, None),
    ]
