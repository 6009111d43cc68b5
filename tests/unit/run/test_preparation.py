"""What a run may start from."""

from __future__ import annotations

from pathlib import Path

import pytest

from clipping.config.load import resolve
from clipping.errors import UsageError
from clipping.run.preparation import require_absolute


@pytest.mark.parametrize(
    ("input", "output", "which"),
    [
        (["/videos"], "clips", "output 'clips'"),
        (["/videos"], "./clips", "output './clips'"),
        (["/videos"], "file://clips", "output 'file://clips'"),
        (["s3://bucket/videos", "videos/*.mp4"], "/clips", "input 'videos/*.mp4'"),
        (["./list.txt"], "s3://bucket/clips", "input './list.txt'"),
    ],
)
def test_a_deployed_run_takes_no_relative_path(input: list[str], output: str, which: str) -> None:
    """It would lie in the run's clone, which Prefect removes; the message names it and says so."""
    with pytest.raises(UsageError, match="temporary clone") as raised:
        require_absolute(resolve(input=input, output=output))
    assert raised.value.message.startswith(f"{which} is relative")


@pytest.mark.parametrize("path", ["/srv/x", "file:///srv/x", "~/x", "s3://bucket/x"])
def test_a_path_that_is_the_same_everywhere_is_taken(path: str) -> None:
    """Absolute paths, URIs, and what lies in the worker's home."""
    require_absolute(resolve(input=[path, "https://host/video.mp4"], output=path))


def test_the_output_may_lie_in_the_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """`~` is the home, not a folder of that name."""
    monkeypatch.setenv("HOME", str(Path("/home/somebody")))
    assert resolve(output="~/clips").output == "/home/somebody/clips"
