"""Open and check the recordings of a generator; compute mean and deviation."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from astrocast.denoising.items import Window
from astrocast.errors import InvalidConditionError, InvalidValueError
from astrocast.io import Recording, open_recording
from astrocast.kernels.denoising.scaling import Scaling, running_moments
from astrocast.settings.denoising import GeneratorSettings

logger = logging.getLogger("astrocast.denoising")

_MEAN, _STD = "global_mean", "global_std"
#: number of evenly spread frames from which mean and standard deviation are estimated;
#: more frames do not change the third digit
_SAMPLED_FRAMES = 200


def open_sources(
    paths: Any, settings: GeneratorSettings, window: Window
) -> list[Recording]:
    """Open the recordings; an error lists all problems at once."""
    sources = list(paths) if isinstance(paths, (list, tuple)) else [paths]
    if not sources:
        raise InvalidValueError("paths is empty; give at least one recording")
    recordings: list[Recording] = []
    try:
        for source in sources:
            recordings.append(open_recording(source, settings.loc))  # noqa: PERF401 - open recordings are closed on error
        problems = check_sources(recordings, settings, window)
        if problems:
            raise InvalidConditionError("; ".join(problems))
    except Exception:
        for recording in recordings:
            recording.close()
        raise
    return recordings


def check_sources(
    recordings: Sequence[Recording], settings: GeneratorSettings, window: Window
) -> list[str]:
    """Return the reasons why recordings cannot be used for training; empty if none."""
    problems = []
    for r in recordings:
        if r.shape[0] < window.length:
            problems.append(
                f"{name_of(r)} has {r.shape[0]} frames, but the window needs"
                f" {window.length} ({window.context[0]} + {window.context[1]} context,"
                f" {sum(window.gap)} gap, 1 target); use a smaller pre_post_frame"
            )
        if settings.padding is None and (
            r.shape[1] < settings.input_size[0] or r.shape[2] < settings.input_size[1]
        ):
            problems.append(
                f"input_size {settings.input_size} is larger than the frames of"
                f" {name_of(r)}, {r.shape[1:]}; use smaller patches or padding"
            )
    dtypes = sorted({str(r.dtype) for r in recordings})
    if len(dtypes) > 1 and settings.normalize is None:
        problems.append(
            f"the recordings have different dtypes ({', '.join(dtypes)}), so that grey"
            " values are not comparable; use normalize='global' or convert them"
        )
    return problems


def name_of(recording: Recording) -> str:
    """Return the name of a recording for messages."""
    return str(recording.path) if recording.path else "the array"


def global_scaling(recording: Recording) -> Scaling:
    """Return mean and standard deviation of a recording, stored or computed.

    Values that `store_scaling` stored in the file are used if they exist.
    """
    stored = _stored_scaling(recording)
    if stored is not None:
        return stored
    step = max(1, recording.shape[0] // _SAMPLED_FRAMES)
    mean, std = running_moments(
        recording.read(t, t + 1) for t in range(0, recording.shape[0], step)
    )
    return Scaling(mean, std)


def pixel_scaling(recording: Recording) -> Scaling:
    """Return the mean frame of a recording, and the standard deviation around it.

    The offset has one value per pixel (row, column); the scale is one number.
    """
    block = max(1, (32 << 20) // (4 * recording.shape[1] * recording.shape[2]))
    total = np.zeros(recording.shape[1:])
    for _, frames in recording.blocks(block):
        total += frames.sum(0, dtype=np.float64)
    mean = (total / recording.shape[0]).astype(np.float32)
    step = max(1, recording.shape[0] // _SAMPLED_FRAMES)
    deviation = running_moments(
        recording.read(t, t + 1) - mean for t in range(0, recording.shape[0], step)
    )[1]
    return Scaling(mean, deviation)


def _is_hdf5(recording: Recording) -> bool:
    return (
        recording.path is not None
        and recording.loc is not None
        and Path(recording.path).suffix in (".h5", ".hdf5")
    )


def _stored_scaling(recording: Recording) -> Scaling | None:
    """Return mean and standard deviation stored in an HDF5 file, or None."""
    if not _is_hdf5(recording):
        return None
    import h5py

    with h5py.File(recording.path, "r") as file:
        attributes = file[recording.loc].attrs
        if _MEAN not in attributes or _STD not in attributes:
            return None
        mean, std = float(attributes[_MEAN]), float(attributes[_STD])
    return Scaling(mean, std) if np.isfinite(mean) and std > 0 else None


def store_scaling(recording: Recording, scaling: Scaling) -> Recording:
    """Store mean and standard deviation as attributes of the dataset.

    Returns the recording, opened again. Formats other than HDF5 are not changed, nor is
    a file without write permission (a log message says so).
    """
    if not _is_hdf5(recording) or _stored_scaling(recording) is not None:
        return recording
    import h5py

    recording.close()  # HDF5 cannot write to a file that is open for reading
    try:
        with h5py.File(recording.path, "r+") as file:
            file[recording.loc].attrs[_MEAN] = scaling.offset
            file[recording.loc].attrs[_STD] = scaling.scale
    except OSError as error:
        logger.info(
            "mean and standard deviation are not stored in %s: %s",
            recording.path,
            error,
        )
    return open_recording(recording.path, recording.loc)
