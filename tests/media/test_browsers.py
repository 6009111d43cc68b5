"""Browsers show and sound our clips right: docs/readers.md says what they do not play."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.media.read_clips import Kinds, picture_clips, sound_clips
from tests.support.browsers import BROWSERS, Answer, Question, ask, executable
from tests.support.media import RATE, lag

# Neither browser decodes these, in any file; the pictures play.
SILENT = {"AC-3", "E-AC-3", "ALAC"}


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Kinds:
    pictures = dict(picture_clips(tmp_path_factory.mktemp("pictures")))
    return {**pictures, **dict(sound_clips(tmp_path_factory.mktemp("sounds")))}


Answers = dict[str, Answer]


@pytest.fixture(scope="module", params=list(BROWSERS))
def answers(request: pytest.FixtureRequest, clips: Kinds) -> Answers:
    """What a browser says of all clips, by their kinds."""
    browser = executable(request.param)
    if browser is None:
        reason = f"{request.param} is not installed; docs/readers.md says how"
        if os.environ.get("CLIPPING_TEST_READERS"):
            pytest.fail(reason)
        pytest.skip(reason)
    questions: list[Question] = []
    for kind, clip in clips.items():
        times = [m.middle for m in clip.moments]
        places = [len(times) - 1, 3, len(times) // 2, 0]
        has_sound = len(clip.sound) > 0 and kind not in SILENT
        questions.append(Question(clip.path, [times[i] for i in places], has_sound))
    return dict(zip(clips, ask(browser, questions), strict=True))


def test_pictures(answers: Answers, clips: Kinds) -> None:
    """The first picture, the duration, and the picture after each seek, to the last one."""
    for kind, clip in clips.items():
        answer, numbers = answers[kind], clip.numbers
        assert answer.error is None, f"{kind}: {answer.error}"
        assert answer.first == numbers[0], kind
        wanted = [numbers[-1], numbers[3], numbers[len(numbers) // 2], numbers[0]]
        assert answer.shown == wanted, kind
        # With sound, a clip lasts until its last packet of sound has ended.
        longer = 0.1 if len(clip.sound) else 0.001
        assert -0.001 <= answer.duration - float(clip.end) <= longer, kind


def test_sound(answers: Answers, clips: Kinds) -> None:
    """The first sample is the one that sounds with the first picture."""
    late: dict[str, int] = {}
    for kind, clip in clips.items():
        if len(clip.sound) == 0 or kind in SILENT:
            continue
        sound = answers[kind].sound
        assert sound is not None, f"{kind}: no sound"
        late[kind] = lag(clip.sound, sound[:RATE])
    assert len(late) >= 7
    assert all(abs(samples) <= 1 for samples in late.values()), late


def test_the_docs_name_what_stays_silent() -> None:
    """Codecs that no browser plays stand in the docs."""
    text = (Path(__file__).parents[2] / "docs" / "readers.md").read_text()
    assert all(codec in text.split("## Browsers")[1] for codec in SILENT)
