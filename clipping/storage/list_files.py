"""Lists of videos: text, CSV, JSON Lines and Parquet files that name one a row."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

from clipping.errors import UsageError

__all__ = ["LISTS"]

LISTS = (".txt", ".csv", ".jsonl", ".parquet")
_COLUMNS = ("path", "uri", "url", "video", "file", "filepath", "video_path", "source")


def read_list(path: str, content: bytes) -> Iterator[str]:
    """The file names in a text, CSV, JSON Lines or Parquet list."""
    try:
        if path.lower().endswith(".parquet"):
            from pyarrow import parquet  # slow to import, seldom needed

            reader: Any = parquet
            table: Any = reader.read_table(io.BytesIO(content))
            column = _column(table.column_names, path)
            yield from (str(v) for v in table.column(column).to_pylist() if v)
            return
        with io.StringIO(content.decode("utf-8-sig"), newline="") as lines:
            if path.lower().endswith(".csv"):
                rows = csv.reader(lines)
                header = next(rows, list[str]())
                named = [c.strip().lower() for c in header]
                at = next((named.index(c) for c in _COLUMNS if c in named), None)
                if at is None:  # no header: the first column, from the first row on
                    at = 0
                    yield from header[:1]
                yield from (row[at] for row in rows if len(row) > at and row[at].strip())
            elif path.lower().endswith(".jsonl"):
                for line in lines:
                    if not line.strip():
                        continue
                    value: Any = json.loads(line)
                    yield str(value if isinstance(value, str) else value[_column(value, path)])
            else:
                kept = (line.strip("\r\n") for line in lines)
                yield from (x for x in kept if x.strip() and not x.startswith("#"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"the list {path!r} cannot be read: {error}") from None
    except Exception as error:  # pyarrow has errors of its own for a file that is no Parquet
        if type(error).__module__.startswith("pyarrow"):
            raise UsageError(f"the list {path!r} is not a Parquet file: {error}") from None
        raise


def _column(names: Any, path: str) -> str:
    for wanted in _COLUMNS:
        if wanted in names:
            return wanted
    known = ", ".join(_COLUMNS[:4])
    raise UsageError(f"the list {path!r} has no column called {known} or the like")
