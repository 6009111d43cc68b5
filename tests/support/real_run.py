"""A run with real ffmpeg, without Prefect and Ray: all that the flow does, in this process."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from clipping.config.run_config import RunConfig
from clipping.dataset.coverage import Coverage
from clipping.run.chunk import make_chunk, probe_file
from clipping.run.preparation import prepared
from clipping.run.report import report_run
from clipping.run.tally import Tally
from clipping.run.tracker import Tracker

__all__ = ["real_run"]


def real_run(
    config: RunConfig,
    *,
    before_end: Callable[[Tally], None] = lambda _tally: None,
    also: Sequence[Path] = (),
) -> Tally:
    """Do it; what it counted. before_end: called once all is made, before the tables are published.

    also: further inputs.
    """
    config = config.with_input(*config.input, *map(str, also))
    tally = Tally()
    with prepared(config) as work:
        assert work.earlier.tables is not None
        with Coverage(work.earlier.tables, work.earlier.recipe_digest) as manifest:
            tracker = Tracker(config, work.earlier, tally, manifest)
            for file in tracker.sort_out(work.found):
                probed = probe_file(file, config.execution)
                if probed.failure:
                    tracker.fail_source(file, probed.failure, is_verdict=True)
                    continue
                for waiting in tracker.plan(probed):
                    tracker.take_chunk(
                        waiting.chunk,
                        make_chunk(waiting.chunk, config, work.earlier.output),
                        None,
                    )
            before_end(tally)
            tally.holding = manifest.publish(
                [file.uri for file in work.found.sources],
                config.input,
                prune=config.execution.prune,
            )
            tally.seconds = time.monotonic() - tally.began
            report_run(manifest, tally, config)
    return tally
