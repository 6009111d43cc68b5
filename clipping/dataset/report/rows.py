"""The tables of an output as rows for a page: videos by name, each with its clips by number."""

from __future__ import annotations

import hashlib
import importlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from clipping.dataset.tables import SUPERSEDED
from clipping.errors import FailureKind, StorageError
from clipping.models import ClipStatus

__all__ = ["CLIP_FIELDS", "ROWS_A_FILE", "VIDEO_FIELDS", "DataFile", "Rows", "Totals"]

ROWS_A_FILE = 2_000
_TEXTS = (
    *("status", "stale", "encoder", "audio_codec", "video_codec", "errors", "failure_kind"),
    "recipe_digest",
)
_NUMBERS = (
    *("number", "count", "start_frame", "frames", "damaged_frames", "width", "height", "bytes"),
    *("start_s", "end_s", "duration_s", "fps"),
)
# What a clip's row holds. Texts are numbers of texts that stand once in each file. video: its place
# among the videos.
CLIP_FIELDS = ("clip", "preview", "video", *_NUMBERS, *_TEXTS)
_FACTS = ("status", "reason", "duration_s", "width", "height", "fps", "codec")
# first, rows: where its clips' rows are; bytes: of its written clips; touched: by the last run.
VIDEO_FIELDS = (
    *("source", "first", "rows", "touched"),
    *("clips", "written", "failed", "absent", "damaged", "stale", "noted", "bytes"),
    *("damaged_frames", *_FACTS),
)


@dataclass(slots=True)
class Totals:
    """What an output holds in all; the parts of videos and of clips add up.

    superseded: clips that are in addition to those of their videos' newest recipe. Of the written
    clips: damaged, stale. recipes: written clips by digest. seconds, bytes: of written clips.
    """

    videos: Counter[str] = field(default_factory=Counter[str])
    written: int = 0
    failed: int = 0
    absent: int = 0
    superseded: int = 0
    damaged: int = 0
    stale: int = 0
    seconds: float = 0.0
    bytes: int = 0
    recipes: Counter[str] = field(default_factory=Counter[str])

    @property
    def clips(self) -> int:
        """All that were planned, of each video's newest recipe."""
        return self.written + self.failed + self.absent


@dataclass(frozen=True, slots=True)
class DataFile:
    """A script beside the page.

    names: of the first and last video in it; sums: of their rows; of a file with videos alone.
    """

    kind: str
    text: str
    names: tuple[str, str] | None = None
    sums: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """Another name for other content: none is ever replaced, and a cache holds no old one."""
        return f"{self.kind}-{hashlib.sha256(self.text.encode()).hexdigest()[:12]}.js"


