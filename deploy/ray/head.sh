#!/bin/sh
# The head of a Ray cluster; it takes no chunks, so that a busy machine does not cost the cluster
# its head. From the top of a clone, after `uv sync`:
#   deploy/ray/head.sh
# By .venv/bin/ray and not `uv run`, which Ray would repeat for every task.
set -eu
exec "${RAY:-.venv/bin/ray}" start --head --port=6379 --num-cpus=0 \
  --include-dashboard=false --disable-usage-stats "$@"
