#!/bin/sh
# A node with NVENC, for the cluster of a head:
#   deploy/ray/gpu-node.sh HEAD:6379
# A unit of `nvenc` is an encoder session, of which a GPU is to have three (nb_streams_per_gpu).
# Not for GPUs without an encoder (A100, H100, H200, B200): start those as CPU nodes.
set -eu
head=${1:?the address of the head, HOST:6379}
shift
gpus=$(nvidia-smi --list-gpus | grep -c '^GPU ')
sessions=$((gpus * ${CLIPPING_NB_STREAMS_PER_GPU:-3}))
exec "${RAY:-.venv/bin/ray}" start --address="$head" --num-gpus="$gpus" \
  --resources="{\"nvenc\": $sessions}" --disable-usage-stats "$@"
