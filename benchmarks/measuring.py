"""Run a command and say what it took: wall time, CPU seconds and memory of its process tree."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

__all__ = ["Cost", "run"]

_SAMPLE_SECONDS = 0.25
_GRACE_SECONDS = 5


@dataclass(frozen=True)
class Cost:
    """Wall and CPU seconds, and the largest sum of resident memory of the tree in MiB.

    Memory that processes share counts once for each of them.
    """

    wall: float
    cpu: float
    peak_mib: float


@dataclass
class _Seen:
    """A process as it was last seen: its parent, its own CPU seconds, its waited children's."""

    parent: int
    own: float
    children: float


def run(argv: Sequence[str], folder: Path, environment: dict[str, str] | None = None) -> Cost:
    """Run `argv` in `folder` to its end. Raises RuntimeError with its last words if it fails.

    A command whose last line of output is `FIGURES wall cpu` has measured itself, without the
    start of its interpreter.
    """
    log = folder / "log.txt"
    began = time.monotonic()
    with log.open("wb") as out:
        process = subprocess.Popen(
            argv, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out
        )
        seen: dict[int, _Seen] = {}
        peak = 0.0
        tree: set[psutil.Process] = set()
        root = psutil.Process(process.pid)
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                process.returncode = os.waitstatus_to_exitcode(status)
                break
            peak = max(peak, _sample(root, seen, tree))
            time.sleep(_SAMPLE_SECONDS)
    wall = time.monotonic() - began
    # The kernel's sum is exact, but knows nothing of processes that nobody waited for.
    cpu = max(usage.ru_utime + usage.ru_stime, _cpu(seen))
    _end(tree)
    words = log.read_text(errors="replace")
    if process.returncode:
        raise RuntimeError(f"{argv[0]} ended with {process.returncode}: {words[-1500:]}")
    last = words.strip().rpartition("\n")[2].split()
    if last[:1] == ["FIGURES"]:
        wall, cpu = float(last[1]), float(last[2])
    return Cost(wall, cpu, peak / 2**20)


def _end(tree: set[psutil.Process]) -> None:
    """End what outlives the command, as a worker of Ray's may: the next one needs the CPUs."""
    _, alive = psutil.wait_procs(tree, timeout=_GRACE_SECONDS)
    for process in alive:
        with suppress(psutil.Error):
            process.kill()


def _sample(root: psutil.Process, seen: dict[int, _Seen], tree: set[psutil.Process]) -> float:
    """Note the processes of the tree and their CPU seconds; the memory of all in bytes."""
    total = 0.0
    try:
        processes = [root, *root.children(recursive=True)]
    except psutil.Error:
        return 0.0
    tree.update(processes)
    for process in processes:
        try:
            times = process.cpu_times()
            total += process.memory_info().rss
            parent = process.ppid()
        except psutil.Error:
            continue
        own, children = times.user + times.system, times.children_user + times.children_system
        seen[process.pid] = _Seen(parent, own, children)
    return total


def _cpu(seen: dict[int, _Seen]) -> float:
    """CPU seconds of all processes as they were last seen.

    What a parent knows of the children it waited for, or what was seen of them if that is more:
    nobody waits for Ray's workers, and nobody sees a process that is very quick.
    """

    def tree(pid: int) -> float:
        children = sum(tree(other) for other, seen_ in seen.items() if seen_.parent == pid)
        return seen[pid].own + max(seen[pid].children, children)

    return sum(tree(pid) for pid, process in seen.items() if process.parent not in seen)
