"""Histograms of the clips as SVG, made when the page is; what lies far outside is named."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from clipping.wording import size

__all__ = ["Histogram", "Outlier", "histograms"]

_BARS = 24
_NAMED = 5
_WIDE = 20.0  # times the range of all but outliers: from then on the outer bars hold the outliers
_FAR = 3.0  # interquartile ranges beyond the quartiles: Tukey's "far out"
_WIDTH, _HEIGHT, _BELOW = 320, 110, 18


@dataclass(frozen=True, slots=True)
class Outlier:
    """A clip with an unusual value. row: its place on the page."""

    clip: str
    row: int
    text: str


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar of a histogram, in the SVG's units."""

    x: float
    y: float
    width: float
    height: float
    text: str


@dataclass(frozen=True, slots=True)
class Histogram:
    """How often values occur. ticks: place and text below the bars."""

    title: str
    summary: str
    bars: tuple[Bar, ...]
    ticks: tuple[tuple[float, str], ...]
    outliers: tuple[Outlier, ...]
    more: int
    width: int = _WIDTH
    height: int = _HEIGHT
    whole: int = _HEIGHT + _BELOW


def _seconds(value: float) -> str:
    return f"{value:.4g} s"


def _bits(value: float) -> str:
    return f"{value:.3g} bits"


def _rate(value: float) -> str:
    return f"{value:.4g} fps"


def histograms(written: Any) -> list[Histogram]:
    """Of written clips (`Rows.written`): length, bits per pixel, frame rate, size."""
    if not written.num_rows:
        return []
    compute: Any = importlib.import_module("pyarrow.compute")
    pixels = compute.multiply(
        compute.multiply(written["width"], written["height"]), written["frames"]
    )
    bits = compute.divide(compute.multiply(compute.cast(written["bytes"], "float64"), 8.0), pixels)
    found = (
        _histogram("Length of a clip", written["duration_s"], written, _seconds),
        _histogram("Bits per pixel", bits, written, _bits),
        _histogram("Frame rate", written["fps"], written, _rate),
        _histogram("Size of a clip", compute.cast(written["bytes"], "float64"), written, size),
    )
    return [each for each in found if each is not None]


def _histogram(
    title: str, values: Any, written: Any, shown: Callable[[float], str]
) -> Histogram | None:
    compute: Any = importlib.import_module("pyarrow.compute")
    is_number = compute.fill_null(compute.is_finite(values), False)
    values, rows = values.filter(is_number), written.filter(is_number)
    if not len(values):
        return None
    least, low, middle, high, most = compute.quantile(values, q=[0, 0.25, 0.5, 0.75, 1]).to_pylist()
    reach = _FAR * max(high - low, abs(middle) * 0.05)  # nearly all may be alike
    first, last = max(least, low - reach), min(most, high + reach)
    is_cut = most - least > _WIDE * (last - first)
    start, step, bars = _scale(*((first, last) if is_cut else (least, most)))
    places = compute.cast(
        compute.floor(compute.divide(compute.subtract(values, start), step)), "int64"
    )
    places = compute.min_element_wise(compute.max_element_wise(places, 0), bars - 1)
    counts = [0] * bars
    for each in compute.value_counts(places).to_pylist():
        counts[each["values"]] = each["counts"]
    outside = compute.or_(compute.less(values, first), compute.greater(values, last))
    far = compute.cast(compute.abs(compute.subtract(values, middle)), "float64").filter(outside)
    order = compute.sort_indices(far, sort_keys=[("", "descending")])
    picked = rows.select(["clip", "row"]).filter(outside).take(order[:_NAMED]).to_pylist()
    their = values.filter(outside).take(order[:_NAMED]).to_pylist()
    outliers = tuple(
        Outlier(each["clip"], each["row"], shown(value))
        for each, value in zip(picked, their, strict=True)
    )
    summary = f"{shown(least)} to {shown(most)}, half of them below {shown(middle)}"
    if least == most:
        summary = f"all {shown(most)}"
    return Histogram(
        title, summary, _bars(counts, start, step, shown, (least, most)),
        _ticks(start, step, bars, shown, (least, most)),
        outliers, len(far) - len(outliers),
    )  # fmt: skip


def _scale(first: float, last: float) -> tuple[float, float, int]:
    """Where the bars begin, how wide one is, and how many there are: steps of 1, 2 or 5."""
    if last <= first:
        width = abs(first) * 0.02 or 1.0
        return first - width * 2.5, width, 5
    raw = (last - first) / _BARS
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw * 0.999)
    start = math.floor(first / step) * step
    return start, step, max(1, math.floor((last - start) / step) + 1)


def _bars(
    counts: list[int],
    start: float,
    step: float,
    shown: Callable[[float], str],
    ends: tuple[float, float],
) -> tuple[Bar, ...]:
    most, wide = max(counts), _WIDTH / len(counts)
    bars: list[Bar] = []
    for at, many in enumerate(counts):
        if not many:
            continue
        high = max(2.0, many / most * (_HEIGHT - 4))  # a single clip is seen, too
        low, up = start + at * step, start + (at + 1) * step
        low = min(low, ends[0]) if at == 0 else low
        up = max(up, ends[1]) if at == len(counts) - 1 else up
        text = f"{many} from {shown(max(0.0, low))} to {shown(up)}"
        bars.append(
            Bar(round(at * wide + 0.5, 2), round(_HEIGHT - high, 2), round(wide - 1, 2),
                round(high, 2), text)
        )  # fmt: skip
    return tuple(bars)


def _ticks(
    start: float,
    step: float,
    bars: int,
    shown: Callable[[float], str],
    ends: tuple[float, float],
) -> tuple[tuple[float, str], ...]:
    places = (0.0, bars / 2, float(bars))
    texts = [shown(max(0.0, start + at * step)) for at in places]
    # The outer bars hold all that lies further out.
    texts[0] = f"< {shown(start + step)}" if ends[0] < start else texts[0]
    texts[2] = (
        f"> {shown(start + (bars - 1) * step)}" if ends[1] > start + bars * step else texts[2]
    )
    return tuple(
        (round(at / bars * _WIDTH, 1), text) for at, text in zip(places, texts, strict=True)
    )
