#!/bin/sh
# A node for chunks that the CPU encodes, for the cluster of a head:
#   deploy/ray/cpu-node.sh HEAD:6379
# `clip_cpu` is what `--cpu-resource clip_cpu` asks for; it matters to no other run.
set -eu
head=${1:?the address of the head, HOST:6379}
shift
exec "${RAY:-.venv/bin/ray}" start --address="$head" --resources='{"clip_cpu": 1}' \
  --disable-usage-stats "$@"
