"""The recordings of a generator: opened lazily, checked together, normalised once each."""

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
#: frames that mean and standard deviation are estimated from, evenly spread; more do
#: not change the third digit
_SAMPLED_FRAMES = 200


def open_sources(
    paths: Any, settings: GeneratorSettings, window: Window
) -> list[Recording]:
    """Return the recordings; all that is wrong with them is said at once."""
    sources = list(paths) if isinstance(paths, (list, tuple)) else [paths]
    if not sources:
        raise InvalidValueError("paths is empty; name at least one recording")
    recordings: list[Recording] = []
    try:
        for source in sources:
            recordings.append(open_recording(source, settings.loc))  # noqa: PERF401 - those opened are closed on error
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
    """Return what is wrong with recordings as sources of training items."""
    problems = []
    for r in recordings:
        if r.shape[0] < window.length:
            problems.append(
                f"{name(r)} has {r.shape[0]} frames, the window needs {window.length}"
                f" ({window.context[0]} + {window.context[1]} context,"
                f" {sum(window.gap)} gap, 1 target); use a smaller pre_post_frame"
            )
        if settings.padding is None and (
            r.shape[1] < settings.input_size[0] or r.shape[2] < settings.input_size[1]
        ):
            problems.append(
                f"input_size {settings.input_size} is larger than the frames of"
                f" {name(r)}, {r.shape[1:]}; use smaller patches or padding"
            )
    dtypes = sorted({str(r.dtype) for r in recordings})
    if len(dtypes) > 1 and settings.normalize is None:
        problems.append(
            f"the recordings have different dtypes ({', '.join(dtypes)}), so their grey"
            " values mean different things; use normalize='global' or convert them"
        )
    return problems


def name(recording: Recording) -> str:
    """Return what to call a recording in a message."""
    return str(recording.path) if recording.path else "the array"


def global_scaling(recording: Recording) -> Scaling:
    """Return mean and standard deviation of a recording, those stored in its file when
    there are any.
    """
    stored = _stored(recording)
    if stored is not None:
        return stored
    step = max(1, recording.shape[0] // _SAMPLED_FRAMES)
    mean, std = running_moments(
        recording.read(t, t + 1) for t in range(0, recording.shape[0], step)
    )
    return Scaling(mean, std)


def pixel_scaling(recording: Recording) -> Scaling:
    """Return the mean frame of a recording, and the one standard deviation of what is
    left without it.
    """
    block = max(1, (32 << 20) // (4 * recording.shape[1] * recording.shape[2]))
    total = np.zeros(recording.shape[1:])
    for _, frames in recording.blocks(block):
        total += frames.sum(0, dtype=np.float64)
    mean = (total / recording.shape[0]).astype(np.float32)
    step = max(1, recording.shape[0] // _SAMPLED_FRAMES)
    spread = running_moments(
        recording.read(t, t + 1) - mean for t in range(0, recording.shape[0], step)
    )[1]
    return Scaling(mean, spread)


def _is_hdf5(recording: Recording) -> bool:
    return (
        recording.path is not None
        and recording.loc is not None
        and Path(recording.path).suffix in (".h5", ".hdf5")
    )


def _stored(recording: Recording) -> Scaling | None:
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
    """Store the two numbers as attributes of the dataset and return the recording,
    opened again.

    Only HDF5 keeps them. A file that cannot be written is left as it is, with a line in
    the log.
    """
    if not _is_hdf5(recording) or _stored(recording) is not None:
        return recording
    import h5py

    recording.close()  # HDF5 does not open a file for writing that is open for reading
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
