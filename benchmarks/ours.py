"""The chunk function alone, without Prefect and Ray: probe, plan, make every chunk."""

import json
import sys

from clipping.chunk_work import make_chunk, plan_chunks, probe_file
from clipping.inputs import find_sources
from clipping.outputs import open_output
from clipping.settings import Execution, Recipe


def main() -> None:
    """Do what the JSON on the command line says."""
    options = json.loads(sys.argv[1])
    recipe = Recipe(
        clip_len_s=options["length"],
        clip_stride_s=options["stride"],
        encoder=options["encoder"],
    )
    execution, output = Execution(), open_output(options["output"])
    for file in find_sources([options["video"]], execution.extensions).sources:
        probed = probe_file(file, execution)
        for chunk in plan_chunks(probed, recipe, execution.num_clips_per_chunk):
            record = make_chunk(chunk, recipe, execution, output, cpus=options["cpus"], there={})
            assert not [c for c in record.clips if c.failure], record


if __name__ == "__main__":
    main()
