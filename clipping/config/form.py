"""How settings stand in the form that Prefect makes of them: in groups, with titles and units.

The form knows no groups of its own. It shows fields in the order of the schema, each under its
title, so the group's name begins the title. A setting that is not named here comes last.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["EXECUTION_FORM", "in_groups"]

Groups = Mapping[str, Mapping[str, str]]

# What is rarely needed stands at the end.
EXECUTION_FORM: Groups = {
    "": {
        "retry_failed": "Retry what failed for good",
        "allow_failures": "Failures allowed (number or share)",
        "prune": "Remove stale clips",
        "shard": "Share of the videos (number/count)",
        "verify": "Verification",
        "previews": "Pictures of clips for the report",
    },
    "Speed": {
        "num_cpus_per_worker": "CPUs per chunk, at most",
        "num_clips_per_chunk": "clips per chunk, at most",
        "encode_batch_size": "clips per ffmpeg process, about",
        "encoder_threads": "threads per encoder, at least",
    },
    "GPU": {
        "use_hwaccel": "decode there as well",
        "nb_streams_per_gpu": "chunks at once on each",
        "nvenc_fallback": "encoder where there is none",
    },
    "Cluster": {
        "ray_address": "address of Ray",
        "nvenc_resource": "custom resource of nodes with NVENC",
        "cpu_resource": "custom resource of nodes for the CPU",
        "node_wait_s": "wait for a node (s)",
    },
    "Retries": {
        "retries": "after a transient failure",
        "retry_delay_s": "first delay (s)",
        "crash_retries": "after a worker's death",
    },
    "Limits": {
        "stall_timeout_s": "ffmpeg without progress (s)",
        "ffmpeg_memory_gb": "memory per ffmpeg process (GB)",
    },
    "Rarely needed": {
        "extensions": "file name extensions",
        "scratch_dir": "folder for temporary files",
        "ffmpeg_binary": "another ffmpeg",
        "verbose": "log of Prefect and Ray",
        "ffmpeg_verbose": "log of ffmpeg",
    },
}


def in_groups(groups: Groups) -> Callable[[dict[str, Any]], None]:
    """What gives a model's JSON schema these titles, in this order."""

    def arrange(schema: dict[str, Any]) -> None:
        before: dict[str, Any] = schema.get("properties", {})
        after: dict[str, Any] = {}
        for group, titles in groups.items():
            for name, title in titles.items():
                if name in before:
                    titled = f"{group}: {title}" if group else title
                    after[name] = {**before[name], "title": titled}
        after |= {name: field for name, field in before.items() if name not in after}
        schema["properties"] = after

    return arrange
