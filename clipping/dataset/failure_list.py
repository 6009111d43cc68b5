"""`failures.csv`: everything that did not become a clip, with its kind and its reason."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from clipping.dataset.table_writer import TableWriter
from clipping.models import ClipStatus, SourceStatus
from clipping.storage.outputs import Output
from clipping.storage.scratch import SweptFolder

__all__ = ["FAILURE_COLUMNS", "publish_failures"]

FAILURE_COLUMNS = (
    *("source", "source_uri", "clip", "number", "start_s", "end_s"),
    *("status", "failure_kind", "reason", "recipe_digest"),
)
_OF_A_SOURCE = ("source", "source_uri", "status", "failure_kind", "reason", "recipe_digest")
_OF_A_CLIP = (
    *("source", "source_uri", "clip", "number", "start_s", "end_s"),
    *("status", "failure_kind", "errors", "recipe_digest"),
)
_UNMADE = (ClipStatus.FAILED, ClipStatus.ABSENT)


def publish_failures(
    output: Output,
    name: str,
    unusable: Iterable[Mapping[str, Any]],
    sources: TableWriter,
    clips: TableWriter,
) -> None:
    """Put it into the output under its name: what the tables, once finished, tell, in their order.

    unusable: rows of what an input names and no record tells of. Raises StorageError.
    """
    with SweptFolder() as folder:
        path = Path(folder) / "failures.csv"
        with open(path, "w", newline="", encoding="utf-8") as stream:
            rows = csv.DictWriter(stream, FAILURE_COLUMNS, extrasaction="ignore")
            rows.writeheader()
            rows.writerows(unusable)
            for row in sources.rows(_OF_A_SOURCE):
                if row["status"] != SourceStatus.CLIPPED:
                    rows.writerow(row)
            for row in clips.rows(_OF_A_CLIP):
                if row["status"] in _UNMADE:
                    rows.writerow({**row, "reason": row["errors"]})
        output.publish(path, name)
