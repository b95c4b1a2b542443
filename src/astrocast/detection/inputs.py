"""Input of a detection: the movies, and what is known of them from other files."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.detection.preconditions import (
    check_shapes,
    find_bad_frames,
    search_undenoised,
    signal_kind_of,
    widest_border,
)
from astrocast.detection.threshold.preliminary import border_widths, known_registration
from astrocast.io import open_recording
from astrocast.io.recording import Recording
from astrocast.io.signal_kind import SignalKind
from astrocast.io.views import SlicedRecording
from astrocast.runtime.fingerprint import describe_content
from astrocast.runtime.stage_input import open_stage_input
from astrocast.settings.detection import DetectionSettings


@dataclass(frozen=True)
class DetectionMovies:
    """Movies of a detection, of the same shape.

    Parameters
    ----------
    searched
        Movie in which events are detected.
    signal
        Movie from which traces are taken; None: the one that is searched.
    fluorescence
        Movie for F0; None: the one that is searched if it contains fluorescence.
    """

    searched: Recording
    signal: Recording | None = None
    fluorescence: Recording | None = None

    def slice_frames(self, frames: tuple[int, int] | None) -> DetectionMovies:
        """Return the frames (first, last + 1) of each movie; None: all frames."""
        if frames is None:
            return self
        return DetectionMovies(
            SlicedRecording(self.searched, *frames),
            *(
                None if movie is None else SlicedRecording(movie, *frames)
                for movie in (self.signal, self.fluorescence)
            ),
        )

    def describe(self) -> dict[str, Any]:
        """Return the parameters that name the other movies, for the event store."""
        found: dict[str, Any] = {}
        if self.signal is not None:
            found["signal_loc"] = self.signal.loc
            found["signal"] = describe_content(self.signal)
        if self.fluorescence is not None:
            found["fluorescence_loc"] = self.fluorescence.loc
        return found


@dataclass(frozen=True)
class DetectionInputs:
    """Input of a detection besides the recording in which events are detected.

    Parameters
    ----------
    border
        Pixels at (top, bottom, left, right) in which nothing is detected.
    bad_frames
        bool (frame,): bad frames; None if the quality is unknown.
    signal
        Recording from which traces are taken; None: the recording itself.
    fluorescence
        Recording for F0; None: the recording itself if it contains fluorescence.
    signal_kind
        Kind of the signal from which traces are taken.
    frames
        Number of frames of the whole recording if a slice of it is processed; 0: that
        of the recording itself.
    judged
        Whether ``bad_frames`` is complete; otherwise the calibrated detection searches
        for bad frames.
    """

    border: tuple[int, int, int, int]
    bad_frames: NDArray[np.bool_] | None
    signal: Recording | None = None
    fluorescence: Recording | None = None
    signal_kind: SignalKind = "dF"
    frames: int = 0
    judged: bool = False


def open_movies(
    source: Any,
    loc: str | None,
    signal_loc: str | None,
    fluorescence_loc: str | None,
    stack: ExitStack,
    *,
    check_channels: bool,
) -> DetectionMovies:
    """Open the movies of a detection; ``stack`` closes them.

    Parameters
    ----------
    source
        Path, URL or open recording that holds the datasets.
    loc, signal_loc, fluorescence_loc, check_channels
        See `Detector.run`.
    """
    searched = stack.enter_context(
        open_stage_input(source, loc, check_channels=check_channels)
    )
    return DetectionMovies(
        searched,
        *(
            stack.enter_context(open_recording(source, other)) if other else None
            for other in (signal_loc, fluorescence_loc)
        ),
    )


def prefer_undenoised(
    movies: DetectionMovies, stack: ExitStack, logger: logging.Logger
) -> DetectionMovies:
    """Search the movie that a denoised one was made from, see `search_undenoised`.

    Movies with a signal are returned unchanged: then the caller has chosen both.
    """
    if movies.signal is not None:
        return movies
    searched, signal = search_undenoised(movies.searched, stack, logger)
    return replace(movies, searched=searched, signal=signal)


def prepare_inputs(
    movies: DetectionMovies, settings: DetectionSettings, *, is_calibrated: bool
) -> tuple[Recording, DetectionInputs]:
    """Return the movie to search, and the other input; both only of ``z_slice``.

    Raises
    ------
    InvalidValueError
        The movies do not have the same shape, or the border is the whole frame.
    """
    searched = movies.searched
    check_shapes(searched, movies.signal, movies.fluorescence)
    kind = signal_kind_of(searched, movies.signal, is_calibrated)
    registration = known_registration(searched)
    border = border_widths(searched.shape, settings, registration)
    if is_calibrated and registration is not None:
        # the pixels that registration filled at the edges are not valid
        border = widest_border(border, registration.border)
    bad_frames, judged = find_bad_frames(searched, registration)
    if bad_frames is not None and settings.z_slice is not None:
        bad_frames = bad_frames[slice(*settings.z_slice)]
    sliced = movies.slice_frames(settings.z_slice)
    return sliced.searched, DetectionInputs(
        border,
        bad_frames,
        sliced.signal,
        sliced.fluorescence,
        kind,
        searched.shape[0],
        judged,
    )
