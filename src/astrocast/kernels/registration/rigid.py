"""One shift per frame, in two stages.

The coarse stage looks over the whole range of allowed shifts on a frame binned once
more, both sides tapered, high-passed and partly whitened. The fine stage displaces the
frame by that shift in whole pixels, compares it with the template masked at its edges
at a few lags around zero, and resamples the peak at quarter pixels. Masking the
template only avoids the pull towards zero that two equal windows give. Frames that are
lit otherwise than the template (`uneven`) are compared by finer structure in the fine
stage.

The contract's name for the family is NoRMCorre (Pnevmatikakis & Giovannucci 2017,
doi:10.1016/j.jneumeth.2017.07.031).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.kernels.registration.correlation import (
    Correlator,
    build_correlator,
    correlation_maps,
    cross_spectrum,
    peaks,
    refined_peaks,
    taper_2d,
)
from astrocast.kernels.registration.illumination import (
    block_means,
    finer_sigma,
    least_uneven,
    spread,
    unevenness,
)
from astrocast.kernels.registration.preprocess import (
    View,
    displaced,
    halve,
    view_frames,
)

#: views at least this large are searched at half their resolution
HALVED_FROM = 48
#: lags of the fine stage on either side, in pixels of the view
FINE_REACH = 4
#: the search compares structure smaller than this many of its pixels, half whitened
SEARCH_SIGMA = 4.0
SEARCH_WHITENING = 0.5


@dataclass(frozen=True)
class Finer:
    """The fine stage of frames that are lit otherwise than the template.

    Parameters
    ----------
    sigma
        Of its high-pass, pixels of the view.
    fine
        The template prepared.
    light
        float32 (block row, block column): its `block_means`.
    least
        From this `unevenness` on.
    """

    sigma: tuple[float, float]
    fine: Correlator
    light: NDArray[np.float32]
    least: float


@dataclass(frozen=True)
class RigidModel:
    """A template as the two stages need it.

    Parameters
    ----------
    view
        What is compared.
    template
        float32, shape of the view.
    window
        Weight of each pixel of the template in the fine stage, 0 to 1.
    search_window
        Taper of both sides in the search.
    search, fine
        The template prepared for each stage.
    step
        Pixels of the view per pixel of the search.
    limit
        Largest shift along rows and columns, in pixels of the frame.
    noise
        Variance of the noise of a template's pixel.
    finer
        What uneven frames are compared with; None where there is no high-pass, or none
        finer.
    """

    view: View
    template: NDArray[np.float32]
    window: NDArray[np.float32]
    search_window: NDArray[np.float32]
    search: Correlator
    fine: Correlator
    step: int
    limit: tuple[float, float]
    noise: float = 0.0
    finer: Finer | None = None


def build_rigid(
    template: NDArray[np.float32],
    view: View,
    max_shifts: tuple[float, float],
    sigma: tuple[float, float] | None = None,
    noise: float = 0.0,
    averaged: int = 1,
) -> RigidModel:
    """Prepare ``template`` (shape of the view) for `rigid_shifts`.

    ``max_shifts`` and the high-pass ``sigma`` are in pixels of the frame, ``noise`` is
    the variance of a template's pixel, the mean of ``averaged`` frames. Shifts beyond
    half of the view cannot be told from their opposite and are not searched.
    """
    step = 2 if min(view.shape) >= HALVED_FROM else 1
    pixel = view.factor * step
    coarse = halve(template[None])[0] if step == 2 else template
    limit = (
        min(max_shifts[0], view.shape[0] * view.factor / 2),
        min(max_shifts[1], view.shape[1] * view.factor / 2),
    )
    reach = (
        max(1, min(int(-(-limit[0] // pixel)) + 1, coarse.shape[0] // 2 - 1)),
        max(1, min(int(-(-limit[1] // pixel)) + 1, coarse.shape[1] // 2 - 1)),
    )
    search_window = taper_2d(coarse.shape, 0, max(3, min(coarse.shape) // 12))
    search = build_correlator(
        coarse[None],
        search_window,
        reach,
        (SEARCH_SIGMA, SEARCH_SIGMA),
        SEARCH_WHITENING,
        noise / step**2,
    )
    window = taper_2d(view.shape, FINE_REACH - 1, 6)
    fine_reach = (
        min(FINE_REACH, view.shape[0] // 2 - 1),
        min(FINE_REACH, view.shape[1] // 2 - 1),
    )
    scaled = None if sigma is None else (sigma[0] / view.factor, sigma[1] / view.factor)
    fine = build_correlator(template[None], window, fine_reach, scaled, noise=noise)
    finer = None
    if (second := finer_sigma(template, window, scaled, noise)) is not None:
        correlator = build_correlator(
            template[None], window, fine_reach, second, noise=noise
        )
        light = block_means(template[None], np.zeros((1, 2), np.int64))[0]
        contrast = spread(template, window, scaled)[0]
        finer = Finer(
            second,
            correlator,
            light,
            least_uneven(view.shape, contrast, (noise * averaged) ** 0.5),
        )
    return RigidModel(
        view, template, window, search_window, search, fine, step, limit, noise, finer
    )


def search_shifts(seen: NDArray[np.float32], model: RigidModel) -> NDArray[np.int64]:
    """Return the coarse shift of each view, (frame, 2), in whole pixels of the view."""
    coarse = halve(seen) if model.step == 2 else seen
    maps = correlation_maps(
        cross_spectrum(coarse * model.search_window, model.search), model.search
    )
    return np.rint(model.step * peaks(maps)).astype(np.int64)


def is_uneven(
    seen: NDArray[np.float32], whole: NDArray[np.int64], model: RigidModel
) -> NDArray[np.bool_]:
    """Return which views, moved by ``whole`` pixels, are unevenly lit."""
    if model.finer is None:
        return np.zeros(len(seen), np.bool_)
    return unevenness(block_means(seen, whole), model.finer.light) > model.finer.least


def _fine_shifts(moved: NDArray[np.float32], fine: Correlator) -> NDArray[np.float64]:
    spectrum = cross_spectrum(moved, fine)
    return refined_peaks(spectrum, fine, peaks(correlation_maps(spectrum, fine)))


def view_shifts(seen: NDArray[np.float32], model: RigidModel) -> NDArray[np.float64]:
    """Return the shift of each view, (frame, 2), in pixels of the frame.

    Within the limit.
    """
    whole = search_shifts(seen, model)
    moved, rest = displaced(seen, whole), np.empty(whole.shape)
    uneven = is_uneven(seen, whole, model)
    stages = [
        (model.fine, ~uneven),
        *([] if model.finer is None else [(model.finer.fine, uneven)]),
    ]
    for fine, own in stages:
        if own.any():
            rest[own] = _fine_shifts(moved if own.all() else moved[own], fine)
    shifts = (whole + rest) * model.view.factor
    return np.clip(shifts, np.negative(model.limit), model.limit)


def rigid_shifts(frames: NDArray[Any], model: RigidModel) -> NDArray[np.float64]:
    """Return the shift of each frame relative to the template.

    Parameters
    ----------
    frames
        (frame, row, column), any real dtype.
    model
        From `build_rigid`.

    Returns
    -------
    numpy.ndarray
        float64 (frame, 2), pixels, row then column, positive where the frame moved down
        or right.
    """
    return view_shifts(view_frames(frames, model.view), model)
