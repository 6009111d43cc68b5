"""The command line as a person calls it."""

from __future__ import annotations

import sys
from pathlib import Path

SCRIPT = Path(__file__).parent.parent.parent / "flows" / "clip_flow.py"


def command(*arguments: object) -> list[str]:
    """The command line."""
    return [sys.executable, str(SCRIPT), *map(str, arguments)]
