"""The command line: `clip-videos`, `python -m clipping`, `python flows/clip_flow.py`."""

from clipping.cli.command import main
from clipping.cli.flags import parse

__all__ = ["main", "parse"]
