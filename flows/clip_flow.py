"""Cut videos into fixed-stride clips and transcode each to a standard MP4.

python flows/clip_flow.py --input VIDEOS --output clips/

The flow itself is `clipping.orchestration.flow`. This script makes sure that the `clipping` beside
it is the one that runs, here and in Ray's workers, whatever else is installed.
"""

import os
import sys
from pathlib import Path

_root = str(Path(__file__).resolve().parent.parent)
_inherited = os.environ.get("PYTHONPATH")
sys.path.insert(0, _root)
os.environ["PYTHONPATH"] = os.pathsep.join([_root, _inherited] if _inherited else [_root])

if __name__ == "__main__":
    # First of all, so that a mistyped flag is answered before Prefect is imported.
    try:
        from clipping.cli import main
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    raise SystemExit(main(program="flows/clip_flow.py"))

from clipping.orchestration.flow import clip_flow

__all__ = ["clip_flow"]
