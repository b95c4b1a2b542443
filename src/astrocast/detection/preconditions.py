"""Checks before a detection, and input that it reads from beside the recording."""

from __future__ import annotations

import logging
import warnings
from contextlib import ExitStack

import numpy as np
from numpy.typing import NDArray

from astrocast.detection.suggest import automatic_levels, prominence_of_noise
from astrocast.errors import AstrocastWarning, InvalidValueError, stack_level
from astrocast.io.denoised import is_denoised, open_undenoised
from astrocast.io.recording import Recording
from astrocast.io.signal_kind import SignalKind, stored_signal_kind
from astrocast.io.stores.frame_quality import frames_left_out
from astrocast.io.stores.registration_store import Registration
from astrocast.runtime.frame_quality import known_frame_quality
from astrocast.settings.calibrated import CalibratedSettings
from astrocast.settings.detection import DetectionSettings
from astrocast.settings.in_force import (
    describe_ineffective,
    differs_from_default,
    ineffective_parameters,
)

#: definitions of activity
METHODS = ("default", "calibrated")


def check_in_force(
    method: str, settings: DetectionSettings, calibration: CalibratedSettings | None
) -> None:
    """Raise an error for an unknown method, or parameters without effect in it.

    In the default method, warn of parameters that ``threshold`` replaces; in both, of
    ``adjust_for_noise`` without an absolute threshold.
    """
    if method not in METHODS:
        raise InvalidValueError(
            f"method is {method!r}; choose one of {', '.join(METHODS)}"
        )
    if settings.adjust_for_noise and (
        settings.threshold is None or method == "calibrated"
    ):
        warnings.warn(
            "adjust_for_noise has no effect without an absolute threshold; give a"
            " threshold, or leave out adjust_for_noise",
            AstrocastWarning,
            stacklevel=stack_level(),
        )
    names = ineffective_parameters(method, settings)
    if names and method == "calibrated":
        raise InvalidValueError(describe_ineffective(method, names))
    if names:
        warnings.warn(
            describe_ineffective(method, names),
            AstrocastWarning,
            stacklevel=stack_level(),
        )
    if method == "default" and differs_from_default(calibration):
        raise InvalidValueError(
            "`calibration` has no effect with method 'default'; give"
            " method='calibrated'"
        )


def derive_levels(
    recording: Recording,
    settings: DetectionSettings,
    calibrated: CalibratedSettings | None,
) -> dict[str, float]:
    """Return the levels of the default method that are derived from the noise.

    Empty for the calibrated method. Warns if a given level is too low.
    """
    if calibrated is not None:
        return {}
    _warn_of_noise(recording, settings)
    return automatic_levels(recording, settings)


def _warn_of_noise(recording: Recording, settings: DetectionSettings) -> None:
    """Warn if peaks of noise reach the given prominence."""
    given = settings.temporal_prominence
    if settings.threshold is not None or not settings.use_temporal or given == "auto":
        return
    needed = prominence_of_noise(recording, settings)
    if given < needed / 2:
        warnings.warn(
            f"temporal_prominence is {given:g}, but peaks of noise reach this"
            " prominence, so noise is detected as events. This recording needs about"
            f" {needed:.3g} ('auto' computes it); method='calibrated' measures the"
            " noise",
            AstrocastWarning,
            stacklevel=stack_level(),
        )


def find_bad_frames(
    recording: Recording, registration: Registration | None
) -> tuple[NDArray[np.bool_] | None, bool]:
    """Return the bad frames, and whether the table of bad frames is stored.

    The frames are those flagged by motion correction and by the table beside the
    recording; None without both.
    """
    flagged = registration.quality.get("bad_frame") if registration else None
    table = known_frame_quality(recording)
    if table is None:
        return flagged, False
    left_out = frames_left_out(table, len(recording))
    return (left_out if flagged is None else left_out | flagged), True


def widest_border(
    a: tuple[int, int, int, int], b: tuple[int, int, int, int]
) -> tuple[int, int, int, int]:
    """Return the larger of two borders on each side."""
    return max(a[0], b[0]), max(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])


def check_shapes(recording: Recording, *others: Recording | None) -> None:
    """Raise `InvalidValueError` if another dataset does not have the same shape."""
    for other in others:
        if other is not None and other.shape != recording.shape:
            raise InvalidValueError(
                f"{other.loc} has shape {other.shape}, but {recording.loc} has shape"
                f" {recording.shape}; take traces from a dataset of the same shape"
            )


def signal_kind_of(
    recording: Recording, signal: Recording | None, is_calibrated: bool
) -> SignalKind:
    """Return the kind of the signal from which traces are taken.

    This is the kind that the file states. Otherwise it is fluorescence if the
    calibrated method uses one recording only, or the movie that a denoised one was made
    from, and dF in all other cases.
    """
    stored = stored_signal_kind(signal or recording)
    if stored is not None:
        return stored
    denoised = signal is not None and is_denoised(signal)
    return "F" if is_calibrated and (signal is None or denoised) else "dF"


def search_undenoised(
    recording: Recording, stack: ExitStack, logger: logging.Logger
) -> tuple[Recording, Recording | None]:
    """Return the movie to search, and the one for traces where they differ.

    A denoised movie keeps traces of events elsewhere, which are large beside its noise;
    so the movie that it was made from is searched where the file has it.
    """
    found = open_undenoised(recording)
    if found is None:
        return recording, None
    stack.callback(found.close)
    logger.info(
        "%s is denoised: events are searched in %s, traces are taken from %s",
        recording.loc,
        found.loc,
        recording.loc,
    )
    return found, recording
