"""What a run says at its end."""

from __future__ import annotations

from clipping.config.load import resolve
from clipping.errors import FailureKind
from clipping.models import Failure
from clipping.run.summary import closing_lines
from clipping.run.tally import Tally


def test_a_reason_is_said_once_with_how_many_it_happened_to() -> None:
    """A full disk fails every clip alike: one line, and all are counted."""
    tally = Tally(failed=40, failed_sources=1)
    full = Failure(kind=FailureKind.DISK_FULL, message="the scratch folder /tmp is full")
    for number in range(40):
        tally.add_failure(f"a.mp4 clip {number}", full)
    tally.add_failure("b.mp4", Failure(kind=FailureKind.BAD_INPUT, message="b.mp4: is empty"))
    lines = closing_lines(tally, resolve())
    assert lines[-2:] == [
        "  a.mp4 clip 0: the scratch folder /tmp is full (and 39 more like this)",
        "  b.mp4: is empty",
    ]
