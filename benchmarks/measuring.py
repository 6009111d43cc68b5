"""Run a command and say what it took: wall time, CPU seconds and memory of its process tree."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

__all__ = ["Cost", "run"]

_SAMPLE_SECONDS = 0.1


@dataclass(frozen=True)
class Cost:
    """Wall and CPU seconds, and the largest sum of resident memory of the tree in MiB.

    Memory that processes share counts once for each of them.
    """

    wall: float
    cpu: float
    peak_mib: float


def run(argv: Sequence[str], folder: Path, environment: dict[str, str] | None = None) -> Cost:
    """Run `argv` in `folder` to its end. Raises RuntimeError with its last words if it fails.

    CPU seconds are those that each process of the tree had when it was last seen, or, for
    those that were waited for, what the kernel says.
    """
    log = folder / "log.txt"
    began = time.monotonic()
    with log.open("wb") as out:
        process = subprocess.Popen(
            argv, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out
        )
        seen: dict[int, float] = {}
        peak = 0.0
        root = psutil.Process(process.pid)
        while process.poll() is None:
            peak = max(peak, _sample(root, seen))
            time.sleep(_SAMPLE_SECONDS)
    wall = time.monotonic() - began
    if process.returncode:
        words = log.read_text(errors="replace")[-1500:]
        raise RuntimeError(f"{argv[0]} ended with {process.returncode}: {words}")
    return Cost(wall, sum(seen.values()), peak / 2**20)


def _sample(root: psutil.Process, seen: dict[int, float]) -> float:
    """Note the CPU seconds of every process of the tree; the memory of all together in bytes.

    A process's own figure holds its dead children's, who are then counted there and not by
    themselves.
    """
    total = 0.0
    try:
        tree = [root, *root.children(recursive=True)]
    except psutil.Error:
        return 0.0
    alive = {p.pid for p in tree}
    for process in tree:
        try:
            times = process.cpu_times()
            total += process.memory_info().rss
        except psutil.Error:
            continue
        seen[process.pid] = times.user + times.system + times.children_user + times.children_system
    for pid in [p for p in seen if p not in alive and p != root.pid]:
        del seen[pid]  # whoever waited for it has its seconds
    return total
