"""What can be known to fail here, before a server or a cluster is started."""

from __future__ import annotations

import os
from pathlib import Path

from clipping.config.run_config import RunConfig
from clipping.errors import FailureKind, StorageError, UsageError
from clipping.ffmpeg.binary import ffmpeg_path, ffmpeg_version
from clipping.ffmpeg.encoder_check import try_encoder
from clipping.ffmpeg.encoders import AUTO, DEFAULT, encoder, gpu_encoder
from clipping.media.shots import require_detectors
from clipping.storage.addresses import is_remote

__all__ = ["require_encoder", "require_gpu_here", "require_writable"]


def require_encoder(config: RunConfig) -> None:
    """Raise ClippingError if ffmpeg does not run here, or not with the encoder that is to be used.

    Of a cluster's nodes nothing is known yet, so that only ffmpeg itself is asked for then.
    """
    binary = config.execution.ffmpeg_binary
    ffmpeg_version(ffmpeg_path(binary))
    if config.recipe.scene_rule and not config.execution.ray_address:
        require_detectors()
    if config.execution.ray_address:
        return
    require_gpu_here(config)
    if config.cpu_encoder is None:
        return
    if config.recipe.copies and not config.recipe.copy_fallback:
        return
    row = encoder(config.recipe.copy_fallback or config.cpu_encoder)
    trial = try_encoder(binary, row.name, config.recipe.trial_rate(row))
    if trial.works is False:
        raise UsageError(
            f"{row.name} does not work with {ffmpeg_path(binary)}: {trial.text}. Choose another"
            " --encoder, or another ffmpeg by --ffmpeg-binary",
            trial.kind,
        )


def require_gpu_here(config: RunConfig) -> None:
    """Raise UsageError if only a GPU may encode, only on this machine, and it cannot."""
    row = gpu_encoder(config.recipe.encoder)
    if row is None or config.cpu_encoder or config.execution.ray_address:
        return
    trial = try_encoder(config.execution.ffmpeg_binary, row.name, config.recipe.trial_rate(row))
    if trial.works is False:
        raise UsageError(
            f"{row.name} does not work on this machine: {trial.text}. Choose --encoder {AUTO} or"
            f" {DEFAULT.name}, or the --ray-address of a cluster that has NVENC",
            trial.kind,
        )


def require_writable(config: RunConfig) -> None:
    """Raise StorageError for folders that a run could not write into; nothing is made.

    Whether an object store takes what is put there only putting something tells.
    """
    for name, path in (("output", config.output), ("scratch_dir", config.execution.scratch_dir)):
        if not path or is_remote(path):
            continue
        folder = Path(path.removeprefix("file://"))
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        if not folder.is_dir():
            raise StorageError(f"{name} {path}: {folder} is not a folder", FailureKind.IO)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise StorageError(f"{name} {path}: {folder} cannot be written to", FailureKind.IO)
