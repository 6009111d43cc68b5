"""What runs and tasks are called, and how their parameters read."""

from __future__ import annotations

from fractions import Fraction

from clipping.config.execution import Execution
from clipping.config.load import resolve
from clipping.config.recipe import Recipe
from clipping.models import Chunk, SourceFile
from clipping.plan.chunks import chunks
from clipping.plan.clips import clips
from clipping.plan.spans import StrideSpans
from clipping.run.names import in_words, name_of_chunks, name_of_opening, name_of_run
from tests.support.sources import source_of, times_of


def file(key: str = "talk.mp4", size: int = 2_000_000) -> SourceFile:
    return SourceFile(key=key, uri=f"/videos/{key}", size=size, fingerprint="1")


def chunks_of(key: str, seconds: int = 12, per_chunk: int = 4) -> list[Chunk]:
    """Chunks of a video of ten frames a second, clips of 1 s."""
    times = times_of([100] * (10 * seconds - 1))
    source = source_of(times).model_copy(update={"file": file(key)})
    spans = StrideSpans(Fraction(1), Fraction(1), Fraction(1), 0).spans(source, times)
    return list(chunks(source, times, clips(key, times, spans), per_chunk))


def test_a_run_is_called_after_what_it_makes_of_what() -> None:
    """Names of folders and the recipe; how many inputs, where there are several."""
    recipe = Recipe(clip_len_s=10, clip_stride_s=5)
    one = resolve(recipe, input=["/data/videos/"], output="s3://bucket/clips/")
    assert name_of_run(one) == "videos → clips, 10 s every 5 s"
    two = resolve(recipe, Execution(shard="3/16"), input=["/a", "/b"], output="/data/clips")
    assert name_of_run(two) == "2 inputs → clips, 10 s every 5 s, shard 3/16"


def test_a_task_is_called_after_its_videos_and_clips() -> None:
    """In ASCII: Prefect's graph of a run drops all else, and `4–7` would read 47."""
    talk, walk = chunks_of("talk.mp4"), chunks_of("walks/walk.mp4", 3)
    assert name_of_opening([file()]) == "open talk.mp4"
    assert name_of_opening([file("a.mp4"), file("b.mp4")]) == "open 2 videos from a.mp4"
    assert name_of_chunks([talk[1]], "libx264") == "talk.mp4 #1, clips 4-7, libx264"
    one = chunks_of("talk.mp4", per_chunk=1)[2]
    assert name_of_chunks([one], "libx264") == "talk.mp4 #2, clip 2, libx264"
    assert name_of_chunks(talk[:2], "libx264") == "2 chunks from talk.mp4 #0, 8 clips, libx264"
    both = name_of_chunks([talk[0], walk[0]], "h264_nvenc")
    assert both == "2 videos from talk.mp4, 7 clips, h264_nvenc"


def test_the_same_work_again_says_why() -> None:
    """A person tells the first run from the second one by their names."""
    chunk = chunks_of("talk.mp4")[:1]
    first = name_of_chunks(chunk, "libx264")
    assert name_of_chunks(chunk, "libx264", crashes=1) == f"{first}, again after a crash"
    assert name_of_chunks(chunk, "libx264", crashes=2) == f"{first}, again after 2 crashes"
    refused = name_of_chunks(chunk, "h264_nvenc", refusals=3, other_node=True)
    assert refused.endswith(", again after no free session 3x and another node's refusal")
    assert name_of_opening([file()], crashes=1) == "open talk.mp4, again after a crash"


def test_a_long_name_keeps_its_end() -> None:
    """Folders may be deep; what a person looks for is the file's name."""
    key = "/".join(["folder"] * 30) + "/talk.mp4"
    name = name_of_opening([file(key)])
    assert len(name) == len("open ") + 60
    assert name.endswith("/talk.mp4")
    assert "..." in name


def test_parameters_read_as_words() -> None:
    """Small, whatever the parameters are: a chunk holds the time of every frame."""
    talk = chunks_of("talk.mp4", 100)
    words = in_words(talk)
    assert words.startswith("talk.mp4 #0 clips 0-3 (4 s), talk.mp4 #1 clips 4-7 (4 s), ")
    assert words.endswith(", and 17 more")
    assert in_words([file("a.mp4")]) == "a.mp4 (2 MB)"
    config = resolve(Recipe(clip_len_s=3), input=["/videos"], output="/clips")
    assert in_words(config) == "3 s every 10 s into /clips"
    assert in_words(Execution()) == "defaults"
    assert in_words(Execution(retries=5, encoder_threads=1)) == "retries 5"
    assert [in_words(v) for v in ({}, {"a.mp4": 1}, None, 2)] == [
        "none", "1 file", "not looked for yet", "2",
    ]  # fmt: skip