class Rows:
    """All rows of two tables, in the order of the page; they are read and held in memory.

    Raises StorageError if there are more than `at_most` clips.
    """

    def __init__(self, manifest: BinaryIO, sources: BinaryIO, at_most: int) -> None:
        self._arrow: Any = importlib.import_module("pyarrow")
        self._compute: Any = importlib.import_module("pyarrow.compute")
        parquet: Any = importlib.import_module("pyarrow.parquet")
        texts = ["source", *_TEXTS]
        columns = ["clip", "source", *_NUMBERS, *_TEXTS]
        file = parquet.ParquetFile(manifest, read_dictionary=texts)
        if file.metadata.num_rows > at_most:
            message = (
                f"{file.metadata.num_rows} clips are more than the {at_most} that one page is made"
                " for; runs with --shard make one for each shard"
            )
            raise StorageError(message, FailureKind.USAGE)
        clips = file.read(columns=columns)
        videos = parquet.ParquetFile(sources).read(columns=["source", *_FACTS])
        named = dict(zip(videos["source"].to_pylist(), range(videos.num_rows), strict=True))
        keys: Any = self._whole(clips["source"])
        held: list[str] = keys.dictionary.to_pylist()
        self.keys = sorted({*named, *held})
        place = {key: at for at, key in enumerate(self.keys)}
        ranks = self._arrow.array([place[key] for key in held], self._arrow.int64())
        ranks = self._compute.take(ranks, keys.indices)
        clips = clips.drop_columns(["source"]).append_column("rank", ranks)
        order = [("rank", "ascending"), ("number", "ascending"), ("recipe_digest", "ascending")]
        by = clips.select(["rank", "number"]).append_column(
            "recipe_digest", clips["recipe_digest"].cast(self._arrow.string())
        )
        self.clips: Any = clips.combine_chunks().take(
            self._compute.sort_indices(by, sort_keys=order)
        )
        facts = zip(*(videos[name].to_pylist() for name in _FACTS), strict=True)
        self._facts: dict[str, tuple[Any, ...]] = dict(zip(named, facts, strict=True))

    def _whole(self, column: Any) -> Any:
        """A column of texts as one dictionary array."""
        if not column.num_chunks:
            column = self._arrow.chunked_array([self._arrow.array([], self._arrow.string())])
        whole: Any = column.combine_chunks()
        is_coded = self._arrow.types.is_dictionary(whole.type)
        return whole if is_coded else whole.dictionary_encode()

    def written(self) -> Any:
        """The clips that are there and the newest of their video, with their place as `row`."""
        names = ["clip", "width", "height", "frames", "bytes", "duration_s", "fps"]
        at = self._arrow.array(range(self.clips.num_rows), self._arrow.int64())
        table = self.clips.select(names).append_column("row", at)
        status = self.clips["status"].cast(self._arrow.string())
        return table.filter(self._compute.equal(status, ClipStatus.WRITTEN.value))

    def totals(self) -> Totals:
        """The sums of all rows."""
        totals = Totals()
        totals.videos.update(row[0] for row in self._facts.values())
        columns = ("status", "count", "damaged_frames", "stale", "bytes", "duration_s")
        names = (*columns, "recipe_digest")
        for status, many, damaged, stale, size, seconds, recipe in self._zipped(names):
            match status:
                case ClipStatus.WRITTEN:
                    totals.written += 1
                    totals.damaged += bool(damaged)
                    totals.stale += stale is not None
                    totals.bytes += size
                    totals.seconds += seconds or 0.0
                    totals.recipes[recipe] += 1
                case ClipStatus.FAILED:
                    totals.failed += 1
                case ClipStatus.ABSENT:
                    totals.absent += many
                case _:
                    totals.superseded += 1
        return totals

    def clip_files(self, previews: Set[str]) -> Iterator[DataFile]:
        """The clips, `ROWS_A_FILE` in a file. previews: ids of those that have one."""
        for start in range(0, self.clips.num_rows, ROWS_A_FILE):
            part = self.clips.slice(start, ROWS_A_FILE)
            columns: list[list[Any]] = [part[name].to_pylist() for name in _NUMBERS]
            # To a millisecond, and a thousandth of a frame a second.
            columns[-4:] = [[v if v is None else round(v, 3) for v in c] for c in columns[-4:]]
            texts: dict[str, int] = {}
            for name in _TEXTS:
                values = part[name].cast(self._arrow.string()).to_pylist()
                columns.append(
                    [None if v is None else texts.setdefault(v, len(texts)) for v in values]
                )
            clips: list[str] = part["clip"].to_pylist()
            shown = [int(clip in previews) for clip in clips]
            videos: list[int] = part["rank"].to_pylist()
            rows = list(zip(clips, shown, videos, *columns, strict=True))
            yield DataFile("clips", _script("clips", start // ROWS_A_FILE, [list(texts), rows]))

    def video_files(self, touched: Set[str]) -> Iterator[DataFile]:
        """The videos, `ROWS_A_FILE` in a file. touched: keys of those of the last run."""
        sums = self._sums()
        nothing = (None,) * len(_FACTS)
        for start in range(0, len(self.keys), ROWS_A_FILE):
            keys = self.keys[start : start + ROWS_A_FILE]
            rows: list[Sequence[Any]] = []
            for rank, key in enumerate(keys, start):
                facts = [
                    round(v, 3) if isinstance(v, float) else v
                    for v in self._facts.get(key, nothing)
                ]
                mine = sums.get(rank) or _Sums()
                rows.append((key, mine.first, mine.rows, int(key in touched), *mine.shown, *facts))
            shown = [sum(row[at] for row in rows) for at in range(4, 13)]
            yield DataFile(
                "videos",
                _script("videos", start // ROWS_A_FILE, rows),
                (keys[0], keys[-1]),
                (len(keys), *shown),
            )

    def _sums(self) -> dict[int, _Sums]:
        found: dict[int, _Sums] = {}
        names = ("rank", "status", "count", "damaged_frames", "stale", "errors", "bytes")
        for row, (rank, status, many, damaged, stale, note, size) in enumerate(self._zipped(names)):
            mine = found.get(rank)
            if mine is None:
                mine = found[rank] = _Sums(row)
            mine.rows += 1
            mine.stale += stale is not None
            if status == SUPERSEDED:
                continue
            mine.clips += many
            if status == ClipStatus.WRITTEN:
                mine.written += 1
                mine.damaged += bool(damaged)
                mine.noted += note is not None and not damaged
                mine.damaged_frames += damaged or 0
                mine.size += size
            elif status == ClipStatus.FAILED:
                mine.failed += 1
            else:
                mine.absent += many
        return found

    def _zipped(self, names: Sequence[str]) -> Iterator[tuple[Any, ...]]:
        """The values of some columns, row by row."""
        for start in range(0, self.clips.num_rows, 50_000):
            part = self.clips.slice(start, 50_000)
            columns: Mapping[str, Any] = {
                n: part[n].cast(self._arrow.string()) if n in _TEXTS else part[n] for n in names
            }
            yield from zip(*(columns[name].to_pylist() for name in names), strict=True)


@dataclass(slots=True)
class _Sums:
    """Of one video's rows, as `VIDEO_FIELDS` has them."""

    first: int = 0
    rows: int = 0
    clips: int = 0
    written: int = 0
    failed: int = 0
    absent: int = 0
    damaged: int = 0
    stale: int = 0
    noted: int = 0
    size: int = 0
    damaged_frames: int = 0

    @property
    def shown(self) -> tuple[int, ...]:
        return (
            *(self.clips, self.written, self.failed, self.absent),
            *(self.damaged, self.stale, self.noted, self.size, self.damaged_frames),
        )


def _script(kind: str, number: int, value: Any) -> str:
    """A call with the data; ASCII alone, so that it is read alike whatever its encoding is."""
    return f"clipping({json.dumps(kind)},{number},{json.dumps(value, separators=(',', ':'))})\n"
