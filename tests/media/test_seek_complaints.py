"""What a decoder complains of before the first keyframe after a seek is the seek's, no damage.

In transport streams a seek lands anywhere, and a recording of a broadcast begins in mid-GOP.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from clipping.config.execution import Execution
from clipping.models import ClipStatus
from tests.media.conftest import Make
from tests.support.media import counter_video, ffmpeg, read_numbers, steady

FRAMES = 150
_X264 = ["-c:v", "libx264", "-preset", "veryfast", "-x264-params"]
_X265 = ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params"]
_KEYS = "keyint=25:min-keyint=25:scenecut=0"
_MPEG2 = ["-c:v", "mpeg2video", "-q:v", "4", "-g", "15", "-bf", "2", "-sc_threshold", "1000000000"]
# Encoder options by how a decoder can begin in mid-file.
KINDS = {
    "hevc-closed-gop": [*_X265, f"log-level=error:{_KEYS}:open-gop=0:bframes=3"],
    "hevc-leading-pictures": [*_X265, f"log-level=error:{_KEYS}:open-gop=1:bframes=4:b-adapt=0"],
    "hevc-one-keyframe": [*_X265, "log-level=error:keyint=25:intra-refresh=1:bframes=0"],
    "h264-closed-gop": [*_X264, f"{_KEYS}:bframes=3"],
    "h264-recovery-points": [*_X264, f"{_KEYS}:bframes=3:b-adapt=0:open-gop=1"],
    "h264-intra-refresh": [*_X264, "keyint=25:intra-refresh=1:bframes=0"],
    "h264-interlaced": [*_X264, f"{_KEYS}:bframes=3:b-adapt=0:open-gop=1:interlaced=1"],
    "mpeg2-open-gop": _MPEG2,
    "mpeg2-closed-gop": [*_MPEG2, "-flags", "+cgop"],
}
# Clip length and stride in seconds, with gaps; clips in a chunk.
PLANS = [(1, 4, 32), (0.16, 1.32, 32), (0.2, 0.92, 1)]


def cut_in_mid_gop(video: Path) -> Path:
    """The video without its first eighth, as a recording that begins in mid-broadcast."""
    data = video.read_bytes()
    begun = video.with_name(f"begun-{video.name}")
    begun.write_bytes(data[len(data) // 188 // 8 * 188 :])
    return begun


# Without its only keyframe, nothing can be decoded.
CASES = [(kind, False) for kind in KINDS] + [(k, True) for k in KINDS if k != "hevc-one-keyframe"]


@pytest.mark.parametrize(("kind", "begins_late"), CASES)
def test_an_intact_transport_stream_has_no_damage(
    make: Make, tmp_path: Path, kind: str, begins_late: bool
) -> None:
    """However clips lie in it: all are written, with the frames that a linear decode gives."""
    counter_video(tmp_path / "in.mp4", *steady(FRAMES, 25), options={"crf": "10"})
    video = tmp_path / "video.ts"
    ffmpeg("-i", tmp_path / "in.mp4", *KINDS[kind], video)
    if begins_late:
        video = cut_in_mid_gop(video)
    linear = read_numbers(video)
    if kind != "h264-intra-refresh":  # of which a linear decode has half-made frames at first
        assert [n for _, n in linear] == list(range(linear[0][1], FRAMES))
    for number, (length, stride, chunk) in enumerate(PLANS):
        made = make(
            video,
            execution=Execution(num_clips_per_chunk=chunk),
            clip_len_s=length,
            clip_stride_s=stride,
            deinterlace=False,
            quality=15 + number,  # another recipe each time
        )
        assert len(made.clips) == -(-len(linear) // round(25 * stride))
        for record in made.clips:
            assert record.status is ClipStatus.WRITTEN
            assert not record.errors
            assert record.damaged_frames == 0
            clip = record.clip
            wanted = [n for _, n in linear[clip.start_frame : clip.end_frame]]
            assert [n for _, n in read_numbers(Path(record.location or ""))] == wanted
