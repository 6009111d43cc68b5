"""`failures.csv`: everything that did not become a clip, with its kind and its reason."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from clipping.models import ClipStatus, SourceStatus
from clipping.storage.outputs import Output
from clipping.storage.scratch import SweptFolder

__all__ = ["FAILURE_COLUMNS", "FailureList"]

FAILURE_COLUMNS = (
    *("source", "source_uri", "clip", "number", "start_s", "end_s"),
    *("status", "failure_kind", "reason", "recipe_digest"),
)


class FailureList:
    """Written row by row to a temporary file, then published. Used in a `with`."""

    def __init__(self, output: Output, name: str) -> None:
        self._output, self._name = output, name
        self._folder = SweptFolder()
        self._path = Path(self._folder.name) / "failures.csv"
        self._stream = open(self._path, "w", newline="", encoding="utf-8")  # noqa: SIM115
        self._rows = csv.DictWriter(self._stream, FAILURE_COLUMNS, extrasaction="ignore")
        self._rows.writeheader()

    def add_clip(self, row: Mapping[str, Any]) -> None:
        """Take in a row of the manifest, if it is of a clip that was not made."""
        if row["status"] in (ClipStatus.FAILED, ClipStatus.ABSENT):
            self._rows.writerow({**row, "reason": row["errors"]})

    def add_source(self, row: Mapping[str, Any]) -> None:
        """Take in a row of the table of videos, if the video gave no clip."""
        if row["status"] != SourceStatus.CLIPPED:
            self._rows.writerow(row)

    def publish(self) -> None:
        """Put it into the output under its name."""
        self._stream.close()
        self._output.publish(self._path, self._name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()
        self._folder.cleanup()
