"""The shots of a source that was opened: kept ones, or looked for and kept."""

from __future__ import annotations

from clipping.config.run_config import RunConfig
from clipping.dataset.kept_shots import keep_shots, kept_shots
from clipping.errors import ClippingError, FailureKind
from clipping.ffmpeg.binary import ffmpeg_path
from clipping.media.shots import with_cuts
from clipping.models import Failure, ProbedSource
from clipping.run.chunk import opened_source
from clipping.storage.outputs import Output
from clipping.storage.source import still_the_same

__all__ = ["look_for_shots"]


def look_for_shots(
    probed: ProbedSource, config: RunConfig, output: Output, *, keep: bool = True
) -> ProbedSource:
    """The source with its shots; what is wrong with it becomes its result.

    keep: write down what was found. Raises ClippingError for transient failures, and for what is
    not the source's own.
    """
    rule = config.recipe.scene_rule
    if rule is None or probed.source is None:
        return probed
    if held := kept_shots(output, probed, rule):
        return held
    try:
        still_the_same(probed.file)
        with opened_source(probed.file, config.execution) as reading:
            binary = ffmpeg_path(config.execution.ffmpeg_binary)
            found = with_cuts(probed, reading, binary, rule, config.execution)
    except ClippingError as error:
        if error.kind.is_transient or error.kind is FailureKind.NO_ENCODER:
            raise
        return ProbedSource(file=probed.file, failure=Failure.of(error))
    if keep:
        keep_shots(output, found, rule)
    return found
