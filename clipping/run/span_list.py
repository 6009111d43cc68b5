"""A run's list of spans: which of its rows belong to which video."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from clipping.config.run_config import RunConfig
from clipping.errors import ClippingError, SourceError, StorageError, UsageError
from clipping.models import Clip, ListedSpan, SourceFile
from clipping.storage import object_store
from clipping.storage.addresses import is_remote
from clipping.storage.discover import Found
from clipping.storage.local_files import absolute
from clipping.storage.span_rows import TO_THE_END, SpanRow, SpanRows, read_spans

__all__ = ["SpanList", "cut_short", "load_spans"]


@dataclass(frozen=True, slots=True)
class SpanList:
    """The rows of each video, by its key. problems: what cannot be made, as videos that fail."""

    rows: dict[str, tuple[ListedSpan, ...]] = field(
        default_factory=dict[str, tuple[ListedSpan, ...]]
    )
    problems: tuple[tuple[str, ClippingError], ...] = ()

    def of(self, key: str) -> tuple[ListedSpan, ...]:
        """The rows of a video; none if the list does not name it."""
        return self.rows.get(key, ())

    def digest(self, key: str) -> str:
        """A short digest of a video's rows: of others, others are made."""
        digest = hashlib.sha256()
        for row in self.of(key):
            values = (row.start, row.end, row.in_frames, row.id, row.label)
            digest.update(repr(tuple(map(str, values))).encode())
        return digest.hexdigest()[:16]


def load_spans(config: RunConfig, found: Found) -> SpanList | None:
    """Read a run's list, and give each row to the video that it names; None if there is no list.

    Raises UsageError for a file that is no such list, StorageError where it cannot be read.
    """
    path = config.recipe.span_list
    if not path:
        return None
    held = read_spans(path, _content(path))
    matched, problems = _matched(path, held, found.sources, is_part=bool(config.execution.shard))
    name = PurePosixPath(path).name
    bad = {**held.bad, **problems}
    told = tuple(
        (f"{name} row {number}", SourceError(f"{name} row {number}: {bad[number]}"))
        for number in sorted(bad)
    )
    return SpanList({key: tuple(rows) for key, rows in matched.items()}, told)


def cut_short(clips: Iterable[Clip]) -> Iterator[str]:
    """Which rows the end of their video cuts short, or leaves nothing of."""
    for clip in clips:
        row = clip.listed
        if row is None or row.in_frames or row.end >= TO_THE_END or clip.span.end >= row.end:
            continue
        if clip.asked_span is not None:  # moved to a keyframe, which is told otherwise
            continue
        ends = f"it ends at {float(clip.span.end):g} s, before the {float(row.end):g} s"
        if not clip.frame_count:
            ends = f"it ends before the {float(row.start):g} s at which the span would begin"
        yield f"{ends} of row {row.row}" if clip.frame_count else f"row {row.row}: {ends}"


def _content(path: str) -> bytes:
    try:
        if is_remote(path):
            held = object_store.look(path)
            size = held.size if held and held.size else 0
            return object_store.fetch(path, 0, size, size) if size else b""
        return Path(absolute(path)).read_bytes()
    except (OSError, StorageError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(f"span_list {path} cannot be read: {reason}") from None


def _matched(
    path: str, held: SpanRows, sources: Sequence[SourceFile], *, is_part: bool
) -> tuple[dict[str, list[ListedSpan]], dict[int, str]]:
    """Each video's rows, and what is wrong with the rows of none.

    is_part: whether the run's videos are only some of those that the list may name.
    """
    by_name = _names(sources)
    is_named = any(row.source is not None for row in held.rows)
    alone = None if is_named or not held.rows else _only_one(path, sources)
    matched: dict[str, list[ListedSpan]] = defaultdict(list)
    problems: dict[int, str] = {}
    ids: dict[tuple[str, str], int] = {}
    for row in held.rows:
        number = row.span.row
        key = alone if row.source is None else _key(row, by_name)
        if key is None and row.source is None:
            problems[number] = "it names no video, as other rows do"
            continue
        if key is None:
            if not is_part:
                problems[number] = f"no video of this run is called {row.source!r}"
            continue
        if key == _SEVERAL:
            problems[number] = f"several videos of this run are called {row.source!r}"
            continue
        if row.span.id is not None and ids.setdefault((key, row.span.id), number) != number:
            first = ids[key, row.span.id]
            problems[number] = f"its id {row.span.id!r} stands in row {first} already"
            continue
        matched[key].append(row.span)
    return matched, problems


def _is_called_after(name: str, stem: str) -> bool:
    """Whether a list's name begins with a video's whole name: talk-Scenes.csv with talk."""
    return name.startswith(stem) and not name[len(stem) : len(stem) + 1].isalnum()


_SEVERAL = "\0"


def _names(sources: Sequence[SourceFile]) -> dict[str, str]:
    """What a list may call a video, to its key: key, path, address, or file name if it is alone."""
    names: dict[str, str] = {}
    for file in sources:
        last = PurePosixPath(file.uri).name
        names[last] = _SEVERAL if names.get(last, file.key) != file.key else file.key
    for file in sources:
        names[file.uri] = file.key
    for file in sources:
        names[file.key] = file.key
    return names


def _key(row: SpanRow, by_name: dict[str, str]) -> str | None:
    given = row.source or ""
    plain = given.removeprefix("file://")
    for name in (given, plain, plain.removeprefix("./")):
        if name in by_name:
            return by_name[name]
    return by_name.get(plain if is_remote(plain) else absolute(plain))


def _only_one(path: str, sources: Sequence[SourceFile]) -> str:
    """The video that a list without names is about. Raises UsageError if that cannot be told."""
    if len(sources) == 1:
        return sources[0].key
    name = PurePosixPath(path).name
    fitting = [f for f in sources if _is_called_after(name, PurePosixPath(f.key).stem)]
    if fitting:
        longest = max(len(PurePosixPath(f.key).stem) for f in fitting)
        fitting = [f for f in fitting if len(PurePosixPath(f.key).stem) == longest]
    if len(fitting) != 1:
        raise UsageError(
            f"span_list {path} has no column called source, and which of the {len(sources)} videos"
            " it is about cannot be told: add the column, or call the list after its video"
            " (talk-Scenes.csv for talk.mp4)"
        )
    return fitting[0].key
