"""The part of the recipe that says where clips begin and end."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, Field, model_validator

from clipping.config.units import Seconds
from clipping.plan.frame_spans import FrameSpans
from clipping.plan.listed import ListedSpans
from clipping.plan.scenes import Detector, SceneRule, SceneSpans
from clipping.plan.spans import SpanSource, StrideSpans, exact

__all__ = ["SpanSettings"]

# Seconds: one frame of a fast camera. Nothing shorter can be meant.
_SHORTEST = 0.001
_OF_SCENES = ("scene_detector", "scene_threshold", "scene_min_length_s", "scene_margin_frames")
_OF_STRIDES = ("clip_len_s", "clip_stride_s", "frames", "frame_stride")
# How many clips a frame may be in; with far more, a minute of video has millions of clips.
_MOST_OVERLAP = 1000


class SpanSettings(BaseModel):
    """Where clips begin and end."""

    spans: Literal["stride", "list", "scenes"] = Field(
        default="stride",
        title="Where clips come from",
        description="stride cuts a clip every clip_stride_s; list cuts the spans of span_list;"
        " scenes finds shots and makes stride clips within each, so that none crosses a cut.",
    )
    span_list: str = Field(
        default="",
        title="List of spans",
        description="Path or address of a list with a source, a start and an end in each row: CSV,"
        " JSON, JSON Lines or Parquet; also what PySceneDetect and LosslessCut save.",
    )
    clip_len_s: Seconds = Field(
        default=10.0,
        ge=_SHORTEST,
        le=86_400,
        title="Clip length (s)",
        description="Length of a clip in seconds.",
    )
    clip_stride_s: Seconds = Field(
        default=10.0,
        ge=_SHORTEST,
        le=86_400,
        title="Clip stride (s)",
        description="Seconds from the start of one clip to the start of the next. Less than the "
        "clip length makes clips overlap, more leaves gaps.",
    )
    min_clip_length_s: Seconds = Field(
        default=2.0,
        ge=0,
        le=86_400,
        title="Shortest clip (s)",
        description="Drop a last clip that the end of the video cuts to less than this many "
        "seconds. Unless set, never more than the clip length.",
    )
    frames: int = Field(
        default=0,
        ge=0,
        le=1_000_000,
        title="Frames per clip (instead of a length)",
        description="Make every clip of exactly so many frames, whatever they last; 0 goes by"
        " clip_len_s. What has fewer is dropped.",
    )
    frame_stride: int = Field(
        default=0,
        ge=0,
        le=1_000_000,
        title="Frames from clip to clip (instead of a stride)",
        description="Frames from the start of one clip to the start of the next, with frames; 0"
        " goes by clip_stride_s.",
    )
    scene_detector: Detector = Field(
        default="adaptive",
        title="Shots: detector",
        description="How cuts are found, with spans scenes: by PySceneDetect's adaptive detector,"
        " to which fast motion is no cut, or its content detector.",
    )
    scene_threshold: float = Field(
        default=0.0,
        ge=0,
        le=255,
        title="Shots: threshold",
        description="How large a change has to be for a cut; 0 takes the detector's own default"
        " (adaptive: 3, content: 27).",
    )
    scene_min_length_s: Seconds = Field(
        default=0.6,
        ge=0,
        le=3600,
        title="Shots: shortest (s)",
        description="A cut that comes sooner after the last one is none.",
    )
    scene_margin_frames: int = Field(
        default=0,
        ge=0,
        le=1000,
        title="Shots: margin (frames)",
        description="Leave out so many frames before and after each cut (fades).",
    )
    limit_clips: int = Field(
        default=0,
        ge=0,
        title="Clips per video, at most",
        description="Make at most this many clips of each video; 0 means all.",
    )

    @model_validator(mode="after")
    def _possible_spans(self) -> Self:
        self._require_one_kind()
        # A form sends its defaults as well. Not an assignment: what was not set stays so, and
        # the environment may replace it.
        if self.min_clip_length_s == SpanSettings.model_fields["min_clip_length_s"].default:
            least = min(self.min_clip_length_s, self.clip_len_s)
            object.__setattr__(self, "min_clip_length_s", least)
        if self.min_clip_length_s > self.clip_len_s:
            raise ValueError(
                f"min_clip_length_s ({self.min_clip_length_s:g}) is more than clip_len_s "
                f"({self.clip_len_s:g}), so that no clip could ever be made"
            )
        if self.frame_stride and not self.frames:
            raise ValueError(
                "frame_stride needs frames, the number of frames in a clip; or use clip_stride_s"
            )
        if self.frames and self.clip_len_s != SpanSettings.model_fields["clip_len_s"].default:
            raise ValueError(
                f"frames ({self.frames}) and clip_len_s ({self.clip_len_s:g}) exclude each other:"
                " give one"
            )
        if self.frame_stride and self.frames > _MOST_OVERLAP * self.frame_stride:
            raise ValueError(
                f"frame_stride ({self.frame_stride}) is too short for clips of {self.frames}"
                f" frames: a frame would be in more than {_MOST_OVERLAP} clips"
            )
        if self.frames:
            return self
        if exact(self.clip_len_s) > _MOST_OVERLAP * exact(self.clip_stride_s):
            raise ValueError(
                f"clip_stride_s ({self.clip_stride_s:g}) is too short for a clip_len_s of"
                f" {self.clip_len_s:g}: a frame would be in more than {_MOST_OVERLAP} clips; give"
                f" {self.clip_len_s / _MOST_OVERLAP:g} or more"
            )
        return self

    def _require_one_kind(self) -> None:
        """Raise ValueError for settings of another kind of spans than the one that is asked for."""
        if self.span_list and self.spans == "stride":
            object.__setattr__(self, "spans", "list")  # what else could be meant
        if self.spans == "list" and not self.span_list:
            raise ValueError("spans list needs span_list, the file that they stand in")
        idle = {
            "stride": _OF_SCENES,
            "scenes": ("span_list",),
            "list": (*_OF_SCENES, *_OF_STRIDES),
        }[self.spans]
        usual = SpanSettings.model_fields
        for name in idle:
            if getattr(self, name) != usual[name].default:
                raise ValueError(f"{name} means nothing with spans {self.spans}: leave it out")

    @property
    def scene_rule(self) -> SceneRule | None:
        """How cuts are to be found; None if shots do not matter."""
        if self.spans != "scenes":
            return None
        return SceneRule(self.scene_detector, self.scene_threshold, self.scene_min_length_s)

    @property
    def span_source(self) -> SpanSource:
        """What decides where clips begin and end; times are exact, as they were typed."""
        if self.spans == "list":
            return ListedSpans(self.limit_clips)
        if rule := self.scene_rule:
            within = self._stride_source(limit=0)
            return SceneSpans(within, rule, self.scene_margin_frames, self.limit_clips)
        return self._stride_source(self.limit_clips)

    def _stride_source(self, limit: int) -> SpanSource:
        if self.frames:
            return FrameSpans(
                frames=self.frames,
                frame_stride=self.frame_stride,
                stride=exact(self.clip_stride_s),
                limit=limit,
            )
        return StrideSpans(
            length=exact(self.clip_len_s),
            stride=exact(self.clip_stride_s),
            least=exact(self.min_clip_length_s),
            limit=limit,
        )
