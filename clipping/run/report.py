"""The report of a run: what it says of the run itself, and how far it is while it goes on."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Self

from clipping.config.recipe import Recipe
from clipping.config.run_config import RunConfig
from clipping.dataset.coverage import Coverage
from clipping.dataset.report.page import RunFacts, report_line, require_page, write_now
from clipping.ffmpeg.encoders import candidates
from clipping.run.progress import Snapshot, View
from clipping.run.run_log import RunLog
from clipping.run.summary import listed
from clipping.run.tally import Tally
from clipping.storage.outputs import Output
from clipping.wording import count

__all__ = ["LiveReport", "recipe_sentence", "report_run"]

_EVERY = 30.0  # seconds
_SHOWN = 20  # failures
_CLIP = (
    *("clip", "source", "number", "start_s", "end_s", "duration_s", "start_frame", "frames"),
    *("damaged_frames", "fps", "width", "height", "bytes", "encoder", "video_codec"),
    *("audio_codec", "errors", "failure_kind", "recipe_digest"),
)


def report_run(coverage: Coverage, tally: Tally, config: RunConfig) -> None:
    """Write the report of what the output holds after a run; the tally is to tell of it."""
    tally.report, tally.report_at = report_line(coverage, _facts(tally, config))


def recipe_sentence(recipe: Recipe) -> str:
    """What was asked for, in a sentence."""
    rows = candidates(recipe.encoder)
    encoders = " or ".join(row.name for row in rows)
    if recipe.use_input_bit_rate:
        how = "at the bit rate of the source"
    else:
        first = rows[0]
        quality = first.default_quality if recipe.quality is None else recipe.quality
        how = f"quality {quality:g}"
        preset = recipe.preset_for(first) or first.default_preset
        how += f", preset {preset}" if preset and len(rows) == 1 else ""
    parts = [f"Clips of {recipe.span_source.describe()}", f"encoded by {encoders} ({how})"]
    if recipe.size:
        how = "" if recipe.size_fit == "fit" else f" ({recipe.size_fit})"
        parts.append(f"at {recipe.size}{how}")
    parts.append(_sound(recipe))
    if recipe.limit_clips:
        parts.append(f"at most {count(recipe.limit_clips, 'clip')} of a video")
    if not recipe.tone_map:
        parts.append("HDR kept")
    if not recipe.deinterlace:
        parts.append("interlacing kept")
    return ", ".join(parts) + "."


def _sound(recipe: Recipe) -> str:
    if recipe.audio == "none":
        return "without sound"
    wanted = [
        *(["AAC"] if recipe.audio == "aac" else []),
        *([f"{recipe.audio_sample_rate} Hz"] if recipe.audio_sample_rate else []),
        *([("mono", "stereo")[recipe.audio_channels - 1]] if recipe.audio_channels else []),
        *([f"track {recipe.audio_track}"] if recipe.audio_track else []),
    ]
    return f"with sound ({', '.join(wanted)})" if wanted else "with sound"


def _facts(tally: Tally, config: RunConfig) -> RunFacts:
    made = tally.written - tally.reused
    lines = [f"{count(made, 'clip')} made", f"{tally.reused} were there already"]
    if made:
        seconds = max(tally.seconds, 0.001)
        lines.append(
            f"{tally.made_seconds:.0f} s of clips in {tally.seconds:.1f} s"
            f" ({tally.made_seconds / seconds:.1f}x real time,"
            f" {tally.frames_encoded / seconds:.0f} frames/s)"
        )
    if len(tally.encoders) > 1:
        lines.append(", ".join(f"{n} by {name}" for name, n in sorted(tally.encoders.items())))
    lines.append(f"{tally.new_failures} failed anew, {tally.known} had failed before")
    if tally.passed_over:
        named = listed(tally.passed_over_named, tally.passed_over)
        lines.append(f"{count(tally.passed_over, 'other file')} passed over by name{named}")
    if tally.retries or tally.crashes:
        lines.append(f"{tally.retries} retries, {count(tally.crashes, 'worker')} lost")
    return RunFacts(recipe_sentence(config.recipe), tuple(lines), tuple(tally.problems()))


class LiveReport:
    """A view that also tells the report how far the run is, every half a minute. Used in a `with`.

    It writes in a thread of its own: a store that does not answer keeps nothing waiting.
    """

    def __init__(
        self,
        view: View,
        output: Output,
        tally: Tally,
        config: RunConfig,
        log: RunLog | None = None,
    ) -> None:
        self._view, self._output, self._tally, self._config = view, output, tally, config
        self._log = log
        self._shard = config.execution.shard
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="report")
        self._last = time.monotonic() - _EVERY
        self._writing: Future[None] | None = None
        self._has_page = False

    def show(self, snapshot: Snapshot) -> None:
        """Show it, and tell the report if it is time."""
        self._view.show(snapshot)
        now = time.monotonic()
        is_idle = self._writing is None or self._writing.done()
        if is_idle and now - self._last >= _EVERY:
            self._last = now
            self._writing = self._pool.submit(self._write, self._state(snapshot))

    def say(self, lines: list[str]) -> None:
        """The run's last words."""
        self._view.say(lines)

    def _state(self, snapshot: Snapshot) -> dict[str, Any]:
        failures = [f"{name}: {failure.message}" for name, failure in self._tally.failures]
        return {
            "updated": round(time.time()),
            "share": round(snapshot.share, 4),
            "text": snapshot.text(),
            "failures": failures[:_SHOWN],
            "clips": [self._shown(row) for row in reversed(self._tally.newest)],
        }

    def _shown(self, row: Mapping[str, Any]) -> dict[str, Any]:
        return {
            **{name: row[name] for name in _CLIP},
            "preview": int(self._config.execution.previews),
        }

    def _write(self, state: dict[str, Any]) -> None:
        if self._log:
            self._log.write(self._output)
        with suppress(Exception):  # the next one, or the report at the end, may get through
            write_now(self._output, self._shard, state)
            if not self._has_page:
                require_page(self._output, self._shard)
                self._has_page = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: object, *_: object) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        if error is None and self._writing is not None:  # who was interrupted does not wait
            with suppress(Exception):
                self._writing.result(timeout=_EVERY)  # or it would come after the report
