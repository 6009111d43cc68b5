"""The shots of a video, kept in the output, so that they are looked for once."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from clipping.dataset.layout import shots_name
from clipping.models import ProbedSource, ProbedStretch, SourceFile, Value
from clipping.plan.frame_times import unpack
from clipping.plan.scenes import SceneRule
from clipping.storage.outputs import Output

__all__ = ["keep_shots", "kept_shots"]


class _Shots(Value):
    """What the file holds.

    cuts: of each recording in the video, packed PTS of the first frames of its shots but the first;
    seconds: the same as seconds from the recording's first frame, for people.
    """

    source_key: str
    source_fingerprint: str
    rule: dict[str, Any]
    cuts: tuple[str, ...]
    frames: tuple[int, ...]
    seconds: tuple[tuple[float, ...], ...] = ()


def kept_shots(output: Output, probed: ProbedSource, rule: SceneRule) -> ProbedSource | None:
    """The source with the shots that were found before; None if there are none for this rule.

    Raises StorageError.
    """
    file = probed.file
    text = output.read_text(shots_name(file.key))
    try:
        held = _Shots.model_validate_json(text or "")
    except ValidationError:
        return None
    same = (held.source_key, held.source_fingerprint, held.rule)
    frames = tuple(_frames(probed))
    if same != (file.key, file.fingerprint, rule.values()) or held.frames != frames:
        return None
    if not probed.stretches:
        return probed.model_copy(update={"cuts": held.cuts[0]})
    parts = zip(probed.stretches, held.cuts, strict=True)
    stretches = tuple(part.model_copy(update={"cuts": cuts}) for part, cuts in parts)
    return probed.model_copy(update={"stretches": stretches})


def keep_shots(output: Output, probed: ProbedSource, rule: SceneRule) -> None:
    """Write down a source's shots. Raises StorageError."""
    file: SourceFile = probed.file
    held = _Shots(
        source_key=file.key,
        source_fingerprint=file.fingerprint,
        rule=rule.values(),
        cuts=tuple(part.cuts or "" for part in probed.parts),
        frames=tuple(_frames(probed)),
        seconds=tuple(_seconds(part) for part in probed.parts),
    )
    output.write_text(shots_name(file.key), held.model_dump_json(indent=1))


def _seconds(part: ProbedSource | ProbedStretch) -> tuple[float, ...]:
    assert part.source is not None
    video = part.source.video
    cuts = unpack(part.cuts or "")
    return tuple(float((cut - video.first_pts) * video.time_base) for cut in cuts)


def _frames(probed: ProbedSource) -> list[int]:
    """How many frames each recording has: other ones would not fit the cuts."""
    return [part.source.video.frame_count for part in probed.parts if part.source]
