"""Writing the report of an output: data files that are new, the page, then what is old removed."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from itertools import chain, islice
from typing import Any

from clipping import __version__
from clipping.dataset.coverage import Coverage
from clipping.dataset.layout import (
    CLIPS,
    FAILURES,
    MANIFEST,
    PREVIEWS,
    REPORT,
    clip_id_of,
    failures_name,
    manifest_name,
    preview_file,
    report_folder,
    report_name,
    sources_name,
)
from clipping.dataset.recovery import side_by_side
from clipping.dataset.report.failures import Group, grouped, read_failures
from clipping.dataset.report.histograms import Histogram, histograms
from clipping.dataset.report.rows import (
    CLIP_FIELDS,
    ROWS_A_FILE,
    VIDEO_FIELDS,
    DataFile,
    Rows,
    Totals,
)
from clipping.plan.shards import shard_parts
from clipping.storage.outputs import Output
from clipping.wording import size

__all__ = ["RunFacts", "publish_report", "report_line", "require_page", "write_now"]

_NOW = "now.js"
_MADE = "made.json"
_MANY = 10_000  # clips, from which on their previews' listing is taken apart
_HEX = "0123456789abcdef"
_MOST = 3_000_000  # clips, of which a page is made: a gigabyte of memory each million
_FILES_AT_ONCE = 64
_FILES_A_RANGE = 10  # of videos: how many are searched and sorted at a time where there are many
_RANGES_FROM = 20_000  # videos, or five times as many clips


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What the page says of the run that made it. Lines are whole sentences.

    recipe: in a sentence; lines: what was made, how fast; problems: what does not add up.
    """

    recipe: str
    lines: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


@dataclass(slots=True)
class _Range:
    """Videos that are shown together. files: numbers of their data files, from and to."""

    first: str
    last: str
    files: tuple[int, int]
    sums: list[int] = field(default_factory=lambda: [0] * 10)


@dataclass(slots=True)
class _Content:
    """What a page shows besides the run.

    is_marked: whether the videos of the last run are marked, since they are not all.
    """

    totals: Totals = field(default_factory=Totals)
    groups: Sequence[Group] = ()
    charts: Sequence[Histogram] = ()
    files: dict[str, list[str]] = field(default_factory=lambda: {"clips": [], "videos": []})
    ranges: Sequence[_Range] = ()
    is_marked: bool = False
    unopened: int = 0


def publish_report(coverage: Coverage, run: RunFacts | None) -> str | None:
    """Write the report of the tables that `coverage` published, unless it is there already.

    Its location, None where there are no tables. Raises StorageError.
    """
    output, shard = coverage.held.output, coverage.held.shard
    stamp = json.dumps({"time": coverage.time, "version": __version__})
    folder = report_folder(shard)
    if not coverage.is_changed and output.read_text(f"{folder}/{_MADE}") == stamp:
        return output.location(report_name(shard))
    there = set(output.sizes(folder))
    with ExitStack() as stack:
        tables = (manifest_name(shard), sources_name(shard), failures_name(shard))
        manifest, sources, failures = (
            stack.enter_context(stream) if stream is not None else None
            for stream in map(output.open, tables)
        )
        if manifest is None or sources is None or failures is None:
            return None
        rows = Rows(manifest, sources, at_most=_MOST)
        groups, failed = grouped(read_failures(failures))
    totals = rows.totals()
    unopened = failed - totals.videos["failed"]  # what an input names, and cannot be opened
    content = _Content(totals, groups, histograms(rows.written()), unopened=max(0, unopened))
    files = rows.clip_files(_previews(output, rows.clips.num_rows))
    videos: list[DataFile] = []
    for batch in _batches(chain(files, rows.video_files(coverage.touched))):
        _write(output, folder, there, batch)
        for file in batch:
            content.files[file.kind].append(file.name)
            if file.names is not None:
                videos.append(replace(file, text=""))
    content.ranges = _ranges(videos, rows)
    content.is_marked = len(coverage.touched) < len(rows.keys)
    output.write_text(report_name(shard), _page(output, shard, content, run))
    write_now(output, shard, None)
    output.write_text(f"{folder}/{_MADE}", stamp)
    kept = {_NOW, _MADE, *(name for names in content.files.values() for name in names)}
    old = [f"{folder}/{name}" for name in there - kept]
    for _ in side_by_side(output, output.remove, old):
        pass
    return output.location(report_name(shard))


