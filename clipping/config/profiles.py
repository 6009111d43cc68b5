"""Whole recipes by name: the clips that published data sets and training recipes use. Pure.

A profile is a set of defaults; whatever is given besides wins. docs/profiles.md says where the
values come from.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from clipping.wording import did_you_mean

__all__ = ["PROFILES", "Profile", "known_profile", "profile_values"]


@dataclass(frozen=True, slots=True)
class Profile:
    """A recipe. about: what it is for, in a line; values: settings by name."""

    about: str
    values: Mapping[str, Any]


PROFILES: Mapping[str, Profile] = {
    "world-model": Profile(
        "10 s at 24 frames/s, 720p, a keyframe a second: for long windows and random access",
        {"clip_len_s": 10, "clip_stride_s": 10, "fps": "24", "size": "720p", "gop": "1s"},
    ),
    "open-sora": Profile(
        "shots in clips of 2 to 15 s at 30 frames/s, 720p (Open-Sora 1.2)",
        {
            "spans": "scenes",
            "clip_len_s": 15,
            "clip_stride_s": 15,
            "min_clip_length_s": 2,
            "fps": "30",
            "size": "720p",
            "gop": "1s",
        },
    ),
    "wan": Profile(
        "81 frames at 16 frames/s, 832x480 (Wan 2.1)",
        {
            "frames": 81,
            "frame_stride": 81,
            "fps": "16",
            "gop": "1s",
            "size": "832x480",
            "size_fit": "fill",
        },
    ),
    "cogvideox": Profile(
        "49 frames at 8 frames/s, 720x480 (CogVideoX)",
        {
            "frames": 49,
            "frame_stride": 49,
            "fps": "8",
            "gop": "1s",
            "size": "720x480",
            "size_fit": "fill",
        },
    ),
    "hunyuan": Profile(
        "129 frames at 24 frames/s, 720p, sides a multiple of 16 (HunyuanVideo)",
        {
            "frames": 129,
            "frame_stride": 129,
            "fps": "24",
            "gop": "1s",
            "size": "720p",
            "size_multiple": 16,
        },
    ),
    "ltx": Profile(
        "121 frames at 24 frames/s, 768x512, sides a multiple of 32 (LTX-Video)",
        {
            "frames": 121,
            "frame_stride": 121,
            "fps": "24",
            "gop": "1s",
            "size": "768x512",
            "size_fit": "fill",
            "size_multiple": 32,
        },
    ),
    "lerobot": Profile(
        "AV1 with a keyframe every other frame, without sound (LeRobot data sets)",
        {
            "encoder": "libsvtav1",
            "preset": "12",
            "quality": 30,
            "gop": "2",
            "b_frames": False,
            "audio": "none",
        },
    ),
    "speech": Profile(
        "16 kHz mono sound in AAC beside the picture: for speech and joint models",
        {"audio": "aac", "audio_sample_rate": 16_000, "audio_channels": 1},
    ),
}

# What is given takes the place of what means the same in another way.
_REPLACES: Mapping[str, Collection[str]] = {
    "clip_len_s": ("frames", "frame_stride"),
    "frames": ("clip_len_s", "clip_stride_s", "min_clip_length_s"),
    "spans": ("clip_len_s", "clip_stride_s", "min_clip_length_s", "frames", "frame_stride"),
    "span_list": (
        *("spans", "clip_len_s", "clip_stride_s", "min_clip_length_s", "frames", "frame_stride"),
    ),
    "size": ("size_fit", "size_multiple"),
    "encoder": ("preset", "quality", "b_frames"),
    "use_input_bit_rate": ("quality",),
    "audio": ("audio_sample_rate", "audio_channels"),
}


def known_profile(name: str) -> str:
    """The name, if there is such a profile. Raises ValueError."""
    if name and name not in PROFILES:
        raise ValueError(
            f"there is no such profile{did_you_mean(name, PROFILES)} (--profile list shows them)"
        )
    return name


def profile_values(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a profile that what is given leaves in force."""
    if name not in PROFILES:
        return {}
    replaced = {other for each in given for other in _REPLACES.get(each, ())}
    if "spans" in given and name != "open-sora":
        replaced -= set(_REPLACES["spans"])  # the same clips, within shots
    values = dict(PROFILES[name].values)
    if "frames" in given and "frame_stride" in values:  # clips still follow one another
        values["frame_stride"] = given["frames"]
    return {k: v for k, v in values.items() if k not in replaced and k not in given}
