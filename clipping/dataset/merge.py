"""One manifest out of those that the runs of all shards left."""

from __future__ import annotations

import importlib
import tempfile
from pathlib import Path
from typing import Any

from clipping.dataset.layout import MANIFEST, MANIFESTS, shard_manifest
from clipping.errors import UsageError
from clipping.models import ClipStatus
from clipping.storage.outputs import Output
from clipping.wording import count

__all__ = ["merge_manifests"]


def merge_manifests(output: Output) -> str:
    """Join `manifests/*.parquet` into `manifest.parquet`, row group by row group.

    Returns a line that says what was joined. Raises UsageError if a shard's manifest is
    missing or shards of different counts lie there, StorageError.
    """
    names = _complete(set(output.sizes(MANIFESTS)), output.location(MANIFESTS))
    parquet: Any = importlib.import_module("pyarrow.parquet")
    rows = failed = 0
    with tempfile.TemporaryDirectory(prefix="clipping-manifest-") as folder:
        joined = Path(folder) / MANIFEST
        writer: Any = None
        for name in names:
            part = Path(folder) / "part.parquet"
            output.fetch(f"{MANIFESTS}/{name}", part)
            with parquet.ParquetFile(part) as file:
                writer = writer or parquet.ParquetWriter(joined, file.schema_arrow)
                for group in range(file.num_row_groups):
                    table: Any = file.read_row_group(group)
                    writer.write_table(table)
                    rows += table.num_rows
                    failed += table["status"].to_pylist().count(ClipStatus.FAILED.value)
        writer.close()
        output.publish(joined, MANIFEST)
    where = output.location(MANIFEST)
    told = f", {failed} of them failed" if failed else ""
    return f"{count(rows, 'clip')} of {count(len(names), 'shard')} in {where}{told}"


def _complete(there: set[str], where: str) -> list[str]:
    """The manifests of all shards of one count, in order."""
    counts = {name.removesuffix(".parquet").rpartition("-")[2] for name in there}
    if not there:
        raise UsageError(f"{where} holds no manifests; run the shards first (--shard 1/16 …)")
    if len(counts) > 1:
        kinds = ", ".join(sorted(counts))
        raise UsageError(
            f"{where} holds manifests of shards of different counts ({kinds}); remove the old ones"
        )
    shards = int(counts.pop())
    wanted = [shard_manifest(f"{i}/{shards}") for i in range(1, shards + 1)]
    missing = [f"{i}/{shards}" for i, name in enumerate(wanted, 1) if name not in there]
    if missing:
        shown = ", ".join(missing[:10]) + (" …" if len(missing) > 10 else "")
        raise UsageError(f"{where}: shards {shown} have left no manifest yet; run them first")
    return wanted
