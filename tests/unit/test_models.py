"""Stored values: what old outputs hold still reads, and a failure tells its command."""

from __future__ import annotations

import json
import pickle
from fractions import Fraction

from clipping.errors import BundleError, FailureKind, FfmpegError, SourceError
from clipping.models import ChunkRecord, Failure, VideoFacts
from tests.support.sources import chunk_of, shape


def test_records_of_earlier_versions_still_read() -> None:
    """A field that was renamed is found under its old name, and new ones have defaults."""
    video = chunk_of(50, 1, 1).source.video
    values = json.loads(video.model_dump_json())
    values["tidy_seek"] = values.pop("seeks_exactly")
    assert VideoFacts.model_validate_json(json.dumps(values)) == video
    old = '{"source_key": "a", "chunk": 0, "recipe_digest": "", "fingerprint": "", "clips": []}'
    assert ChunkRecord.model_validate_json(old).name == "a#0"


def test_what_changes_in_mid_stream_is_kept_in_records() -> None:
    """Exactly; a source without changes has no word of them."""
    video = chunk_of(50, 1, 1).source.video
    assert "shapes" not in json.loads(video.model_dump_json())
    changing = video.model_copy(
        update={"shapes": (shape(977, 64, 48, Fraction(16, 15)), shape(2977, 48, 64))}
    )
    again = VideoFacts.model_validate_json(changing.model_dump_json())
    assert again == changing
    after = again.with_shape(again.shape_number(3000))
    assert (after.width, after.height, after.codec) == (48, 64, video.codec)


def test_a_failure_keeps_the_command_where_there_is_one() -> None:
    """In records of failed ffmpeg processes and in no others."""
    error = FfmpegError("it failed", FailureKind.IO)
    error.command = "ffmpeg -i 'a b.mp4'"
    failure = Failure.of(error)
    assert failure.command == "ffmpeg -i 'a b.mp4'"
    assert Failure.model_validate_json(failure.model_dump_json()) == failure
    plain = Failure.of(SourceError("empty"))
    assert json.loads(plain.model_dump_json()) == {"kind": "bad input", "message": "empty"}


def test_errors_keep_what_they_know_on_the_way_from_a_worker() -> None:
    """Command, node and attempts survive pickling, alone and in a bundle."""
    error = FfmpegError("it failed", FailureKind.KILLED)
    error.command, error.node, error.attempts = "ffmpeg", "n1", 3
    bundle = BundleError({"a#0": error})
    bundle.attempts = 2
    again = pickle.loads(pickle.dumps(bundle))
    inner = again.failures["a#0"]
    assert (again.attempts, again.kind) == (2, FailureKind.KILLED)
    assert (inner.command, inner.node, inner.attempts) == ("ffmpeg", "n1", 3)
