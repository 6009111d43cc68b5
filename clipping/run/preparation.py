"""What a run starts from: its output, held for it alone, the videos found, what is done already.

The command line prepares a run before it starts Prefect's server and Ray, and hands it to the
flow; a flow that nobody handed anything, as in a deployment, prepares itself. Either way inputs
are listed once.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace

from clipping.config.run_config import RunConfig
from clipping.dataset.layout import own_folders
from clipping.dataset.resume import EarlierWork
from clipping.errors import UsageError
from clipping.run.span_list import SpanList, load_spans
from clipping.storage.addresses import is_remote
from clipping.storage.discover import Found, find_sources
from clipping.storage.local_files import absolute
from clipping.storage.outputs import Output, open_output

__all__ = [
    "Prepared",
    "earlier_work",
    "found_by",
    "from_anywhere",
    "handed_over",
    "prepared",
    "require_absolute",
]

_SOURCES_LOOKED_AT = 100


@dataclass(frozen=True, slots=True)
class Prepared:
    """A run that can begin.

    found: what the inputs hold; earlier: what the output holds; spans: what a list of spans has
    for each video, if there is one.
    """

    config: RunConfig
    found: Found
    earlier: EarlierWork
    spans: SpanList | None = None

    @property
    def may_have_work(self) -> bool:
        """Whether a cluster will be needed, by a look at what the tables do not vouch for."""
        earlier, tables = self.earlier, self.earlier.tables
        sources = [file for file in self.found.sources if earlier.held(file) is None]
        is_told = tables is not None and all(tables.covers(file.key) for file in sources)
        if not is_told and any(is_remote(u) for u in (*self.config.input, self.config.output)):
            return True  # to find out by the records takes as long as to start a cluster
        sources = sources[:_SOURCES_LOOKED_AT]
        return any(earlier.finished(f, earlier.source_record(f.key)) is None for f in sources)


def found_by(config: RunConfig) -> Found:
    """The videos that a run's inputs name. Raises UsageError and StorageError."""
    execution = config.execution
    leave_out = own_folders(config.output)
    return find_sources(config.input, execution.extensions, leave_out, execution.shard)


def from_anywhere(config: RunConfig) -> RunConfig:
    """The same run with paths that lead to the same place from any working folder.

    What records and messages say of a path is what stands here.
    """

    def led(path: str) -> str:
        return path if is_remote(path) else absolute(path)

    led_to = replace(config, input=tuple(map(led, config.input)), output=led(config.output))
    if not config.recipe.span_list:
        return led_to
    recipe = config.recipe.model_copy(update={"span_list": led(config.recipe.span_list)})
    return replace(led_to, recipe=recipe)


def require_absolute(config: RunConfig) -> None:
    """Raise UsageError for a path of a deployed run that depends on where the run happens.

    Prefect starts it in a folder that nobody chose: often a clone, removed when the run ends,
    and with it what was written there.
    """
    for name, path in (*(("input", each) for each in config.input), ("output", config.output)):
        local = os.path.expanduser(path.removeprefix("file://"))
        if not is_remote(path) and not os.path.isabs(local):
            raise UsageError(
                f"{name} {path!r} is relative, and the working folder of a deployed run may be a"
                " temporary clone that Prefect removes at the end: give an absolute path or a URI"
                f" as the parameter {name!r}"
            )


_handed: Prepared | None = None


@contextmanager
def handed_over(work: Prepared) -> Generator[None]:
    """Let the next run with the same configuration in this process begin with `work`."""
    global _handed
    _handed = work
    try:
        yield
    finally:
        _handed = None


def prepared(config: RunConfig) -> AbstractContextManager[Prepared]:
    """The run that was handed over, or a new one, whose output is held while the block runs.

    Raises UsageError if another run is writing into the output, or an input names nothing;
    StorageError.
    """
    if _handed is not None and _handed.config == config:
        return nullcontext(_handed)
    return _prepare(config)


@contextmanager
def _prepare(config: RunConfig) -> Generator[Prepared]:
    output = open_output(config.output, config.execution.shard)
    with output.claimed():
        found = found_by(config)
        spans = load_spans(config, found)
        yield Prepared(config, found, earlier_work(config, output, found, spans), spans)


def earlier_work(
    config: RunConfig, output: Output, found: Found, spans: SpanList | None
) -> EarlierWork:
    """What an output holds of a run's clips; rows of a list that cannot be made are among `found`.

    Raises StorageError.
    """
    earlier = EarlierWork.of(config, output)
    if spans is None:
        return earlier
    found.failed += spans.problems
    digests = {file.key: spans.digest(file.key) for file in found.sources}
    return replace(earlier, span_digests=digests)
