"""What a run tells while it goes on and at its end: error lines, and events to automate on.

docs/prefect.md has the events with their fields, and an automation.
"""

from dataclasses import dataclass, field
from typing import Any

from prefect.events import emit_event
from prefect.logging import get_run_logger

from clipping.config.run_config import RunConfig
from clipping.dataset.layout import FAILURES
from clipping.models import Failure
from clipping.run.summary import named
from clipping.run.tally import Tally

__all__ = ["FailuresTold", "announce_end"]

# Beyond that a run has gone wrong as a whole, and nobody reads on.
_MOST = 1000


@dataclass(slots=True)
class FailuresTold:
    """Tells of each failure once: a line for each reason a video has, an event for each video."""

    config: RunConfig
    _reasons: set[tuple[str, str, str]] = field(default_factory=set[tuple[str, str, str]])
    _sources: set[str] = field(default_factory=set[str])

    def tell(self, source: str, name: str, failure: Failure) -> None:
        """Tell of it, if that is new. source: the video; name: what failed, it or a clip of it."""
        reason = (source, failure.kind.value, failure.message)
        if reason in self._reasons or len(self._reasons) > _MOST:
            return
        self._reasons.add(reason)
        if len(self._reasons) > _MOST:
            get_run_logger().error("… and more, in %s", FAILURES)
            return
        get_run_logger().error("%s", named(name, failure))
        if source in self._sources:
            return
        self._sources.add(source)
        emit_event(
            "clipping.source.failed",
            resource={
                "prefect.resource.id": f"clipping.source.{source}",
                "prefect.resource.name": source,
                "clipping.kind": failure.kind.value,
            },
            payload={
                "source": source,
                "what": name,
                "kind": failure.kind.value,
                "reason": failure.message,
                "output": self.config.output,
            },
        )


def announce_end(tally: Tally, config: RunConfig, failed: str | None) -> None:
    """Say that a run has ended. failed: why it counts as failed."""
    payload: dict[str, Any] = {
        "output": config.output,
        "input": list(config.input[:20]),
        "reason": failed or "",
        "videos": tally.sources,
        "videos_failed": tally.failed_sources,
        "clips": tally.written,
        "clips_made": tally.written - tally.reused,
        "clips_failed": tally.failed,
        "failures_new": tally.new_failures,
        "seconds": round(tally.seconds, 1),
    }
    emit_event(
        "clipping.run.finished",
        resource={
            "prefect.resource.id": f"clipping.output.{config.output}",
            "prefect.resource.name": config.output,
            "clipping.result": "failed" if failed else "completed",
        },
        payload=payload,
    )
