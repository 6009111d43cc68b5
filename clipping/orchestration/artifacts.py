"""What a run leaves in Prefect: its progress, a summary, a table of clips, a link to the output."""

import time
from pathlib import Path
from typing import Any

from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.runtime import flow_run

from clipping.config.load import Settings
from clipping.run.summary import summary_markdown
from clipping.run.tally import Tally
from clipping.storage.addresses import is_remote

__all__ = ["ProgressArtifact", "publish_artifacts"]

_PAGE = 200
_PROGRESS_ARTIFACT_EVERY = 3.0
_SETTLE_SECONDS = 5.0
_TABLE_COLUMNS = (
    *("source", "number", "status", "start_s", "end_s"),
    *("frames", "bytes", "encoder", "clip", "errors"),
)


def publish_artifacts(tally: Tally, settings: Settings, about: list[tuple[str, str]]) -> None:
    """Create them; retries are counted from what Prefect recorded of the task runs."""
    tally.retries = _recorded_retries()
    is_far = is_remote(settings.output)
    output = settings.output if is_far else str(Path(settings.output).absolute())
    create_markdown_artifact(
        summary_markdown(tally, output, about),
        key="clip-summary",
        description="What was clipped, how fast, and what failed",
    )
    rows = [{name: row[name] for name in _TABLE_COLUMNS} for row in tally.rows]
    more = tally.planned - len(rows)
    create_table_artifact(
        rows,
        key="clip-table",
        description=f"The first {len(rows)} of {tally.planned} clips; manifest.parquet has all"
        if more > 0
        else "All clips of this run",
    )
    link = output if is_far else Path(output).as_uri()
    create_link_artifact(link, key="clip-output", description="The output folder")


def _recorded_retries() -> int:
    """Runs beyond the first of every task run of this flow run.

    The API learns of a task's end a moment after we do: wait for it, but not long.
    """
    deadline = time.monotonic() + _SETTLE_SECONDS
    while True:
        retries, unsettled = 0, 0
        for run in _task_runs():
            retries += max(0, run.run_count - 1)
            unsettled += run.state is None or not run.state.is_final()
        if not unsettled or time.monotonic() > deadline:
            return retries
        time.sleep(0.3)


def _task_runs() -> Any:
    mine = FlowRunFilter(id=FlowRunFilterId(any_=[flow_run.get_id()]))
    with get_client(sync_client=True) as client:
        offset = 0
        while True:
            page = client.read_task_runs(flow_run_filter=mine, limit=_PAGE, offset=offset)
            yield from page
            if len(page) < _PAGE:
                return
            offset += _PAGE


class ProgressArtifact:
    """Prefect's progress artifact, moved every few seconds."""

    def __init__(self) -> None:
        self._id: Any = create_progress_artifact(
            progress=0.0, key="clip-progress", description="Share of the frames encoded"
        )
        self._last = time.monotonic()

    def update(self, share: float) -> None:
        """Move it, if the last move is old enough."""
        now = time.monotonic()
        if now - self._last >= _PROGRESS_ARTIFACT_EVERY:
            self._last = now
            update_progress_artifact(self._id, progress=round(share * 100, 1))

    def close(self) -> None:
        """All is done."""
        update_progress_artifact(self._id, progress=100.0)
