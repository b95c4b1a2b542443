"""Derive parameters of the detection from the noise of a recording."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.detection.calibrated.segment import calibrated_labels
from astrocast.detection.calibrated.stretch import Stretch
from astrocast.errors import AstrocastWarning, InvalidValueError
from astrocast.io.recording import Recording
from astrocast.io.views import SlicedRecording
from astrocast.kernels.calibrated.significance import height_for
from astrocast.kernels.frames.smoothing import gaussian_radius, gaussian_weights
from astrocast.settings.calibrated import CalibratedSettings
from astrocast.settings.detection import DetectionSettings

#: number of frames that a suggestion is made from, and the smallest number
SAMPLE, FEWEST = 512, 32
#: number of frames from which the frame-to-frame noise is estimated for a warning
NOISE_FRAMES = 48
#: typical depth of the valley beside a peak of noise, in standard deviations: a
#: prominence is measured from the valley
_VALLEY = 2.0
#: limits of a poor recording: SNR and photons below, excess above
_LEAST_SNR, _LEAST_PHOTONS, _MOST_EXCESS = 0.8, 1.5, 1.5


@dataclass(frozen=True)
class Suggestion:
    """Measurements in a sample of a recording, and parameters derived from them.

    Parameters
    ----------
    frames
        (first frame of the sample, last frame + 1).
    noise
        Frame-to-frame noise of a pixel (standard deviation), median over pixels, in
        units of the recording.
    units_per_photon, photons
        Slope of variance against brightness, and median number of photons of a pixel
        and frame; 0 if the noise does not depend on the brightness.
    excess
        Slow fluctuations / frame-to-frame noise, median over pixels; 1 for white noise.
    snr
        Peak of an event / noise of a pixel, median over events; NaN without events.
    events
        Number of events that the calibrated detection finds in the sample.
    parameters
        Parameters of `Detector.run` for its default method.
    reasons
        Parameter -> reason for its value.
    warnings
        Reasons why results of this recording are unreliable; may be empty.
    mean, footprints
        (row, column): mean of the sample, and number of frames in which each pixel
        belongs to an event.
    """

    frames: tuple[int, int]
    noise: float
    units_per_photon: float
    photons: float
    excess: float
    snr: float
    events: int
    parameters: dict[str, Any]
    reasons: dict[str, str]
    warnings: list[str]
    mean: NDArray[np.float32]
    footprints: NDArray[np.int64]


def suggest(
    recording: Recording, settings: CalibratedSettings | None = None
) -> Suggestion:
    """Return parameters derived from the noise in the middle of a recording.

    Raises
    ------
    InvalidValueError
        The recording has fewer than 32 frames.
    """
    chosen = settings or CalibratedSettings()
    start, stretch = _read_sample(recording, chosen)
    span = start, start + stretch.stop
    sample = SlicedRecording(recording, *span)
    with warnings.catch_warnings():
        # `_list_doubts` reports noise that is correlated in time
        warnings.filterwarnings("ignore", "Slow fluctuations", AstrocastWarning)
        labels, _ = calibrated_labels(sample, chosen)
    heights = _event_heights(labels, sample, stretch)
    background = stretch.background
    noise = float(np.sqrt(np.median(background.variance)))
    line = background.line
    slope = line.slope if line.certain else 0.0
    photons = (
        float(np.median(line.light(background.mean))) / slope if slope > 0 else 0.0
    )
    snr = float(np.median(heights)) if len(heights) else float("nan")
    levels = _derive_levels(stretch, recording, DetectionSettings())
    excess = float(np.median(background.excess))
    reason = (
        f"the noise of {noise:.3g} per pixel is {levels['noise']:.3g} after smoothing;"
        f" in 20 million voxels, fewer than {chosen.false_events:g} peaks of noise"
        f" reach {levels['height']:.1f} standard deviations, and the valley beside such"
        " a peak is about 2 standard deviations deep"
    )
    return Suggestion(
        span,
        noise,
        slope,
        photons,
        excess,
        snr,
        len(heights),
        {"temporal_prominence": levels["temporal_prominence"]},
        {"temporal_prominence": reason},
        _list_doubts(span, photons, max(excess, _measure_memory(sample)), snr),
        background.mean,
        (labels > 0).sum(axis=0),
    )


def automatic_levels(
    recording: Recording, settings: DetectionSettings
) -> dict[str, float]:
    """Return values for ``threshold`` and ``temporal_prominence`` if they are "auto".

    Parameters
    ----------
    recording
        Recording in which events are detected. An automatic threshold requires the same
        baseline in all pixels (dF).
    settings
        Parameters of the detection.
    """
    wanted = [
        name
        for name in ("threshold", "temporal_prominence")
        if getattr(settings, name) == "auto"
    ]
    if not wanted:
        return {}
    stretch = _read_sample(recording, CalibratedSettings())[1]
    levels = _derive_levels(stretch, recording, settings)
    return {name: levels[name] for name in wanted}


def prominence_of_noise(recording: Recording, settings: DetectionSettings) -> float:
    """Return the prominence that peaks of noise rarely reach.

    The noise is estimated from the differences between consecutive frames of a short
    sample.

    Parameters
    ----------
    recording
        Recording in which events are detected.
    settings
        Parameters of the detection; smoothing lowers the noise.

    Returns
    -------
    float
        Prominence in the unit of the recording; 0 without noise or finite values.
    """
    frames = recording.shape[0]
    begin = max(0, (frames - NOISE_FRAMES) // 2)
    sample = recording.read(begin, min(frames, begin + NOISE_FRAMES)).astype(np.float32)
    # treat infinite values like NaN
    steps = np.abs(np.diff(np.where(np.isfinite(sample), sample, np.nan), axis=0))
    if np.isnan(steps).all():
        return 0.0
    noise = 1.4826 * float(np.nanmedian(steps)) / np.sqrt(2)
    gain, height = _smooth_noise(recording.shape, settings)["temporal_prominence"]
    return (height + _VALLEY) * noise * gain


def _smooth_noise(
    shape: tuple[int, int, int], settings: DetectionSettings
) -> dict[str, tuple[float, float]]:
    """Return, for each level, (noise after / before smoothing, highest noise).

    The highest noise is that of a recording of this shape, in standard deviations.
    """
    calibrated = CalibratedSettings()
    voxels = float(np.prod(shape))
    sigma = max(settings.smooth_sigma if settings.use_smoothing else 0.0, 0.5)
    height = height_for(calibrated.false_events * voxels / 20e6, voxels, (sigma, sigma))
    gains = {}
    for name, radius in (
        ("threshold", gaussian_radius(sigma)),
        ("temporal_prominence", settings.smooth_radius),
    ):
        weights = gaussian_weights(sigma, radius)
        gain = float(2 * (weights**2).sum() - weights[0] ** 2) ** 1.5
        gains[name] = gain, height
    return gains


def _read_sample(
    recording: Recording, settings: CalibratedSettings
) -> tuple[int, Stretch]:
    """Return the first frame of the sample, and its background and noise."""
    n = recording.shape[0]
    if n < FEWEST:
        raise InvalidValueError(
            f"the recording has {n} frames; at least {FEWEST} frames are needed to"
            " estimate its noise"
        )
    start = max(0, (n - SAMPLE) // 2)
    stop = min(n, start + SAMPLE)
    return start, Stretch.read(
        SlicedRecording(recording, start, stop), 0, stop - start, settings, None
    )


def _derive_levels(
    stretch: Stretch, recording: Recording, settings: DetectionSettings
) -> dict[str, float]:
    """Return the automatic levels, the smoothed noise and the highest noise."""
    gains = _smooth_noise(recording.shape, settings)
    height = gains["threshold"][1]
    excess = float(np.median(stretch.background.excess))
    noise = float(np.sqrt(np.median(stretch.background.variance))) * excess
    level = float(np.median(stretch.background.mean))
    return {
        "height": height,
        "noise": noise * gains["temporal_prominence"][0],
        "threshold": level + height * noise * gains["threshold"][0],
        "temporal_prominence": (
            (height + _VALLEY) * noise * gains["temporal_prominence"][0]
        ),
    }


def _event_heights(
    labels: NDArray[np.int32], sample: Recording, stretch: Stretch
) -> NDArray[np.float64]:
    """Return the peak of each event's mean trace / noise of a voxel, (events,)."""
    n = int(labels.max())
    frames = sample.shape[0]
    sums, counts = np.zeros((n + 1, frames)), np.zeros((n + 1, frames))
    deviation = np.sqrt(stretch.background.variance)
    for t in range(frames):
        step = min(
            int(np.searchsorted(stretch.background.steps, t, side="right")) - 1,
            len(stretch.background.levels) - 1,
        )
        above = (sample.read(t, t + 1)[0] - stretch.background.levels[step]) / deviation
        sums[:, t] = np.bincount(labels[t].ravel(), np.nan_to_num(above).ravel(), n + 1)
        counts[:, t] = np.bincount(labels[t].ravel(), minlength=n + 1)
    return np.asarray(
        (sums / np.maximum(counts, 1))[1:].max(axis=1, initial=0.0), np.float64
    )