def report_line(coverage: Coverage, run: RunFacts | None) -> tuple[str, str | None]:
    """Write the report; a line that says where it is, or why it is not, and its path or URI.

    Nothing is raised: the clips and the tables are there, whatever happens to their description,
    and a later run tries again.
    """
    try:
        where = publish_report(coverage, run)
    except Exception as error:  # of whatever kind
        why = str(error) or type(error).__name__
        return f"{REPORT} was not written: {why}", None
    return (f"Report: {where}" if where else ""), where


def require_page(output: Output, shard: str) -> None:
    """Write a page without any clip, if there is none: a first run shows on it how far it is."""
    if output.read_text(f"{report_folder(shard)}/{_MADE}") is None:
        output.write_text(report_name(shard), _page(output, shard, _Content(), None))


def write_now(output: Output, shard: str, now: dict[str, Any] | None) -> None:
    """Tell the page how far a run is, or that none is at work (None)."""
    output.write_text(f"{report_folder(shard)}/{_NOW}", f"clippingNow({json.dumps(now)})\n")


def _previews(output: Output, clips: int) -> set[str]:
    """Ids of the clips that have one, from one listing."""
    names = output.sizes(PREVIEWS, begins=_HEX if clips > _MANY else "")
    ending = preview_file("")
    ids = (clip_id_of(f"{name.removesuffix(ending)}.mp4") for name in names)
    return {clip for clip in ids if clip is not None}


def _batches(files: Iterator[DataFile]) -> Iterator[list[DataFile]]:
    """A few at a time: together they may take more memory than there is."""
    while batch := list(islice(files, _FILES_AT_ONCE)):
        yield batch


def _write(output: Output, folder: str, there: set[str], files: Iterable[DataFile]) -> None:
    """Write the files that are not there."""
    new = [file for file in files if file.name not in there]

    def write(file: DataFile) -> None:
        output.write_text(f"{folder}/{file.name}", file.text)

    for _ in side_by_side(output, write, new):
        pass


def _ranges(videos: Sequence[DataFile], rows: Rows) -> list[_Range]:
    """Where there are many videos, the parts in which they are shown."""
    if len(rows.keys) <= _RANGES_FROM and rows.clips.num_rows <= 5 * _RANGES_FROM:
        return []
    ranges: list[_Range] = []
    for start in range(0, len(videos), _FILES_A_RANGE):
        part = videos[start : start + _FILES_A_RANGE]
        names = [name for file in part for name in file.names or ()]
        each = _Range(names[0], names[-1], (start, start + len(part)))
        each.sums = [sum(column) for column in zip(*(file.sums for file in part), strict=True)]
        ranges.append(each)
    return ranges


@cache
def _template() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("clipping.dataset.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": _number, "duration": _duration, "bytes": size}
    return environment.get_template("report.html")


def _number(value: int) -> str:
    return f"{value:,}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours:,} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.3g} s"


def _page(output: Output, shard: str, content: _Content, run: RunFacts | None) -> str:
    name = report_name(shard)
    up = "../" * name.count("/")
    folder = report_folder(shard)
    settings = {
        "data": f"{up}{folder}/",
        "now": f"{up}{folder}/{_NOW}",
        "clips": f"{up}{CLIPS}/",
        "previews": f"{up}{PREVIEWS}/",
        "files": content.files,
        "rowsAFile": ROWS_A_FILE,
        "clipFields": CLIP_FIELDS,
        "videoFields": VIDEO_FIELDS,
        "ranges": [each.files for each in content.ranges],
        "marked": content.is_marked,
    }
    totals = content.totals
    _, shards = shard_parts(shard) if shard else (0, 0)
    others = [f"{up}{report_name(f'{i}/{shards}')}" for i in range(1, shards + 1)]
    location = output.location("").rstrip("/")
    return _template().render(
        title=posixpath.basename(location) or location,
        shard=shard,
        shards=others,
        made=datetime.now(UTC).strftime("%d %B %Y, %H:%M UTC"),
        version=__version__,
        run=run,
        totals=totals,
        videos_failed=totals.videos["failed"] + content.unopened,
        videos_total=sum(totals.videos.values()) + content.unopened,
        groups=content.groups,
        charts=content.charts,
        ranges=content.ranges,
        failures=f"{up}{failures_name(shard)}",
        failures_file=FAILURES,
        manifest_file=MANIFEST,
        report_file=REPORT,
        settings=settings,
    )
