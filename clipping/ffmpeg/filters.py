"""The filters that make a clip's picture of a source's. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from clipping.models import VideoFacts
from clipping.plan.picture_size import AS_IT_IS, PictureSize, SizeRule, sized

__all__ = [
    "Picture",
    "aspect_of",
    "cpu_picture",
    "even_size",
    "gpu_picture",
    "is_rgb",
    "size_of",
]


_SCALING = "flags=bicubic+accurate_rnd+full_chroma_int"


@dataclass(frozen=True, slots=True)
class Picture:
    """The picture to make of a source: its size in pixels, and the filters that make it.

    on_gpu: whether the filters take, and give, frames in a GPU's memory.
    at_source_rate: how many of the filters, from the first on, need all of the source's frames.
    """

    width: int
    height: int
    filters: tuple[str, ...]
    on_gpu: bool = False
    at_source_rate: int = 0

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.width, self.height


def even_size(width: int, height: int) -> tuple[int, int]:
    """4:2:0 needs even sides: an odd one loses its last row or column, a side of 1 is doubled."""
    return max(2, width - width % 2), max(2, height - height % 2)


def is_rgb(video: VideoFacts) -> bool:
    """Whether its pictures are stored as red, green and blue."""
    return video.color_space == "gbr" or video.pixel_format.startswith(_RGB)


def size_of(video: VideoFacts, rule: SizeRule) -> tuple[int, int]:
    """Width and height of the picture that a source's becomes, in pixels."""
    if rule.is_none:
        return even_size(video.width, video.height)
    return _planned(video, rule).size


def aspect_of(video: VideoFacts, rule: SizeRule) -> Fraction:
    """Width to height of a pixel of that picture."""
    return Fraction(1) if rule.square else _aspect(video)


def _planned(video: VideoFacts, rule: SizeRule) -> PictureSize:
    return sized(video.width, video.height, _aspect(video), rule)


def _aspect(video: VideoFacts) -> Fraction:
    """Width to height of a source's pixel as it is shown."""
    stored = video.sample_aspect_ratio or Fraction(1)
    # What is known of shapes stands upright already.
    return 1 / stored if video.rotation % 180 and not video.shapes else stored


def cpu_picture(
    video: VideoFacts,
    *,
    tone_map: bool,
    deinterlace: bool,
    pixel_format: str,
    rule: SizeRule = AS_IT_IS,
) -> Picture:
    """How a source's picture becomes progressive, limited range, of even size, on the CPU.

    pixel_format: what the encoder is to be given; rule: what size it gets.
    """
    width, height = size_of(video, rule)
    filters: list[str] = []
    if deinterlace and video.field_order != "progressive":
        filters.append("bwdif=mode=send_frame:parity=auto:deint=interlaced")
    planned = None if rule.is_none else _planned(video, rule)
    to = f"{planned.scaled[0]}:{planned.scaled[1]}:" if planned else ""
    if tone_map and video.is_hdr:
        # Inputs are named because an untagged stream makes zscale refuse the conversion.
        matrix = "2020_ncl" if video.color_space in (None, "unknown") else "input"
        primaries = "2020" if video.color_primaries in (None, "unknown") else "input"
        span = "full" if video.color_range == "pc" else "limited"
        # Scaled before it is tone-mapped, which takes longest.
        filters += [
            *([f"scale={to}{_SCALING}"] if planned else []),
            f"zscale=min={matrix}:pin={primaries}:rin={span}:t=linear:npl=100",
            "format=gbrpf32le",
            "zscale=p=bt709",
            "tonemap=hable:desat=0",
            "zscale=t=bt709:m=bt709:r=limited",
            f"format={pixel_format}",
        ]
    else:
        rgb = is_rgb(video)
        matrix = ":out_color_matrix=bt709" if rgb else ""
        filters.append(f"scale={to}out_range=limited{matrix}:{_SCALING}")
        filters.append(f"format={pixel_format}")
        if rgb:
            filters.append("setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709")
    if planned:
        filters += _cut_and_padded(planned)
        # Or the scaler would make up for a rounded side.
        pixels = aspect_of(video, rule)
        filters.append(f"setsar={pixels.numerator}/{pixels.denominator}:max=65535")
    elif video.width == 1 or video.height == 1:
        filters.append(f"scale={width}:{height}:flags=neighbor")
    elif (width, height) != (video.width, video.height):
        filters.append("crop=trunc(iw/2)*2:trunc(ih/2)*2:0:0")
    fields = sum(f.startswith("bwdif") for f in filters)
    return Picture(width, height, tuple(filters), at_source_rate=fields)


def _cut_and_padded(planned: PictureSize) -> list[str]:
    (width, height), filters = planned.size, list[str]()
    cut = min(planned.scaled[0], width), min(planned.scaled[1], height)
    if cut != planned.scaled:
        left, top = planned.crop
        filters.append(f"crop={cut[0]}:{cut[1]}:{left}:{top}")
    if cut != planned.size:
        left, top = planned.pad
        filters.append(f"pad={width}:{height}:{left}:{top}:black")
    return filters


def gpu_picture(
    video: VideoFacts,
    *,
    tone_map: bool,
    deinterlace: bool,
    pixel_format: str,
    rule: SizeRule = AS_IT_IS,
) -> Picture | str:
    """The same picture made of frames in a GPU's memory, or why that cannot be.

    What has no filter on the GPU that gives the same picture is left to the CPU.
    """
    width, height = even_size(video.width, video.height)
    reasons = {
        "tone mapping": tone_map and video.is_hdr,
        "deinterlacing": deinterlace and video.field_order != "progressive",
        "a rotation": video.rotation % 360 != 0,
        "another size": not rule.is_none,
        "an odd size": (width, height) != (video.width, video.height),
        "full range": video.color_range == "pc" or video.pixel_format.startswith("yuvj"),
        "RGB": is_rgb(video),
    }
    for reason, holds in reasons.items():
        if holds:
            return reason
    # The range is said as on the CPU, so that both kinds have the same parameter sets.
    return Picture(
        width, height, (f"scale_cuda=format={pixel_format}", "setparams=range=limited"), True
    )


_RGB = ("rgb", "bgr", "gbr", "argb", "abgr", "0rgb", "0bgr", "pal8", "x2rgb", "x2bgr")
