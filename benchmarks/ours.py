"""The chunk function alone, without Prefect and Ray: probe, plan, make every chunk.

A single video's chunks one after the other with all CPUs; many videos one a CPU, side by side.
"""

import json
import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any

from clipping.config.execution import Execution
from clipping.config.recipe import Recipe
from clipping.config.run_config import RunConfig
from clipping.models import SourceFile
from clipping.run.chunk import make_chunk, plan_chunks, probe_file
from clipping.storage.discover import find_sources
from clipping.storage.outputs import open_output


def main() -> None:
    """Do what the JSON on the command line says, and print what it took."""
    options = json.loads(sys.argv[1])
    began, before = time.monotonic(), _cpu_seconds()
    files = find_sources([options["input"]], Execution().extensions).sources
    if len(files) == 1 or options["cpus"] == 1:
        for file in files:
            clip(options, options["cpus"], file)
    else:
        with ProcessPoolExecutor(options["cpus"]) as pool:
            list(pool.map(partial(clip, options, 1), files))
    print(f"FIGURES {time.monotonic() - began} {_cpu_seconds() - before}")


def _cpu_seconds() -> float:
    """Of this process and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def clip(options: dict[str, Any], cpus: int, file: SourceFile) -> None:
    """All clips of one video."""
    recipe = Recipe(
        clip_len_s=options["length"],
        clip_stride_s=options["stride"],
        preset=options["preset"],
        quality=options["quality"],
        size=options.get("size", ""),
        fps=options.get("fps", ""),
    )
    config = RunConfig(recipe, Execution())
    output = open_output(options["output"])
    probed = probe_file(file, config.execution)
    chunks = plan_chunks(probed, recipe, options.get("clips_per_chunk", 32))
    for chunk in chunks[-1:] if options.get("only_last") else chunks:
        record = make_chunk(chunk, config, output, cpus=cpus, existing_sizes={})
        assert not [c for c in record.clips if c.failure], record


if __name__ == "__main__":
    main()
