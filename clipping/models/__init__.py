"""The frozen values that travel between tasks and into records.

Times are exact: `Fraction` seconds, or integer PTS with the source's time base. JSON holds a
`Fraction` as text ("30000/1001").
"""

from clipping.models.clips import (
    Chunk,
    ChunkRecord,
    Clip,
    ClipRecord,
    ClipStatus,
    FrameClock,
    ListedSpan,
    ProbedSource,
    ProbedStretch,
    Resampled,
    SourceRecord,
    SourceStatus,
    Span,
)
from clipping.models.sources import (
    AudioTrack,
    FrameGrid,
    PictureShape,
    SoundWish,
    Source,
    SourceFile,
    Stretch,
    VideoFacts,
)
from clipping.models.values import Failure, Value

__all__ = [
    "AudioTrack",
    "Chunk",
    "ChunkRecord",
    "Clip",
    "ClipRecord",
    "ClipStatus",
    "Failure",
    "FrameClock",
    "FrameGrid",
    "ListedSpan",
    "PictureShape",
    "ProbedSource",
    "ProbedStretch",
    "Resampled",
    "SoundWish",
    "Source",
    "SourceFile",
    "SourceRecord",
    "SourceStatus",
    "Span",
    "Stretch",
    "Value",
    "VideoFacts",
]
