"""An ffmpeg that pretends to have NVENC: `nvenc_stand_in.py STATE FFMPEG ARGUMENTS`.

Asked for h264_nvenc, it encodes with libx264 instead, or fails with NVENC's own words. STATE is
a folder:

    moods/RAYLET_PID   how the node of that raylet behaves; without a file: as a GPU without NVENC
    log                a line for every encode: raylet, worker, GPU, sessions there, whether a trial
    cpu-waits          if it is there, libx264 begins after the first encode with NVENC
    sessions/          a locked file for every encode that runs; the kernel unlocks it at its end

A mood is a line of words: `works`, or one of `_SAYINGS`; `sessions=2` and `seconds=1` may follow.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
import time
from pathlib import Path

# As FFmpeg's nvenc.c says it; the last line is what ffmpeg makes of each.
_FAILED = "Error while opening encoder - maybe incorrect parameters such as bit_rate, rate, width"
_SAYINGS = {
    "no-device": ["OpenEncodeSessionEx failed: unsupported device (2): (no details)",
                  "No capable devices found"],
    "old-driver": ["Driver does not support the required nvenc API version. Required: 13.0 Found:"
                   " 12.2", "The minimum required Nvidia driver for nvenc is 610.00 or newer"],
    "no-encoder": ["Unknown encoder 'h264_nvenc'"],
    "no-session": ["OpenEncodeSessionEx failed: out of memory (10): (no details)"],
    "too-wide": ["Width 5000 exceeds 4096", "No capable devices found"],
}  # fmt: skip
_NVENCS_OWN = ("-preset", "-tune", "-rc", "-b:v", "-strict_gop", "-g")


def _fail(saying: str) -> None:
    for line in [*_SAYINGS[saying], _FAILED]:
        print(f"[h264_nvenc @ 0x55] [error] {line}", file=sys.stderr)
    sys.exit(255)


def _with_libx264(argv: list[str]) -> list[str]:
    """The same command for the CPU: what only NVENC knows is dropped, its quality is a CRF."""
    new: list[str] = []
    words = iter(argv)
    for word in words:
        if word in _NVENCS_OWN:
            next(words)
        else:
            new.append({"h264_nvenc": "libx264", "-cq": "-crf"}.get(word, word))
    at = new.index("libx264") + 1
    return [*new[:at], "-preset", "ultrafast", "-flags", "+cgop", "-threads", "1", *new[at:]]


def _open_session(state: Path, raylet: str, gpu: str, most: int, *, trial: bool) -> None:
    """Hold a session until this process, which becomes ffmpeg, ends."""
    folder = state / "sessions" / f"{raylet}-{gpu}"
    folder.mkdir(parents=True, exist_ok=True)
    with open(state / "lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        held = 0
        for other in folder.iterdir():
            with open(other) as stream:
                try:
                    fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    held += 1
        refused = held >= most
        line = {"raylet": raylet, "gpu": gpu, "sessions": held + 1, "trial": trial}
        line["worker"] = os.getppid()
        with open(state / "log", "a") as log:
            log.write(json.dumps({**line, "refused": refused, "at": time.time()}) + "\n")
        if refused:
            _fail("no-session")
        mine = os.open(folder / str(os.getpid()), os.O_CREAT | os.O_RDWR)
        os.set_inheritable(mine, True)
        fcntl.flock(mine, fcntl.LOCK_EX)


def _wait_for_nvenc(log: Path) -> None:
    """Until a chunk is being made with it: whose worker starts first is chance."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if log.exists() and '"trial": false' in log.read_text():
            return
        time.sleep(0.05)


def main() -> None:
    state, ffmpeg, argv = Path(sys.argv[1]), sys.argv[2], sys.argv[3:]
    if "h264_nvenc" not in argv:
        if "libx264" in argv and (state / "cpu-waits").exists():
            _wait_for_nvenc(state / "log")
        os.execv(ffmpeg, [ffmpeg, *argv])
    raylet, gpu = os.environ.get("RAY_RAYLET_PID", "none"), os.environ.get("CUDA_VISIBLE_DEVICES")
    trial = "lavfi" in argv
    mood_file = state / "moods" / raylet
    mood, *more = mood_file.read_text().split() if mood_file.exists() else ["no-device"]
    options = dict(word.split("=") for word in more)
    if mood == "works-in-trials" and not trial:
        mood = "no-device"
    if not gpu:
        mood = "no-device"  # Ray hides the GPU from what did not ask for one
    if any("wide" in word for word in argv):
        mood = "too-wide"
    if mood in _SAYINGS:
        _fail(mood)
    most = int(options.get("sessions", "64"))
    _open_session(state, raylet, str(gpu), most, trial=trial)
    if not trial:
        time.sleep(float(options.get("seconds", "0")))
    os.execv(ffmpeg, [ffmpeg, *_with_libx264(argv)])


main()
