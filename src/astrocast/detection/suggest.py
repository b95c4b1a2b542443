"""What a recording's own noise says about the parameters of its detection."""

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

#: frames that a suggestion is made from; fewer than the second say little about noise
#: and nothing about events
SAMPLE, FEWEST = 512, 32
#: frames from which the noise between frames is estimated for a warning
NOISE_FRAMES = 48
#: a valley beside a peak of noise is about this deep, in standard deviations; a
#: prominence counts from there
_VALLEY = 2.0
#: below these a recording is called poor
_LEAST_SNR, _LEAST_PHOTONS, _MOST_EXCESS = 0.8, 1.5, 1.5


@dataclass(frozen=True)
class Suggestion:
    """What was measured in a sample of a recording, and what follows.

    Parameters
    ----------
    frames
        First frame of the sample and the one after the last.
    noise
        Standard deviation of a pixel from frame to frame, median over pixels, in units
        of the recording.
    units_per_photon, photons
        Slope of the noise line, and median light of a pixel; 0 where the noise does not
        depend on the brightness.
    excess
        By how much slow fluctuations exceed that noise, median over pixels; 1 for white
        noise.
    snr
        Median over events of their peak over the noise of a pixel; NaN where nothing
        was found.
    events
        Number of events the calibrated detection finds in the sample.
    parameters
        Of `Detector.run` for its default method.
    reasons
        Why, by parameter.
    warnings
        Why the recording should not be trusted, if anything.
    mean, footprints
        Mean of the sample, and number of frames that each pixel is part of an event,
        (row, column).
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
        Of fewer than 32 frames.
    """
    chosen = settings or CalibratedSettings()
    start, stretch = _sample(recording, chosen)
    span = start, start + stretch.stop
    sample = SlicedRecording(recording, *span)
    with warnings.catch_warnings():
        # noise that is correlated in time is mentioned in the doubts below
        warnings.filterwarnings("ignore", "Slow fluctuations", AstrocastWarning)
        labels, _ = calibrated_labels(sample, chosen)
    heights = _event_heights(labels, sample, stretch)
    background = stretch.background
    noise = float(np.sqrt(np.median(background.variance)))
    slope = background.line.slope
    photons = (
        float(np.median(background.line.light(background.mean))) / slope
        if slope > 0
        else 0.0
    )
    snr = float(np.median(heights)) if len(heights) else float("nan")
    levels = _levels(stretch, recording, DetectionSettings())
    excess = float(np.median(background.excess))
    reason = (
        f"noise of {noise:.3g} per pixel is {levels['noise']:.3g} after smoothing; a"
        f" peak of noise reaches {levels['height']:.1f} standard deviations less than"
        f" {chosen.false_events:g} times in 20 million voxels, and its valley is about"
        " 2 deep"
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
        _doubts(span, photons, max(excess, _memory(sample)), snr),
        background.mean,
        (labels > 0).sum(axis=0),
    )


def automatic_levels(
    recording: Recording, settings: DetectionSettings
) -> dict[str, float]:
    """Return the values of "auto" for ``threshold`` and ``temporal_prominence``.

    Only of those that are "auto".

    Parameters
    ----------
    recording
        What the detection works on. An automatic threshold supposes a baseline that is
        the same everywhere (dF).
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
    levels = _levels(_sample(recording, CalibratedSettings())[1], recording, settings)
    return {name: levels[name] for name in wanted}


def prominence_of_noise(recording: Recording, settings: DetectionSettings) -> float:
    """Return the prominence that peaks of noise rarely reach.

    From the differences between neighbouring frames of a short sample.

    Parameters
    ----------
    recording
        What the detection works on.
    settings
        Parameters of the detection; its smoothing lowers the noise.

    Returns
    -------
    float
        In the unit of the recording; 0 where there is no noise, or nothing finite.
    """
    frames = recording.shape[0]
    begin = max(0, (frames - NOISE_FRAMES) // 2)
    sample = recording.read(begin, min(frames, begin + NOISE_FRAMES)).astype(np.float32)
    # infinite values are left out as NaN is
    steps = np.abs(np.diff(np.where(np.isfinite(sample), sample, np.nan), axis=0))
    if np.isnan(steps).all():
        return 0.0
    noise = 1.4826 * float(np.nanmedian(steps)) / np.sqrt(2)
    gain, height = _smoothed_noise(recording.shape, settings)["temporal_prominence"]
    return (height + _VALLEY) * noise * gain


def _smoothed_noise(
    shape: tuple[int, int, int], settings: DetectionSettings
) -> dict[str, tuple[float, float]]:
    """Return, for each level, the noise after smoothing and its maximum.

    The noise as a fraction of that before, the maximum that noise reaches in a
    recording of this shape in standard deviations.
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


def _sample(recording: Recording, settings: CalibratedSettings) -> tuple[int, Stretch]:
    n = recording.shape[0]
    if n < FEWEST:
        raise InvalidValueError(
            f"the recording has {n} frames; its noise can be estimated from"
            f" {FEWEST} frames on"
        )
    start = max(0, (n - SAMPLE) // 2)
    stop = min(n, start + SAMPLE)
    return start, Stretch.read(
        SlicedRecording(recording, start, stop), 0, stop - start, settings, None
    )


def _levels(
    stretch: Stretch, recording: Recording, settings: DetectionSettings
) -> dict[str, float]:
    gains = _smoothed_noise(recording.shape, settings)
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
    """Return the peak of each event's mean trace, in units of a voxel's noise."""
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


def _memory(sample: Recording) -> float:
    """Return how much steps over two frames exceed those over one.

    1 where the noise of frames is independent.
    """
    frames = sample.read(0, min(64, sample.shape[0])).astype(np.float64)
    steps = [
        float(np.nanmedian(np.nanmean((frames[lag:] - frames[:-lag]) ** 2, axis=0)))
        for lag in (1, 2)
    ]
    return float(np.sqrt(steps[1] / steps[0])) if steps[0] > 0 else 1.0


def _doubts(
    span: tuple[int, int], photons: float, excess: float, snr: float
) -> list[str]:
    doubts = []
    if span[1] - span[0] < 100:
        doubts.append(
            f"{span[1] - span[0]} frames are few to separate background and events"
        )
    if 0 < photons < _LEAST_PHOTONS:
        doubts.append(
            f"about {photons:.1f} photons per pixel and frame: extents will be rough;"
            " bin pixels or frames"
        )
    if excess > _MOST_EXCESS:
        doubts.append(
            f"slow fluctuations are {excess:.1f} times what the noise makes: correct"
            " motion first; or the movie was smoothed already and its noise cannot be"
            " told from its frames"
        )
    if np.isnan(snr):
        doubts.append("no event stands out of the noise in the sample")
    elif snr < _LEAST_SNR:
        doubts.append(
            f"events are about {snr:.1f} standard deviations of a pixel high: their"
            " extents will be rough"
        )
    return doubts
