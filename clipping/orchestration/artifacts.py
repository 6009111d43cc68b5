"""What a run leaves in Prefect: its progress, a summary, a table of clips, a link to the output."""

import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)

from clipping.config.run_config import RunConfig
from clipping.run.summary import summary_markdown
from clipping.run.tally import Tally
from clipping.storage.addresses import is_remote

__all__ = ["ProgressArtifact", "publish_artifacts"]

_PROGRESS_ARTIFACT_EVERY = 3.0
_TABLE_COLUMNS = (
    *("source", "number", "status", "start_s", "end_s"),
    *("frames", "bytes", "encoder", "clip", "errors"),
)


def publish_artifacts(tally: Tally, config: RunConfig, about: list[tuple[str, str]]) -> None:
    """Create a run's summary, table of clips and link to its output."""
    output = config.output
    create_markdown_artifact(
        summary_markdown(tally, output, about),
        key="clip-summary",
        description="What was clipped, how fast, and what failed",
    )
    rows = [{name: row[name] for name in _TABLE_COLUMNS} for row in tally.rows]
    more = tally.rows_total - len(rows)
    create_table_artifact(
        rows,
        key="clip-table",
        description=f"The first {len(rows)} of {tally.rows_total} clips; manifest.parquet has all"
        if more > 0
        else "All clips of this run",
    )
    link = output if is_remote(output) else Path(output).as_uri()
    create_link_artifact(link, key="clip-output", description="The output folder")


class ProgressArtifact:
    """Prefect's progress artifact, moved every few seconds. A server that is away stops nothing."""

    def __init__(self) -> None:
        self._id: Any = None
        with suppress(Exception):
            self._id = create_progress_artifact(
                progress=0.0, key="clip-progress", description="Share of the frames encoded"
            )
        self._last = time.monotonic()

    def update(self, share: float) -> None:
        """Move it, if the last move is old enough."""
        now = time.monotonic()
        if now - self._last >= _PROGRESS_ARTIFACT_EVERY:
            self._last = now
            self._move(round(share * 100, 1))

    def close(self) -> None:
        """All is done."""
        self._move(100.0)

    def _move(self, percent: float) -> None:
        with suppress(Exception):
            if self._id is not None:
                update_progress_artifact(self._id, progress=percent)
