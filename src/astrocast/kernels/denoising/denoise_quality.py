"""How good a denoised recording is, judged without knowing the truth."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Array = NDArray[np.float32]

#: every 12th frame is held out: far enough apart that context of one is not that of
#: another in most networks
HELD_OUT_EVERY = 12
#: active: neighbours in time exceed the median by this many standard deviations of
#: their smoothed noise
_ACTIVE = 5.0
#: fewer active voxels than this say nothing about amplitudes
_FEWEST_ACTIVE = 200


@dataclass(frozen=True)
class Quality:
    """Measures of a denoised recording; errors are mean squares in units of the noise
    variance.

    A perfect denoiser reaches an error of 1 on held-out frames: what is left is the
    noise of the frame it is compared with.

    Parameters
    ----------
    noise_sd
        Standard deviation of the noise, in grey values, from second differences in
        time.
    held_out_error
        Of frames that the denoiser was not given.
    neighbour_error
        Of the mean of the frame before and the frame after, on the same frames.
    gaussian_error
        Of a Gaussian (1.5 frames, 1 pixel) that leaves the frame out, on the same
        frames.
    amplitude
        Amplitude of active voxels in the denoised recording divided by that in the raw
        one; None when too few are active.
    bias
        Mean of denoised minus raw, in standard deviations of the noise.
    residual_temporal
        Correlation of the residual (raw minus denoised) with that of the next frame; 0
        when only white noise was removed.
    residual_spatial
        Correlation of the residual with that of the next pixel.
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
        """Return name and value of each measure, for a table."""
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
        """Return what a user should know, in sentences; an empty list when nothing
        stands out.
        """
        said = []
        if self.held_out_error > min(self.neighbour_error, self.gaussian_error):
            said.append(
                "held-out frames are predicted no better than by a mean of neighbours"
                " or a Gaussian: do not use it"
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
    """Return the frames with every 12th replaced by the mean of its neighbours, and
    which those are.
    """
    held = np.arange(HELD_OUT_EVERY // 2, len(frames) - 1, HELD_OUT_EVERY)
    given = frames.astype(np.float32)
    given[held] = (given[held - 1] + given[held + 1]) / 2
    return given, held


def blind_gaussian(
    frames: Array, held: NDArray[np.intp], sigma: tuple[float, float] = (1.5, 1.0)
) -> Array:
    """Return a Gaussian estimate of frames ``held`` (frame, row, column) that does not
    use them.

    ``sigma`` is in frames and pixels. Frames beyond the ends are left out.
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


def noise_level(frames: Array) -> float:
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
        The recording before and after, (frame, row, column).
    given, predicted
        The recording with frames ``held`` replaced (`hold_out`), and what the denoiser
        made of it.
    held
        Frames that were replaced.
    """
    noise = noise_level(raw) or 1.0

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
    """Return the amplitude of active voxels after denoising divided by that before, or
    None when too few are active.

    Active voxels of a frame are chosen by the frame before and the frame after, so that
    the noise of the frame itself has no part in the choice and its mean is the true
    amplitude.
    """
    base = np.median(raw, axis=0)
    around = (raw[:-2] + raw[2:]) / 2 - base
    smooth = ndimage.gaussian_filter(around, (0, 1, 1))
    # a Gaussian of 1 pixel leaves 1 / (4 pi) of the variance of white noise, the mean
    # of two frames half of it
    active = smooth > _ACTIVE * noise * np.sqrt(0.5 / (4 * np.pi))
    if active.sum() < _FEWEST_ACTIVE:
        return None
    before = float(np.mean((raw[1:-1] - base)[active], dtype=np.float64))
    after = float(np.mean((denoised[1:-1] - base)[active], dtype=np.float64))
    return after / before if before > 0 else None


def _correlation(a: Array, b: Array) -> float:
    scale = np.sqrt(
        np.mean(np.square(a), dtype=np.float64)
        * np.mean(np.square(b), dtype=np.float64)
    )
    return float(np.mean(a * b, dtype=np.float64) / scale) if scale > 0 else 0.0
