"""Lists of spans: the rows of CSV, JSON, JSON Lines and Parquet files.

What PySceneDetect (`list-scenes`) and LosslessCut (CSV export) save is read as it comes. A row that
cannot be read is told by its number and left out.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from clipping.errors import UsageError
from clipping.models import ListedSpan

__all__ = ["TO_THE_END", "SpanRow", "SpanRows", "read_spans"]

TO_THE_END = Fraction(10**9)  # seconds; for a row that ends with its video

_SOURCE = (
    *("source", "path", "uri", "url", "video", "file", "filepath", "video_path", "source_video"),
    *("source_uri", "filename"),
)
_START = ("start", "start_s", "start_time", "start_seconds", "begin", "start_time_(seconds)")
_END = ("end", "end_s", "end_time", "end_seconds", "stop", "end_time_(seconds)")
_LENGTH = ("duration", "duration_s", "length", "length_s", "length_(seconds)")
_FRAMES = ("start_frame", "end_frame")
_ID = ("id", "span_id", "clip_id")
_LABEL = ("label", "name", "caption", "title", "class")
_PYSCENEDETECT = "scene_number"
_CLOCK = re.compile(r"(?:(\d+):)?(\d{1,2}):(\d{1,2}(?:[.,]\d+)?)")
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d{1,3})?", re.IGNORECASE)
_LONGEST_TEXT, _LONGEST_NUMBER = 1000, 60  # characters


@dataclass(frozen=True, slots=True)
class SpanRow:
    """A span, and the source that its row names; None if the list names none at all."""

    source: str | None
    span: ListedSpan


@dataclass(slots=True)
class SpanRows:
    """What a list holds. bad: number of a row to what is wrong with it."""

    rows: list[SpanRow] = field(default_factory=list[SpanRow])
    bad: dict[int, str] = field(default_factory=dict[int, str])


def read_spans(path: str, content: bytes) -> SpanRows:
    """The rows of a list. Raises UsageError for a file that is no such list."""
    found = SpanRows()
    for number, row in enumerate(_rows(path, content), 1):
        try:
            found.rows.append(_span(number, row))
        except ValueError as error:
            found.bad[number] = str(error)
    if not found.rows and not found.bad:
        raise UsageError(f"span_list {path}: there is no row in it")
    return found


def _rows(path: str, content: bytes) -> Iterator[Mapping[str, Any]]:
    kind = path.lower().rsplit(".", maxsplit=1)[-1]
    try:
        if kind == "parquet":
            yield from _parquet(content, path)
        elif kind in ("json", "jsonl", "ndjson"):
            yield from _json(content.decode("utf-8-sig"), path, by_line=kind != "json")
        elif kind in ("csv", "tsv"):
            yield from _csv(content.decode("utf-8-sig"), path, "\t" if kind == "tsv" else ",")
        else:
            raise UsageError(f"span_list {path}: give a .csv, .tsv, .json, .jsonl or .parquet file")
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"span_list {path} cannot be read: {error}") from None


def _parquet(content: bytes, path: str) -> Iterator[Mapping[str, Any]]:
    from pyarrow import parquet  # slow to import, seldom needed

    reader: Any = parquet
    try:
        file: Any = reader.ParquetFile(io.BytesIO(content))
        batches: list[Any] = list(file.iter_batches())
    except Exception as error:  # pyarrow's own, and OSError
        raise UsageError(f"span_list {path} is not a Parquet file: {error}") from None
    _require_columns([_plain(name) for name in file.schema_arrow.names], path)
    for batch in batches:
        for row in batch.to_pylist():
            yield {_plain(name): value for name, value in row.items()}


def _json(text: str, path: str, *, by_line: bool) -> Iterator[Mapping[str, Any]]:
    values: Any
    try:
        if by_line:
            values = [json.loads(line) for line in text.splitlines() if line.strip()]
        else:
            values = json.loads(text)
            if isinstance(values, Mapping):
                held: Mapping[str, Any] = values  # pyright: ignore[reportUnknownVariableType]
                values = held.get("spans")
    except ValueError as error:
        raise UsageError(f"span_list {path} cannot be read as JSON: {error}") from None
    if not isinstance(values, list):
        raise UsageError(f"span_list {path}: there is no list of spans in it")
    listed: list[Any] = values  # pyright: ignore[reportUnknownVariableType]
    for row in listed:
        yield _named(row) if isinstance(row, Mapping) else {"": row}


def _named(row: Any) -> dict[str, Any]:
    return {_plain(name): value for name, value in row.items()}


def _csv(text: str, path: str, delimiter: str) -> Iterator[Mapping[str, Any]]:
    lines = [line for line in csv.reader(io.StringIO(text), delimiter=delimiter) if any(line)]
    if lines and lines[0][0].strip().lower().startswith("timecode list"):
        del lines[0]  # PySceneDetect's first line
    if not lines:
        return
    names = [_plain(name) for name in lines[0]]
    if any(_time_or_none(cell) is not None for cell in lines[0][:2]):
        names = ["start", "end", "label"]  # LosslessCut writes no heading
    else:
        del lines[0]
        _require_columns(names, path)
    for line in lines:
        yield dict(zip(names, (cell.strip() for cell in line), strict=False))


def _plain(name: str) -> str:
    return re.sub(r"[\s-]+", "_", str(name).strip().lower())


def _require_columns(names: list[str], path: str) -> None:
    has_start = any(name in names for name in (*_START, _FRAMES[0]))
    has_end = any(name in names for name in (*_END, *_LENGTH, _FRAMES[1]))
    if not has_start or not has_end:
        raise UsageError(
            f"span_list {path} has no column called {'end' if has_start else 'start'}: it has"
            f" {', '.join(names[:12])}"
        )


def _span(number: int, row: Mapping[str, Any]) -> SpanRow:
    """A row as a span. Raises ValueError with what is wrong with it."""
    if set(row) == {""}:
        raise ValueError("it is no object with a start and an end")
    if _FRAMES[0] in row and (_PYSCENEDETECT in row or _value(row, _START) is None):
        start, end = (_frame(row, name) for name in _FRAMES)
        if _PYSCENEDETECT in row:
            start -= 1  # it counts from 1, and its end is the number of the frame after the last
        in_frames = True
    else:
        for what, names in (("start", _START), ("end", (*_END, *_LENGTH))):
            if not any(name in row for name in names):
                raise ValueError(f"it has no {what}")
        start, end, in_frames = *_seconds(row), False
    if start < 0:
        raise ValueError(f"it starts before 0, at {float(start):g}")
    if end <= start:
        raise ValueError(f"it ends at {float(end):g}, not after its start at {float(start):g}")
    source, name, label = (_text(_value(row, names)) for names in (_SOURCE, _ID, _LABEL))
    span = ListedSpan(row=number, start=start, end=end, in_frames=in_frames, id=name, label=label)
    return SpanRow(source, span)


def _seconds(row: Mapping[str, Any]) -> tuple[Fraction, Fraction]:
    start_value, end_value = _value(row, _START), _value(row, _END)
    start = Fraction(0) if start_value is None else _time(start_value)
    if end_value is not None:
        return start, _time(end_value)
    length = _value(row, _LENGTH)
    return start, TO_THE_END if length is None else start + _time(length)


def _value(row: Mapping[str, Any], names: Iterable[str]) -> Any:
    return next((row[n] for n in names if row.get(n) not in (None, "")), None)


def _text(value: Any) -> str | None:
    return None if value is None else str(value)[:_LONGEST_TEXT]


def _frame(row: Mapping[str, Any], name: str) -> Fraction:
    value = _time(row.get(name))
    if value.denominator != 1:
        raise ValueError(f"{name} {row.get(name)!r} is no frame number")
    return value


def _time(value: Any) -> Fraction:
    found = _time_or_none(value)
    if found is None or abs(found) > TO_THE_END:
        raise ValueError(f"{str(value)[:40]!r} is no time: give seconds or HH:MM:SS.mmm")
    return found


def _time_or_none(value: Any) -> Fraction | None:
    """Exactly what is written: 4.2 is 42/10, not its nearest binary double."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    text = str(value).strip()[:_LONGEST_NUMBER]
    if _NUMBER.fullmatch(text):
        return Fraction(text)
    if not (found := _CLOCK.fullmatch(text)):
        return None
    hours, minutes, seconds = int(found[1] or 0), int(found[2]), found[3].replace(",", ".")
    if minutes >= 60 or Fraction(seconds) >= 60:
        return None
    return hours * 3600 + minutes * 60 + Fraction(seconds)
