"""What a flow run left: rows of its manifest, artifacts and task runs in Prefect's API."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, LogFilter
from prefect.client.schemas.sorting import LogSort

EARLIEST = datetime.min.replace(tzinfo=UTC)


def manifest(tmp_path: Path) -> list[dict[str, Any]]:
    """The rows of the manifest, by source and number."""
    rows = pq.read_table(tmp_path / "out" / "manifest.parquet").to_pylist()
    return sorted(rows, key=lambda r: (r["source"], r["number"]))


def newest_artifact(key: str) -> Any:
    """The latest artifact of a key, from the API."""
    with get_client(sync_client=True) as api:
        artifacts = api.read_artifacts(limit=200)
        return max((a for a in artifacts if a.key == key), key=lambda a: a.created or EARLIEST)


def newest_flow_run() -> Any:
    """The latest flow run, from the API."""
    with get_client(sync_client=True) as api:
        return max(api.read_flow_runs(limit=200), key=lambda r: r.created or EARLIEST)


def logs_of(flow_run: Any) -> list[Any]:
    """What a flow run and its task runs have logged, in order, as far as it has arrived."""
    with get_client(sync_client=True) as api:
        only = LogFilter(flow_run_id={"any_": [flow_run.id]})  # type: ignore[arg-type]
        return api.read_logs(log_filter=only, limit=200, sort=LogSort.TIMESTAMP_ASC)


def events_of(flow_run: Any) -> list[dict[str, Any]]:
    """Our own events that name a flow run among what they are about, in order."""
    only = {
        "event": {"prefix": ["clipping."]},
        "any_resource": {"id": [f"prefect.flow-run.{flow_run.id}"]},
        "order": "ASC",
    }
    with get_client(sync_client=True) as api:
        answer = api.request("POST", "/events/filter", json={"filter": only, "limit": 50})
        return answer.json()["events"]


def newest_task_runs() -> list[Any]:
    """The task runs of the latest flow run, from the API."""
    flow_run = newest_flow_run()
    with get_client(sync_client=True) as api:
        only = FlowRunFilter(id={"any_": [flow_run.id]})  # type: ignore[arg-type]
        return api.read_task_runs(flow_run_filter=only, limit=200)
