"""Cut videos into clips, frame-exact, and transcode each to a standard MP4.

    from clipping import Execution, Recipe, clip_flow

`clip_flow` is a Prefect flow; it is imported when it is first asked for, since Prefect and Ray
take seconds to import. Importing this package changes nothing outside it.
"""

from typing import TYPE_CHECKING, Any

from clipping.config.execution import Execution
from clipping.config.recipe import Recipe
from clipping.errors import (
    BundleError,
    ClippingError,
    FailureKind,
    FfmpegError,
    SourceError,
    StorageError,
    UsageError,
    VerificationError,
)

if TYPE_CHECKING:
    from clipping.orchestration.flow import clip_flow
    from clipping.run.result import RunFailedError, RunResult

__version__ = "0.1.0"

__all__ = [
    "BundleError",
    "ClippingError",
    "Execution",
    "FailureKind",
    "FfmpegError",
    "Recipe",
    "RunFailedError",
    "RunResult",
    "SourceError",
    "StorageError",
    "UsageError",
    "VerificationError",
    "__version__",
    "clip_flow",
]


def __getattr__(name: str) -> Any:
    if name == "clip_flow":
        from clipping.orchestration.flow import clip_flow

        return clip_flow
    if name in ("RunFailedError", "RunResult"):
        from clipping.run import result

        return getattr(result, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
