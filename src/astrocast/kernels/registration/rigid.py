"""One shift per frame, in three stages.

1. Search: correlation over the whole range of allowed shifts. Frame and template are
   binned once more, tapered, high-passed and partly whitened.
2. Correlation: the frame is displaced by that shift in whole pixels and compared with
   the template, masked at its edges, at a few lags around zero; the peak is resampled
   at quarter pixels. The correlation of a masked template with itself peaks away from
   zero if the template is brighter on one side; this bias is measured once and
   subtracted.
3. Weighted least squares (`robust`), which activity does not bias.

The method belongs to the NoRMCorre family (Pnevmatikakis & Giovannucci 2017,
doi:10.1016/j.jneumeth.2017.07.031).
"""

from __future__ import annotations

from dataclasses import dataclass, field

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
from astrocast.kernels.registration.preprocess import (
    View,
    displace_frames,
    halve,
)
from astrocast.kernels.registration.robust_model import RobustModel

#: views at least this large are searched at half their resolution
HALVED_FROM = 48
#: lags of the fine stage on either side, in pixels of the view
FINE_REACH = 4
#: the fine stage compares structure smaller than this many pixels of the view
FINE_SIGMA = 3.0
#: the search compares structure smaller than this many of its pixels, and divides the
#: spectrum by the template's amplitude to this power
SEARCH_SIGMA = 4.0
SEARCH_WHITENING = 0.5


@dataclass(frozen=True)
class RigidModel:
    """A template prepared for rigid registration.

    Parameters
    ----------
    view
        The part of the frame that is compared, and its binning.
    template
        float32, shape of the view.
    window
        Weight of each pixel of the template in the fine correlation, 0 to 1.
    search_window
        Taper of frame and template in the search, 0 to 1.
    search, fine
        The template prepared for the search and for the fine correlation.
    step
        Pixels of the view per pixel of the search.
    limit
        Largest shift along rows and columns, in pixels of the frame.
    noise
        Variance of the noise in a pixel of the template.
    bias
        float64 (2,), pixels of the view: peak of the template's correlation with
        itself.
    robust
        The template prepared for the least squares; None while a template is being
        made.
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
    bias: NDArray[np.float64] = field(default_factory=lambda: np.zeros(2))
    robust: RobustModel | None = None


def build_rigid(
    template: NDArray[np.float32],
    view: View,
    max_shifts: tuple[float, float],
    sigma: tuple[float, float] | None = None,
    noise: float = 0.0,
) -> RigidModel:
    """Prepare a template (shape of the view) for `view_shifts`.

    ``max_shifts`` and the high-pass ``sigma`` are in pixels of the frame; ``noise`` is
    the variance of the noise in a pixel of the template. Shifts beyond half of the view
    are not searched: the correlation is circular and confuses them with shifts in the
    opposite direction.
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
    scaled = None
    if sigma is not None:
        # the edge of an event that fills part of the field would pull the peak
        scaled = (
            min(sigma[0] / view.factor, FINE_SIGMA),
            min(sigma[1] / view.factor, FINE_SIGMA),
        )
    fine = build_correlator(template[None], window, fine_reach, scaled, noise=noise)
    bias = _fine_peaks(template[None], fine)[0]
    return RigidModel(
        view, template, window, search_window, search, fine, step, limit, noise, bias
    )


def search_shifts(seen: NDArray[np.float32], model: RigidModel) -> NDArray[np.int64]:
    """Return the coarse shift of each view, (frame, 2), in whole pixels of the view."""
    coarse = halve(seen) if model.step == 2 else seen
    maps = correlation_maps(
        cross_spectrum(coarse * model.search_window, model.search), model.search
    )
    return np.rint(model.step * peaks(maps)).astype(np.int64)


def _fine_peaks(moved: NDArray[np.float32], fine: Correlator) -> NDArray[np.float64]:
    """Return where the correlation of views with the template peaks, (frame, 2)."""
    spectrum = cross_spectrum(moved, fine)
    return refined_peaks(spectrum, fine, peaks(correlation_maps(spectrum, fine)))


def view_shifts(seen: NDArray[np.float32], model: RigidModel) -> NDArray[np.float64]:
    """Return the shift of each view by correlation (pixels of the frame), (frame, 2).

    Shifts are clipped to ``model.limit``.
    """
    whole = search_shifts(seen, model)
    rest = _fine_peaks(displace_frames(seen, whole), model.fine) - model.bias
    shifts = (whole + rest) * model.view.factor
    return np.clip(shifts, np.negative(model.limit), model.limit)
