"""One manifest out of those that the runs of all shards left."""

from __future__ import annotations

from clipping.dataset.coverage import Coverage
from clipping.dataset.layout import (
    MANIFEST,
    MANIFESTS,
    shard_manifest,
    shard_of_manifest,
)
from clipping.dataset.report.page import report_line
from clipping.dataset.tables import HeldTables
from clipping.errors import UsageError
from clipping.plan.shards import shard_parts
from clipping.storage.outputs import Output
from clipping.wording import count

__all__ = ["merge_manifests"]


def merge_manifests(output: Output) -> str:
    """Join `manifests/*.parquet` into `manifest.parquet`, and the tables beside it.

    A video's rows are those of the newest manifest that tells of it; clips that none tells of
    are added by their records. Returns lines that say what was joined. Raises UsageError if a
    shard's manifest is missing, shards of different counts lie there or a run is at work;
    StorageError.
    """
    shards = _complete(set(output.sizes(MANIFESTS)), output.location(MANIFESTS))
    with output.claimed():
        held = HeldTables.load(output, "")
        with Coverage(held, None) as coverage:
            holding = coverage.publish(looks=False)
            report, _ = report_line(coverage, None)
    where = output.location(MANIFEST)
    told = f", {holding.failed} of them failed" if holding.failed else ""
    clips = count(holding.clips + holding.failed, "clip")
    return f"{clips} of {count(shards, 'shard')} in {where}{told}\n{report}"


def _complete(there: set[str], where: str) -> int:
    """How many shards there are, all of one count, and all with their manifest."""
    found = {s for s in map(shard_of_manifest, there) if s is not None}
    counts = {shard_parts(shard)[1] for shard in found}
    if not found:
        raise UsageError(f"{where} holds no manifests; run the shards first (--shard 1/16 …)")
    if len(counts) > 1:
        kinds = ", ".join(map(str, sorted(counts)))
        raise UsageError(
            f"{where} holds manifests of shards of different counts ({kinds}); remove the old ones"
        )
    shards = counts.pop()
    wanted = [f"{i}/{shards}" for i in range(1, shards + 1)]
    missing = [shard for shard in wanted if shard_manifest(shard) not in there]
    if missing:
        shown = ", ".join(missing[:10]) + (" …" if len(missing) > 10 else "")
        raise UsageError(f"{where}: shards {shown} have left no manifest yet; run them first")
    return shards
