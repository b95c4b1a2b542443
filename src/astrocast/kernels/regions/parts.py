"""Estimate soma, processes and endfeet of a cell from its mean image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from astrocast.errors import InvalidValueError

#: values of `divide_into_parts`
SOMA, PROCESS, ENDFOOT = 1, 2, 3
#: in diameters of a cell: width of the smoothing before the soma is searched, largest
#: radius of a soma, radius of the disc that fits into an endfoot but not into a
#: process, least distance of an endfoot from the centre of the soma
_SMOOTH, _SOMA_RADIUS, _THICK, _FAR = 0.06, 0.22, 0.07, 0.3
#: a soma is brighter than this fraction of its maximum; both are measured from the
#: median of the territory
_BRIGHT = 0.5


def divide_into_parts(
    mean: NDArray[np.floating], labels: NDArray[np.integer], diameter: float
) -> NDArray[np.int8]:
    """Divide each territory into a soma, processes and endfeet.

    The soma is the bright piece around the brightest pixel. The rest is endfoot where a
    disc of radius 0.07 diameters fits into it, far from the soma, and process
    elsewhere. This is an estimate from one image: the vessel at an endfoot is not
    visible, and a soma may be out of focus. Check and correct it by hand.

    Parameters
    ----------
    mean
        Mean image, real (row, column). NaN counts as dark.
    labels
        Territories, integers (row, column), 0 outside; see
        `kernels.regions.territories.segment_territories`.
    diameter
        Diameter of a cell with its processes, in pixels.

    Returns
    -------
    numpy.ndarray
        int8 (row, column): 0 outside, 1 soma, 2 process, 3 endfoot.

    Examples
    --------
    >>> row, column = np.indices((21, 21))
    >>> away = np.hypot(row - 10, column - 10)
    >>> parts = divide_into_parts(np.exp(-(away**2) / 8), (away < 10) * 1, 20)
    >>> int(parts[10, 10]), int(parts[10, 19])
    (1, 2)
    """
    values = np.array(mean, np.float64)
    if values.shape != np.shape(labels):
        raise InvalidValueError(
            f"the mean image has the shape {values.shape}, the territories "
            f"{np.shape(labels)}; both have to be of the same recording"
        )
    finite = np.isfinite(values)
    values[~finite] = values[finite].min() if finite.any() else 0.0
    smooth = ndimage.gaussian_filter(values, max(0.7, _SMOOTH * diameter))
    parts = np.zeros(values.shape, np.int8)
    for number in np.unique(labels[labels > 0]).tolist():
        cell = labels == number
        parts[cell] = PROCESS
        soma, centre = _find_soma(smooth, cell, diameter)
        parts[_find_endfeet(cell & ~soma, centre, diameter)] = ENDFOOT
        parts[soma] = SOMA
    return parts


def _find_soma(
    smooth: NDArray[np.float64], cell: NDArray[np.bool_], diameter: float
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Return the bright piece around the brightest pixel of a cell, and this pixel."""
    inside = np.where(cell, smooth, -np.inf)
    centre = np.array(np.unravel_index(int(inside.argmax()), inside.shape), np.int64)
    level = float(np.median(smooth[cell]))
    level += _BRIGHT * (float(inside.max()) - level)
    near = _distance(cell.shape, centre) <= _SOMA_RADIUS * diameter
    pieces, _ = ndimage.label(cell & near & (smooth >= level))
    return np.asarray(pieces == pieces[tuple(centre)]), centre


def _find_endfeet(
    rest: NDArray[np.bool_], centre: NDArray[np.int64], diameter: float
) -> NDArray[np.bool_]:
    """Return the thick pieces of a cell without its soma, far from the soma."""
    radius = max(1.5, _THICK * diameter)
    deep = ndimage.distance_transform_edt(np.pad(rest, 1))[1:-1, 1:-1] > radius
    thick = ndimage.distance_transform_edt(~deep) <= radius if deep.any() else deep
    pieces, count = ndimage.label(thick & rest)
    far = _distance(rest.shape, centre) >= _FAR * diameter
    found = np.zeros(rest.shape, bool)
    for number in range(1, count + 1):
        piece = pieces == number
        if (piece & far).sum() > 0.8 * piece.sum():
            found |= piece
    return found


def _distance(shape: tuple[int, ...], centre: NDArray[np.int64]) -> NDArray[np.float64]:
    row, column = np.indices(shape)
    return np.asarray(np.hypot(row - centre[0], column - centre[1]), np.float64)
