"""Measure the quality of a denoised recording without knowing the truth."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Array = NDArray[np.float32]

#: every 12th frame is held out: far enough apart that in most networks no two of them
#: share context frames
HELD_OUT_EVERY = 12
#: voxels are active if the mean of the frames before and after exceeds the median by
#: this many standard deviations of its smoothed noise
_ACTIVE = 5.0
#: minimum number of active voxels to estimate amplitudes
_FEWEST_ACTIVE = 200


@dataclass(frozen=True)
class Quality:
    """Quality of a denoised recording; errors are mean squares / noise variance.

    A perfect denoiser reaches an error of 1 on held-out frames, the noise of the frame
    it is compared with.

    Parameters
    ----------
    noise_sd
        Standard deviation of the noise, in grey values, from second differences in
        time.
    held_out_error
        Error of the denoiser on frames that were held out.
    neighbour_error
        Error, on the same frames, of the mean of the frame before and the frame after.
    gaussian_error
        Error, on the same frames, of a Gaussian (1.5 frames, 1 pixel) that leaves the
        frame itself out.
    amplitude
        Amplitude of active voxels in the denoised recording divided by that in the raw
        recording; None if too few voxels are active.
    bias
        Mean of denoised minus raw, in standard deviations of the noise.
    residual_temporal
        Correlation of the residual (raw minus denoised) between neighbouring frames; 0
        if only white noise was removed.
    residual_spatial
        Correlation of the residual between neighbouring pixels.
    """

    noise_sd: float
    held_out_error: float
    neighbour_error: float
    gaussian_error: float
    amplitude: float | None
    bias: float
    residual_temporal: float
    residual_spatial: float

    def lines(self) -> list[tuple[str, str]]:
        """Return name and value of each measure as text, for a table."""
        unit = {"noise_sd": " grey values", "bias": " noise SD"}
        return [
            (
                name.replace("_", " "),
                (
                    "too few events"
                    if value is None
                    else f"{value:.4g}{unit.get(name, '')}"
                ),
            )
            for name, value in asdict(self).items()
        ]

    def remarks(self) -> list[str]:
        """Return warnings in plain sentences; empty if the quality is good."""
        said = []
        if self.held_out_error > min(self.neighbour_error, self.gaussian_error):
            said.append(
                "held-out frames are predicted no better than by a mean of neighbours"
                " or a Gaussian: do not use this result"
            )
        if self.amplitude is not None and self.amplitude < 0.9:
            said.append(
                f"events keep only {100 * self.amplitude:.0f} % of their amplitude"
            )
        if abs(self.bias) > 0.05:
            said.append(
                f"the mean is shifted by {self.bias:+.2f} standard deviations of the"
                " noise"
            )
        if self.residual_temporal > 0.1:
            said.append(
                "the residual repeats in the next frame (correlation"
                f" {self.residual_temporal:.2f}): signal was removed"
            )
        return said


def hold_out(frames: NDArray[Any]) -> tuple[Array, NDArray[np.intp]]:
    """Replace every 12th frame by the mean of its neighbours.

    Returns the frames, float32, and the indices of the replaced frames.
    """
    held = np.arange(HELD_OUT_EVERY // 2, len(frames) - 1, HELD_OUT_EVERY)
    given = frames.astype(np.float32)
    given[held] = (given[held - 1] + given[held + 1]) / 2
    return given, held


def blind_gaussian(
    frames: Array, held: NDArray[np.intp], sigma: tuple[float, float] = (1.5, 1.0)
) -> Array:
    """Estimate frames by a Gaussian that leaves the frame itself out.

    Parameters
    ----------
    frames
        float32 (frame, row, column).
    held
        Indices of the frames to estimate.
    sigma
        In frames and in pixels. At the ends of the recording the Gaussian is cut.

    Returns
    -------
    numpy.ndarray
        float32 (held frame, row, column).
    """
    reach = int(np.ceil(4 * sigma[0]))
    out = np.empty((len(held), *frames.shape[1:]), np.float32)
    for place, t in zip(out, held, strict=True):
        near = np.array(
            [
                k
                for k in range(max(0, t - reach), min(len(frames), t + reach + 1))
                if k != t
            ]
        )
        weight = np.exp(-0.5 * ((near - t) / sigma[0]) ** 2)
        place[:] = ndimage.gaussian_filter(
            np.tensordot(weight / weight.sum(), frames[near], 1), sigma[1]
        )
    return out


def white_noise_sd(frames: Array) -> float:
    """Return the standard deviation of white noise, from second differences in time."""
    second = frames[:-2] - 2 * frames[1:-1] + frames[2:]
    return float(np.sqrt(np.mean(np.square(second), dtype=np.float64) / 6))


def assess(
    raw: Array, denoised: Array, given: Array, predicted: Array, held: NDArray[np.intp]
) -> Quality:
    """Return the quality of a denoised recording.

    Parameters
    ----------
    raw, denoised
        The recording before and after denoising, float32 (frame, row, column).
    given, predicted
        The recording with frames ``held`` replaced by `hold_out`, before and after
        denoising.
    held
        Indices of the replaced frames.
    """
    noise = white_noise_sd(raw) or 1.0

    def error(estimate: NDArray[Any]) -> float:
        return float(
            np.mean(np.square(estimate - raw[held]), dtype=np.float64) / noise**2
        )

    residual = raw - denoised
    residual -= residual.mean(0)
    return Quality(
        noise_sd=noise,
        held_out_error=error(predicted[held]),
        neighbour_error=error(given[held]),
        gaussian_error=error(blind_gaussian(given, held)),
        amplitude=amplitude_retention(raw, denoised, noise),
        bias=float(np.mean(denoised - raw, dtype=np.float64) / noise),
        residual_temporal=_correlation(residual[1:], residual[:-1]),
        residual_spatial=_correlation(residual[:, :, 1:], residual[:, :, :-1]),
    )


def amplitude_retention(raw: Array, denoised: Array, noise: float) -> float | None:
    """Return the amplitude of active voxels after denoising / before denoising.

    Active voxels of a frame are chosen in the frames before and after, so that the
    noise of the frame itself does not bias the choice. None if too few are active.
    """
    base = np.median(raw, axis=0)
    around = (raw[:-2] + raw[2:]) / 2 - base
    smooth = ndimage.gaussian_filter(around, (0, 1, 1))
    # a Gaussian of 1 pixel reduces the variance of white noise to 1 / (4 pi), the mean
    # of two frames to one half
    active = smooth > _ACTIVE * noise * np.sqrt(0.5 / (4 * np.pi))
    if active.sum() < _FEWEST_ACTIVE:
        return None
    before = float(np.mean((raw[1:-1] - base)[active], dtype=np.float64))
    after = float(np.mean((denoised[1:-1] - base)[active], dtype=np.float64))
    return after / before if before > 0 else None


def _correlation(a: Array, b: Array) -> float:
    """Return the correlation of two arrays of mean 0; 0 if one is constant."""
    scale = np.sqrt(
        np.mean(np.square(a), dtype=np.float64)
        * np.mean(np.square(b), dtype=np.float64)
    )
    return float(np.mean(a * b, dtype=np.float64) / scale) if scale > 0 else 0.0
