"""Where shots begin: PySceneDetect's detectors over a source's frames, decoded once, small.

The detectors see every frame that clips can hold, by its number, so that a cut is a frame exactly.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from typing import Any

from clipping.config.execution import Execution
from clipping.errors import ClippingError, FailureKind, FfmpegError, SourceError, UsageError
from clipping.ffmpeg.commands import small_pictures_command
from clipping.ffmpeg.memory import alone_if_large
from clipping.ffmpeg.showinfo import IS_FRAME, pts_in
from clipping.models import ProbedSource, VideoFacts
from clipping.plan.frame_times import pack, unpack
from clipping.plan.scenes import SceneRule
from clipping.storage.source import Reading, part_of

__all__ = ["require_detectors", "with_cuts"]

_WIDTH = 256  # pixels; PySceneDetect itself makes pictures about as small before it compares them
_THRESHOLDS = {"adaptive": 3.0, "content": 27.0}


def require_detectors() -> None:
    """Raise UsageError if PySceneDetect is not installed."""
    if find_spec("scenedetect") is None:
        raise UsageError(
            "spans scenes needs PySceneDetect, which is not installed here: uv sync --extra"
            " scenes, or pip install 'prefect-video-clipping[scenes]'"
        )


def with_cuts(
    probed: ProbedSource, reading: Reading, binary: str, rule: SceneRule, execution: Execution
) -> ProbedSource:
    """The source with the first frames of its shots, of each recording in it.

    Raises SourceError if it cannot be decoded, and ClippingError for what is not its fault.
    """
    require_detectors()
    assert probed.source is not None
    if not probed.stretches:
        cuts = _cuts(reading, probed.source.video, probed.frame_pts, binary, rule, execution)
        return probed.model_copy(update={"cuts": pack(cuts)})
    stretches = list(probed.stretches)
    for i, part in enumerate(stretches):
        with part_of(reading, part.stretch.ranges) as view:
            cuts = _cuts(view, part.source.video, part.frame_pts, binary, rule, execution)
        stretches[i] = part.model_copy(update={"cuts": pack(cuts)})
    return probed.model_copy(update={"stretches": tuple(stretches)})


def _cuts(
    reading: Reading,
    video: VideoFacts,
    frame_pts: str,
    binary: str,
    rule: SceneRule,
    execution: Execution,
) -> list[int]:
    """PTS of the first frames of all shots but the first, ascending."""
    width = min(_WIDTH, max(2, video.width))
    size = width, max(2, round(video.height * width / video.width))
    reader, writer = os.pipe()
    shown: list[int] = []

    def on_line(line: str) -> None:
        if IS_FRAME in line and (pts := pts_in(line)) is not None:
            shown.append(pts)

    with ThreadPoolExecutor(1) as pool, os.fdopen(reader, "rb") as pictures:
        found = pool.submit(_changes, _pictures(pictures, size), size, rule, video)
        try:
            with alone_if_large(video.largest_picture):
                reading.run(
                    small_pictures_command(binary, reading.url, video, size, writer),
                    what=f"looking for shots in {reading.file.key}",
                    on_line=on_line,
                    stall_limit=execution.stall_timeout_s,
                    pass_fds=(writer,),
                )
        except FfmpegError as error:
            if not error.kind.is_clips_own:
                raise
            message = f"{reading.file.key}: its shots cannot be found: {error.message}"
            raise SourceError(message, error.kind) from None
        finally:
            os.close(writer)
        changes = found.result()
    # A cut is a frame that clips can begin with; where that was lost, the next one.
    first, planned = [shown[number] for number in changes if number < len(shown)], unpack(frame_pts)
    cuts = {next((p for p in planned if p >= pts), None) for pts in first} if first else set[int]()
    return sorted(pts for pts in cuts if pts is not None and pts > planned[0])


def _pictures(stream: Any, size: tuple[int, int]) -> Iterator[bytes]:
    length = size[0] * size[1] * 3
    while len(picture := stream.read(length)) == length:
        yield picture
    while stream.read(1 << 20):  # ffmpeg is not to wait for us
        pass


def _changes(
    pictures: Iterable[bytes], size: tuple[int, int], rule: SceneRule, video: VideoFacts
) -> list[int]:
    """Numbers of the pictures that a shot begins with."""
    numpy: Any = importlib.import_module("numpy")
    timecode: Any = importlib.import_module("scenedetect").FrameTimecode
    detectors: Any = importlib.import_module("scenedetect.detectors")
    threshold = rule.threshold or _THRESHOLDS[rule.detector]
    # In frames: the times of frames do not matter to the detectors else.
    least = round(rule.min_length_s * float(video.exact_rate))
    if rule.detector == "adaptive":
        detector = detectors.AdaptiveDetector(adaptive_threshold=threshold, min_scene_len=least)
    else:
        detector = detectors.ContentDetector(threshold=threshold, min_scene_len=least)
    found: list[int] = []
    last: Any = timecode(0, 25.0)
    try:
        for number, picture in enumerate(pictures):
            image = numpy.frombuffer(picture, numpy.uint8).reshape(size[1], size[0], 3)
            last = timecode(number, 25.0)
            found += [int(cut.frame_num) for cut in detector.process_frame(last, image)]
        found += [int(cut.frame_num) for cut in detector.post_process(last)]
    except Exception as error:  # the library's own, of any kind: nothing of it is ours to mend
        for _ in pictures:
            pass
        raise ClippingError(f"PySceneDetect failed: {error}", FailureKind.UNKNOWN) from error
    return sorted({number for number in found if number > 0})
