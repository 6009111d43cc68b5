"""How a table of an output is written: taken in piece by piece, put in order, published whole."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from clipping.dataset.manifest import MANIFEST_COLUMNS, Column, schema_of
from clipping.storage.outputs import Output
from clipping.storage.scratch import SweptFolder

__all__ = ["TableWriter", "picked", "with_column"]

_ROWS_A_GROUP = 5_000
_ROWS_AT_ONCE = 100_000  # in memory; a row has half a kilobyte
_ORDER = ("source", "number", "start_s")  # of those that a table has


def picked(table: Any, rows: Sequence[int]) -> Any:
    """These rows of an Arrow table."""
    arrow: Any = importlib.import_module("pyarrow")
    return table.take(arrow.array(rows, arrow.int64()))


def with_column(table: Any, name: str, values: Sequence[str | None]) -> Any:
    """An Arrow table with other values in a column of text."""
    arrow: Any = importlib.import_module("pyarrow")
    at: int = table.schema.get_field_index(name)
    return table.set_column(at, table.schema.field(at), arrow.array(values, arrow.string()))


class TableWriter:
    """A table, written row group by row group to a temporary file, then sorted, then published.

    Rows are in the order of their videos' keys and, within a video, of their clips' numbers; rows
    that are equal in that stay in the order in which they came. Memory is bounded, but for the
    order itself. Used in a `with`; what was not published by its end is gone.
    """

    def __init__(
        self,
        output: Output,
        name: str,
        columns: Sequence[Column] = MANIFEST_COLUMNS,
        *,
        rows_at_once: int = _ROWS_AT_ONCE,
    ) -> None:
        # Slow to import; only a run that writes needs it.
        self._arrow: Any = importlib.import_module("pyarrow")
        self._parquet: Any = importlib.import_module("pyarrow.parquet")
        self._output, self._name, self._at_once = output, name, rows_at_once
        self._folder = SweptFolder()
        self._path = Path(self._folder.name) / "table.parquet"
        self._schema = schema_of(columns)
        self._order = [c.name for c in columns if c.name in _ORDER]
        unsorted = self._path.with_name("unsorted.parquet")
        self._unsorted: Any = self._parquet.ParquetWriter(str(unsorted), self._schema)
        self._rows: list[dict[str, Any]] = []

    def add(self, rows: Iterable[dict[str, Any]]) -> None:
        """Take in rows."""
        self._rows.extend(rows)
        if len(self._rows) >= _ROWS_A_GROUP:
            self._flush()

    def add_table(self, table: Any) -> None:
        """Take in an Arrow table; a column that it lacks is null."""
        self._flush()
        columns = [
            table[f.name].cast(f.type)
            if f.name in table.column_names
            else self._arrow.nulls(table.num_rows, f.type)
            for f in self._schema
        ]
        self._unsorted.write_table(self._arrow.Table.from_arrays(columns, schema=self._schema))

    def _flush(self) -> None:
        if self._rows:
            table = self._arrow.Table.from_pylist(self._rows, schema=self._schema)
            self._unsorted.write_table(table)
            self._rows.clear()

    def finish(self, facts: Mapping[str, str]) -> None:
        """No more rows: put them in order, with `facts` in the file's metadata."""
        self._flush()
        self._unsorted.close()
        unsorted = self._path.with_name("unsorted.parquet")
        with (
            self._parquet.ParquetFile(unsorted) as file,
            self._parquet.ParquetWriter(
                str(self._path), self._schema, write_page_checksum=True
            ) as writer,
        ):
            for table in self._sorted(file):
                writer.write_table(table, row_group_size=_ROWS_A_GROUP)
            writer.add_key_value_metadata(dict(facts))
        unsorted.unlink()

    def rows(self, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
        """The rows in order, after `finish`: these columns of them."""
        with self._parquet.ParquetFile(self._path) as file:
            for batch in file.iter_batches(columns=list(columns)):
                yield from batch.to_pylist()

    def publish(self) -> None:
        """Put it into the output under its name, after `finish`."""
        self._output.publish(self._path, self._name)

    def _sorted(self, file: Any) -> Iterator[Any]:
        """The rows of a file in order, in pieces."""
        compute: Any = importlib.import_module("pyarrow.compute")
        if file.metadata.num_rows <= self._at_once:
            table = file.read()
            yield table.take(compute.sort_indices(table, self._by(self._order)))
            return
        order = compute.sort_indices(file.read(columns=self._order), self._by(self._order))
        places = compute.sort_indices(order)  # of the rows as they came: the inverse
        del order
        yield from self._dealt(file, places, compute)

    def _by(self, names: Iterable[str]) -> Any:
        return [(name, "ascending") for name in names]

    def _dealt(self, file: Any, places: Any, compute: Any) -> Iterator[Any]:
        """The rows, each at its place: dealt out to files of as many as are sorted at once."""
        schema = self._schema.append(self._arrow.field("place", self._arrow.uint64()))
        parts = [
            self._path.with_name(f"part-{at}")
            for at in range(0, file.metadata.num_rows, self._at_once)
        ]
        with ExitStack() as stack:
            writers = [
                stack.enter_context(self._arrow.ipc.new_stream(str(part), schema)) for part in parts
            ]
            done = 0
            for batch in file.iter_batches(batch_size=self._at_once):
                mine = places.slice(done, batch.num_rows)
                done += batch.num_rows
                table = self._arrow.Table.from_batches([batch]).append_column("place", mine)
                part_of = compute.divide(mine, self._arrow.scalar(self._at_once, mine.type))
                for part in compute.unique(part_of).to_pylist():
                    writers[part].write_table(table.filter(compute.equal(part_of, part)))
        for part in parts:
            with self._arrow.memory_map(str(part)) as stream:
                table = self._arrow.ipc.open_stream(stream).read_all()
                table = table.take(compute.sort_indices(table["place"]))
                yield table.drop_columns("place").cast(self._schema)
            part.unlink()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()