def _measure_memory(sample: Recording) -> float:
    """Return the ratio of differences over two frames to those over one frame.

    1 if the noise of frames is independent, larger if it is correlated.
    """
    frames = sample.read(0, min(64, sample.shape[0])).astype(np.float64)
    steps = [
        float(np.nanmedian(np.nanmean((frames[lag:] - frames[:-lag]) ** 2, axis=0)))
        for lag in (1, 2)
    ]
    return float(np.sqrt(steps[1] / steps[0])) if steps[0] > 0 else 1.0


def _list_doubts(
    span: tuple[int, int], photons: float, excess: float, snr: float
) -> list[str]:
    """Return the reasons why results of this recording are unreliable."""
    doubts = []
    if span[1] - span[0] < 100:
        doubts.append(
            f"{span[1] - span[0]} frames are too few to separate background and events"
        )
    if 0 < photons < _LEAST_PHOTONS:
        doubts.append(
            f"about {photons:.1f} photons per pixel and frame: the extent of events"
            " will be inaccurate; bin pixels or frames"
        )
    if excess > _MOST_EXCESS:
        doubts.append(
            f"slow fluctuations are {excess:.1f} times the frame-to-frame noise:"
            " correct motion first. If the movie was smoothed, its noise cannot be"
            " estimated from its frames: use the raw movie"
        )
    if np.isnan(snr):
        doubts.append("no event exceeds the noise in the sample")
    elif snr < _LEAST_SNR:
        doubts.append(
            f"the peak of an event is about {snr:.1f} standard deviations of a pixel's"
            " noise: the extent of events will be inaccurate"
        )
    return doubts
