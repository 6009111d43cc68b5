"""ffmpeg's words sorted into kinds of failure."""

from __future__ import annotations

import pytest

from clipping.ffmpeg.failures import classify, died_of, last_words


@pytest.mark.parametrize(
    ("code", "words", "kind"),
    [
        (183, "[mov] moov atom not found\nError opening input: Invalid data found", "bad input"),
        (8, "Unknown encoder 'h264_nvenc'", "no such encoder"),
        (255, "[h264_nvenc @ 0x1] Cannot load libcuda.so.1", "no device"),
        (255, "[h264_nvenc @ 0x1] OpenEncodeSessionEx failed: unsupported device (2)", "no device"),
        (255, "OpenEncodeSessionEx failed: out of memory (10)", "out of encoder sessions"),
        (255, "OpenEncodeSessionEx failed: client key (21)", "out of encoder sessions"),
        (255, "cuCtxCreate failed -> CUDA_ERROR_OUT_OF_MEMORY: out of memory",
         "out of encoder sessions"),
        (255, "Driver does not support the required nvenc API version. Required: 13.0 Found: 12.2"
         "\nThe minimum required Nvidia driver for nvenc is 610.00 or newer", "driver too old"),
        (255, "Cannot load libnvidia-encode.so.1\nThe minimum required Nvidia driver for nvenc is"
         " 610.00 or newer", "no device"),
        (255, "cuInit(0) failed -> CUDA_ERROR_NO_DEVICE: no CUDA-capable device is detected",
         "no device"),
        (255, "Width 5000 exceeds 4096\nNo capable devices found", "not supported by the device"),
        (255, "InitializeEncoder failed: invalid param (8): Frame Dimension less than the minimum"
         " supported value.", "not supported by the device"),
        (228, "av_interleaved_write_frame(): No space left on device", "disk full"),
        (-9, "", "killed"),
        (-15, "", "killed"),
        (-11, "", "crashed"),
        (-6, "double free or corruption (out)", "crashed"),
        (-6, "[h264 @ 0x1] Cannot allocate memory", "out of memory"),
        (255, "Exiting normally, received signal 15.", "killed"),
        (1, "something nobody has seen", "unknown failure"),
        (251, "in.mp4: Input/output error", "input/output error"),
    ],
)  # fmt: skip
def test_failures_are_told_apart_by_words(code: int, words: str, kind: str) -> None:
    """Exit statuses are ambiguous; the words are not."""
    assert classify(code, words) == kind


def test_the_last_words_are_short_and_without_addresses() -> None:
    """A message for a person: the end of the log, each thing once."""
    log = "[h264 @ 0x55aa] [error] bad thing\n[h264 @ 0x55ab] [error] bad thing\nframe=  1\n"
    assert last_words(log) == "bad thing"
    assert len(last_words("x" * 5000)) <= 301


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [(-11, "crashed", "SIGSEGV"), (-9, "killed", "SIGKILL"), (3, "unknown failure", "status 3")],
)
def test_what_ended_a_process_is_named(status: int, kind: str, words: str) -> None:
    """A crash is the work's own fault, a kill may come from outside."""
    found, how = died_of(status)
    assert found == kind
    assert how.endswith(words)
