"""What a run leaves in Prefect: progress, summary, clips as a table and as pictures, its output."""

import base64
import os
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from prefect.artifacts import (
    create_image_artifact,
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)

from clipping.config.run_config import RunConfig
from clipping.media.contact_sheet import COLUMNS, contact_sheet
from clipping.run.summary_page import of_many_videos, summary_markdown, table_rows
from clipping.run.tally import Tally
from clipping.storage.addresses import browser_address, is_remote
from clipping.storage.outputs import open_output

__all__ = ["ProgressArtifact", "publish_artifacts"]

_PROGRESS_ARTIFACT_EVERY = 3.0
_PICTURES = 3 * COLUMNS
# A store is asked for whole clips.
_LARGEST_PICTURED = 32_000_000


def publish_artifacts(
    tally: Tally, config: RunConfig, about: list[tuple[str, str]], *, ended_early: str = ""
) -> None:
    """Create a run's summary, its clips as a table and as pictures, and where its output is.

    ended_early: why the run did not come to its end.
    """
    far = is_remote(config.output)
    output = config.output if far else str(Path(config.output).absolute())
    link = _opens(output, is_folder=True)
    where = f"[{output}]({link})" if link else f"`{output}`"
    create_markdown_artifact(
        summary_markdown(tally, where, about, ended_early=ended_early),
        key="clip-summary",
        description="What failed, what was clipped, and how fast",
    )
    links = {
        row["clip"]: address
        for row in tally.rows
        if row["file"]
        and (address := _opens(f"{output.rstrip('/')}/{row['file']}", is_folder=False))
    }
    rows = table_rows(tally.rows, links)
    more = tally.rows_total - len(rows)
    create_table_artifact(
        rows,
        key="clip-table",
        description=f"The first {len(rows)} of {tally.rows_total} clips; manifest.parquet has all"
        if more > 0
        else "All clips of this run",
    )
    if tally.report_at and (address := _opens(tally.report_at, is_folder=False)):
        create_link_artifact(
            address, key="clip-report", link_text="report.html", description="The clips to look at"
        )
    if link:
        create_link_artifact(
            link, key="clip-output", link_text=output, description="Where the clips are"
        )
    else:
        create_markdown_artifact(
            f"`{output}`", key="clip-output", description="Where the clips are"
        )
    if tally.written > tally.reused:  # what was there is not read again, in a store above all
        _publish_pictures(tally.rows, config)


def _opens(uri: str, *, is_folder: bool) -> str | None:
    """Where a browser opens it; None for what only another program reaches."""
    if uri.startswith("s3://") and any(
        os.environ.get(name) for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3")
    ):  # not Amazon's, whose console would not know it
        return None
    return browser_address(uri, is_folder=is_folder) if is_remote(uri) else None


def _publish_pictures(rows: list[dict[str, Any]], config: RunConfig) -> None:
    """The first frames of clips from as many videos as there is room for, in one picture.

    The picture is in the artifact itself: a browser reaches Prefect's server, not the output.
    """
    written = [row for row in rows if row["file"] and row["bytes"] <= _LARGEST_PICTURED]
    chosen = of_many_videos(written, _PICTURES)
    output = open_output(config.output, config.execution.shard)
    with ExitStack() as stack:
        files = [(row, output.open(row["file"])) for row in chosen]
        opened = [(row, stack.enter_context(file)) for row, file in files if file]
        jpeg = contact_sheet(file for _, file in opened)
    if jpeg is None:
        return
    names = ", ".join(f"{row['source']} {row['number']}" for row, _ in opened)
    create_image_artifact(
        f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}",
        key="clip-pictures",
        description=f"First frames of clips, row by row: {names}",
    )


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
