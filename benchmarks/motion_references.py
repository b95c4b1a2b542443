"""References for motion correction: the Cramer-Rao bound, phase correlation."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from astrocast.simulation import Simulator

Shifts = NDArray[np.float64]


def cramer_rao(plan: Simulator, step: int = 6, draws: int = 200) -> tuple[float, float]:
    """Return median and 95 % of the absolute error per axis at the Cramer-Rao bound.

    The scene is known; shift, gain and level of a frame are not. Noise: photons (of
    tissue and events) and read noise.
    """
    s, rng, errors = plan.settings, np.random.default_rng(0), []
    for t in range(0, plan.shape[0], step):
        light = np.maximum(plan.expected(t, t + 1)[0] - s.offset, 0)
        # photons through a photomultiplier vary more than photons
        spread = 1 + s.gain_noise**2
        variance = light * s.gain * spread + (s.read_noise * s.gain) ** 2
        wide = plan.wide_baseline(t)
        rows, columns = light.shape
        top, left = (wide.shape[0] - rows) // 2, (wide.shape[1] - columns) // 2
        dy, dx = np.rint(plan.motion.shifts[t]).astype(int)
        cut = (
            slice(top - dy, top - dy + rows),
            slice(left - dx, left - dx + columns),
        )
        slopes = np.gradient(wide)
        jacobian = np.stack(
            [slopes[0][cut], slopes[1][cut], wide[cut], np.ones_like(light)]
        ).reshape(4, -1)
        fisher = (jacobian / variance.reshape(1, -1)) @ jacobian.T
        covariance = np.linalg.inv(fisher)[:2, :2]
        errors.append(np.abs(rng.multivariate_normal([0, 0], covariance, draws)))
    pooled = np.concatenate(errors)
    return float(np.median(pooled)), float(np.percentile(pooled, 95))


def phase_correlation_shifts(
    movie: NDArray[Any], reach: int = 12, smooth: float = 1.15
) -> Shifts:
    """Return the shifts of a movie by smoothed phase correlation, (frame, 2).

    As published for suite2p (Pachitariu et al. 2017, doi:10.1101/061507), written anew:
    a reference of the frames that correlate best, refined three times; both sides
    tapered; spectra whitened and smoothed by a Gaussian; the peak to a tenth of a pixel
    by interpolation around its maximum.
    """
    frames = movie.astype(np.float32)
    n, h, w = frames.shape
    window = np.outer(*(np.hanning(k + 2)[1:-1] ** 0.5 for k in (h, w)))
    low = np.exp(
        -2
        * (np.pi * smooth) ** 2
        * (fft.fftfreq(h)[:, None] ** 2 + fft.rfftfreq(w)[None] ** 2)
    )

    def shifts_to(reference: NDArray[Any], some: NDArray[Any]) -> Shifts:
        target = np.conj(fft.rfft2((reference - reference.mean()) * window))
        target *= low / np.maximum(np.abs(target), 1e-12)
        out = np.zeros((len(some), 2))
        for i, frame in enumerate(some):
            spectrum = fft.rfft2((frame - frame.mean()) * window)
            spectrum /= np.maximum(np.abs(spectrum), 1e-12)
            full = fft.fftshift(fft.irfft2(spectrum * target, s=(h, w)))
            near = full[
                h // 2 - reach : h // 2 + reach + 1, w // 2 - reach : w // 2 + reach + 1
            ]
            y, x = np.unravel_index(near.argmax(), near.shape)
            y, x = np.clip([y, x], 3, 2 * reach - 3)
            fine = ndimage.zoom(near[y - 3 : y + 4, x - 3 : x + 4], 10, order=3)
            fy, fx = np.unravel_index(fine.argmax(), fine.shape)
            scale = 6 / (fine.shape[0] - 1)
            out[i] = y - 3 + fy * scale - reach, x - 3 + fx * scale - reach
        return out

    few = frames[:: max(1, n // 60)]
    flat = few.reshape(len(few), -1) - few.mean((1, 2))[:, None]
    alike = np.corrcoef(flat)
    best = np.sort(alike, axis=1)[:, -20:].mean(1).argmax()
    reference = few[np.argsort(-alike[best])[:20]].mean(0)
    for _ in range(3):
        found = shifts_to(reference, few)
        found -= np.median(found, axis=0)
        reference = np.mean(
            [
                ndimage.shift(frame, -shift, order=1, mode="nearest")
                for frame, shift in zip(few, found, strict=True)
            ],
            axis=0,
        )
    return shifts_to(reference, frames)


def scikit_image_shifts(movie: NDArray[Any], template: NDArray[Any]) -> Shifts:
    """Return the shifts by scikit-image's phase cross-correlation to a template."""
    from skimage.registration import phase_cross_correlation

    return np.array(
        [
            -phase_cross_correlation(
                template, frame.astype(np.float32), upsample_factor=20
            )[0]
            for frame in movie
        ]
    )
