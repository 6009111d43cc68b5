"""What runs and their tasks are called, for the person who reads a list of them. Pure.

In task runs' names our own characters are ASCII: the graph of a flow run in Prefect's pages leaves
out all others, and would make "clips 47" of "clips 4–7".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clipping.config.execution import Execution
from clipping.config.run_config import RunConfig
from clipping.models import Chunk, ProbedSource, SourceFile
from clipping.wording import count, size

__all__ = [
    "again",
    "differing",
    "in_words",
    "name_of_chunks",
    "name_of_detection",
    "name_of_opening",
    "name_of_run",
]

_LONGEST = 60
_LISTED = 8


def name_of_run(config: RunConfig) -> str:
    """A flow run: videos → clips, 10 s every 5 s."""
    inputs = config.input
    given = _last(inputs[0]) if len(inputs) == 1 else count(len(inputs), "input")
    parts = [f"{given} → {_last(config.output)}", config.recipe.span_source.describe()]
    if config.execution.shard:
        parts.append(f"shard {config.execution.shard}")
    return ", ".join(parts)


def name_of_opening(files: Sequence[SourceFile], *, crashes: int = 0) -> str:
    """A task that opens videos: open 8 videos from a.mp4."""
    first = _short(files[0].key)
    what = first if len(files) == 1 else f"{count(len(files), 'video')} from {first}"
    return ", ".join([f"open {what}", *again(crashes=crashes)])


def name_of_detection(file: SourceFile, *, crashes: int = 0) -> str:
    """A task that looks for shots: detect shots in talk.mp4."""
    return ", ".join([f"detect shots in {_short(file.key)}", *again(crashes=crashes)])


def name_of_chunks(
    chunks: Sequence[Chunk],
    encoder: str,
    *,
    crashes: int = 0,
    refusals: int = 0,
    other_node: bool = False,
) -> str:
    """A task that makes chunks: talk.mp4 #2, clips 64-95, libx264.

    crashes, refusals, other_node: why the work was submitted before, so that the runs of the same
    work can be told apart.
    """
    first, videos = chunks[0], {chunk.source.file.key for chunk in chunks}
    clips = sum(clip.count for chunk in chunks for clip in chunk.clips)
    if len(chunks) == 1:
        what, which = f"{_short(first.source.file.key)} #{first.number}", _numbers(first)
    else:
        start = _short(first.source.file.key)
        start = start if len(videos) == len(chunks) else f"{start} #{first.number}"
        noun = "video" if len(videos) == len(chunks) else "chunk"
        what, which = f"{count(len(chunks), noun)} from {start}", count(clips, "clip")
    tried = again(crashes=crashes, refusals=refusals, other_node=other_node)
    return ", ".join([what, which, encoder, *tried])


def again(*, crashes: int = 0, refusals: int = 0, other_node: bool = False) -> list[str]:
    """Why the same work is submitted once more; empty for the first time."""
    reasons: list[str] = []
    if crashes:
        reasons.append("a crash" if crashes == 1 else f"{crashes} crashes")
    if refusals:
        reasons.append(f"no free session {refusals}x" if refusals > 1 else "no free session")
    if other_node:
        reasons.append("another node's refusal")
    return [f"again after {' and '.join(reasons)}"] if reasons else []


def in_words(value: Any) -> str:
    """A task's parameter as a few words; the value itself may be a video's whole time line."""
    match value:
        case RunConfig():
            return f"{value.recipe.span_source.describe()} into {value.output}"
        case Execution():
            return differing(value)
        case ProbedSource():
            return _item(value.file)
        case list():
            items: list[Any] = value  # pyright: ignore[reportUnknownVariableType]
            words = [_item(item) for item in items[:_LISTED]]
            more = len(items) - len(words)
            return ", ".join([*words, f"and {more} more"] if more else words)
        case Mapping():
            held: Mapping[str, Any] = value  # pyright: ignore[reportUnknownVariableType]
            return count(len(held), "file") if held else "none"
        case None:
            return "not looked for yet"
        case _:
            return str(value)


def _item(item: Any) -> str:
    match item:
        case Chunk():
            seconds = item.seconds
            return f"{_short(item.source.file.key)} #{item.number} {_numbers(item)} ({seconds:g} s)"
        case SourceFile():
            return f"{_short(item.key)} ({size(item.size)})"
        case _:
            return str(item)


def differing(execution: Execution) -> str:
    """The settings that are not as they are by default, in words."""
    usual = Execution()
    values = {n: getattr(execution, n) for n in sorted(Execution.model_fields)}
    given = [f"{n} {value}" for n, value in values.items() if value != getattr(usual, n)]
    return ", ".join(given) or "defaults"


def _numbers(chunk: Chunk) -> str:
    first, last = chunk.clips[0], chunk.clips[-1]
    end = last.number + last.count - 1
    return f"clip {first.number}" if end == first.number else f"clips {first.number}-{end}"


def _last(path: str) -> str:
    """What a path is called: its last part."""
    return _short(path.rstrip("/").rsplit("/", maxsplit=1)[-1] or path)


def _short(name: str) -> str:
    """A name with its middle left out, where it is long: the end tells what it is."""
    if len(name) <= _LONGEST:
        return name
    return f"{name[: _LONGEST // 3]}...{name[-(_LONGEST - _LONGEST // 3 - 3) :]}"
