#!/usr/bin/env bash
# Run the quick tests and the sample's three clips on every Python that pyproject.toml allows.
#
#   scripts/try_pythons.sh                  # 3.11, 3.12 and 3.13
#   scripts/try_pythons.sh 3.13             # only this one
#   RESOLUTION=lowest scripts/try_pythons.sh 3.11
#
# The libraries are those of uv.lock. With RESOLUTION=lowest, the package's direct dependencies are
# the oldest versions that pyproject.toml allows, so that its lower bounds stay true.
#
# uv takes a Python that it finds on PATH and downloads one otherwise. With pyenv:
#   PYENV_VERSION=3.11.7:3.12.1:3.13.0 scripts/try_pythons.sh
#
# .venv, uv.lock and ~/.prefect stay as they are: environments, clips and Prefect's database are in a
# temporary folder. Ends with one line per Python; the exit status is 1 if any of them failed.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD

pythons=("$@")
test "$#" -gt 0 || pythons=(3.11 3.12 3.13)

# Tests that need neither Prefect's server nor Ray; the sample's run needs both.
tests=(tests/unit tests/media)

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export PREFECT_HOME=$scratch/prefect
export PREFECT_SERVER_ANALYTICS_ENABLED=false

install() {
  local python=$1 environment=$2
  if test "${RESOLUTION:-locked}" = lowest; then
    uv venv --quiet --python "$python" "$environment" &&
      uv pip install --quiet --python "$environment" --resolution lowest-direct --editable '.[s3]' &&
      uv pip install --quiet --python "$environment" --group dev
  else
    UV_PROJECT_ENVIRONMENT=$environment uv sync --quiet --locked --python "$python"
  fi
}

quick_tests() {
  "$1/bin/python" -m pytest -q -m "not integration and not corpus and not gpu" "${tests[@]}"
}

three_clips() {
  local environment=$1 folder=$2
  mkdir "$folder"
  (cd "$folder" && "$environment/bin/python" "$root/flows/clip_flow.py" --output clips) &&
    test "$(find "$folder/clips/clips" -name '*.mp4' | wc -l)" -eq 3
}

results=()
status=0
for python in "${pythons[@]}"; do
  echo "== Python $python"
  environment=$scratch/$python
  failed=()
  if install "$python" "$environment"; then
    quick_tests "$environment" || failed+=(tests)
    three_clips "$environment" "$scratch/sample-$python" || failed+=(sample)
  else
    failed=(installation)
  fi
  if test "${#failed[@]}" -eq 0; then
    results+=("Python $python: passed")
  else
    results+=("Python $python: failed: ${failed[*]}")
    status=1
  fi
done
echo "=="
printf '%s\n' "${results[@]}"
exit "$status"
