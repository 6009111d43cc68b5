"""The filters for a source whose pictures change in mid-stream: each is fitted to its clip's. Pure.

ffmpeg's own way (squeeze what differs to the size of the first picture it meets, turn by the last
orientation it has decoded, take the container's pixel aspect for all) depends on where decoding
begins. Here every segment holds frames of one shape, and its filters are made for that.
"""

from __future__ import annotations

from fractions import Fraction

from clipping.ffmpeg.filters import Picture, aspect_of, cpu_picture, is_rgb, size_of
from clipping.models import PictureShape, VideoFacts
from clipping.plan.picture_size import AS_IT_IS, SizeRule

__all__ = ["shaped_picture"]

# Degrees clockwise, and whether the picture is mirrored, to ffmpeg's filters (fftools' own choice).
_UPRIGHT = {
    (0, False): (),
    (0, True): ("vflip",),
    (90, False): ("transpose=clock",),
    (90, True): ("transpose=cclock_flip",),
    (180, False): ("hflip", "vflip"),
    (180, True): ("hflip",),
    (270, False): ("transpose=cclock",),
    (270, True): ("transpose=clock_flip",),
}
_EXACT = 65_535  # else the aspect is rounded to numbers below 100; H.264 has 16 bits for each
_BT709 = ("bt709", "bt709", "bt709")


def shaped_picture(
    video: VideoFacts,
    *,
    shape: int,
    shown_as: int,
    tone_map: bool,
    deinterlace: bool,
    pixel_format: str,
    rule: SizeRule = AS_IT_IS,
) -> Picture:
    """How pictures of one of a source's shapes become those of a clip that begins with another.

    shape, shown_as: numbers of the two, which may be the same.
    """
    stored, facts, goal = video.shapes[shape], video.with_shape(shape), video.with_shape(shown_as)
    # What is not of the clip's own shape keeps all of its picture, within the clip's.
    own_rule = rule if shape == shown_as else AS_IT_IS
    own = cpu_picture(
        facts,
        tone_map=tone_map,
        deinterlace=deinterlace,
        pixel_format=pixel_format,
        rule=own_rule,
    )
    width, height = size_of(goal, rule)
    filters = ["sidedata=mode=delete:type=DISPLAYMATRIX", *_upright(stored), *own.filters]
    shown = aspect_of(facts, own_rule) / aspect_of(goal, rule)
    filters += _fitted(own.size, shown, (width, height))
    if shape != shown_as:
        filters += _recoloured(_colours(facts, tone_map), _colours(goal, tone_map))
    pixels = Fraction(1) if rule.square else goal.sample_aspect_ratio or Fraction(0)
    filters.append(f"setsar={pixels.numerator}/{pixels.denominator}:max={_EXACT}")
    return Picture(width, height, tuple(filters), at_source_rate=len(filters))


def _upright(stored: PictureShape) -> tuple[str, ...]:
    return _UPRIGHT[-stored.rotation % 360, stored.flipped]


def _fitted(size: tuple[int, int], aspect: Fraction, goal: tuple[int, int]) -> list[str]:
    """Scale to the largest size within `goal` that keeps proportions, and pad with black.

    aspect: of a pixel of `size`, in pixels of `goal`.
    """
    wide = size[0] * aspect / size[1]
    width = min(goal[0], _even(goal[1] * wide))
    height = min(goal[1], _even(goal[0] / wide))
    # Said even where nothing changes: ffmpeg gives all pictures the size of the first one that it
    # decodes, which may be one of another shape that is decoded and dropped on the way.
    filters = [f"scale={width}:{height}:flags=bicubic+accurate_rnd+full_chroma_int"]
    if (width, height) != goal:
        # Chroma has half the lines and columns: the picture begins at even ones.
        left, top = (goal[0] - width) // 4 * 2, (goal[1] - height) // 4 * 2
        filters.append(f"pad={goal[0]}:{goal[1]}:{left}:{top}:black")
    return filters


def _even(length: Fraction) -> int:
    return max(2, round(length / 2) * 2)


def _colours(facts: VideoFacts, tone_map: bool) -> tuple[str, str, str]:
    """Matrix, primaries and transfer that pictures of this shape are encoded with."""
    if is_rgb(facts) or (tone_map and facts.is_hdr):
        return _BT709
    told = (facts.color_space, facts.color_primaries, facts.color_transfer)
    space, primaries, transfer = (colour or "unknown" for colour in told)
    return space, primaries, transfer


def _recoloured(have: tuple[str, str, str], want: tuple[str, str, str]) -> list[str]:
    """Say the same of the colours as the clip's other frames do; the matrix is converted."""
    filters: list[str] = []
    if have[0] != want[0] and "unknown" not in (have[0], want[0]):
        filters.append(f"scale=in_color_matrix={have[0]}:out_color_matrix={want[0]}")
    space, primaries, transfer = want
    return [
        *filters,
        f"setparams=range=limited:color_primaries={primaries}:color_trc={transfer}"
        f":colorspace={space}",
    ]
