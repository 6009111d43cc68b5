"""What of a clip the source has lost or damaged. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from clipping.errors import ClippingError, FailureKind
from clipping.media.cut import EncodedSegment
from clipping.models import Clip

__all__ = ["damage_notes"]


def damage_notes(
    clip: Clip,
    held: Sequence[int],
    stop_pts: int,
    holding: Sequence[EncodedSegment],
    keyframes: Sequence[int],
    max_damage: float,
) -> list[str]:
    """What the record of a clip is to say of the source's damage; empty if there is none.

    held: source PTS of the frames that were encoded, of those before `stop_pts`; keyframes: of
    the source. Raises ClippingError if more than `max_damage` of the clip is damaged.
    """
    lost = max(0, clip.frame_count - len(held))
    spoilt = sum(1 for m in holding for p in m.damaged if clip.start_pts <= p < stop_pts)
    damage = min(clip.frame_count, lost + spoilt)
    note = f"{damage} of {clip.frame_count} frames are lost or damaged in the source"
    if not held or damage / clip.frame_count > max_damage:
        raise ClippingError(note, FailureKind.DAMAGED)
    if damage:
        return [note]
    if _follows_damage(clip, holding, keyframes):
        return ["its first frames are built on damaged ones before it in the source"]
    return []


def _follows_damage(
    clip: Clip, holding: Sequence[EncodedSegment], keyframes: Sequence[int]
) -> bool:
    """Whether damage before the clip reaches into it: no keyframe stands between."""
    before = [p for m in holding for p in m.damaged if p < clip.start_pts]
    return bool(before) and not any(max(before) < k <= clip.start_pts for k in keyframes)
