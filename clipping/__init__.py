"""Cut videos into fixed-stride clips, frame-exact, and transcode each to a standard MP4."""

import os

# Ray reads these when it is imported, which other modules do before `clipping.cluster`. Under
# `uv run`, it would start each worker by another `uv run` in a copy of the working folder; the
# workers are to use this very environment.
os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
