"""Territories of cells, from a mean image and the positions of events."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from astrocast.errors import InvalidValueError
from astrocast.kernels.traces.traces import Pixels

#: widths of the Gaussian filters, in diameters of a cell
_SEED_WIDTH, _EDGE_WIDTH, _LIGHT_WIDTH = 0.14, 0.05, 1.0
#: least area of a territory, as a fraction of a disc with the diameter of a cell
_LEAST_AREA = 0.08
#: two territories are joined only if they have at least this many events in common
_LEAST_EVENTS = 3


def segment_territories(
    mean: NDArray[np.floating],
    diameter: float,
    activity: NDArray[np.floating] | None = None,
    activity_weight: float = 0.4,
) -> NDArray[np.int32]:
    """Divide the bright part of an image into one territory per cell.

    Each local maximum of the smoothed image is taken as the soma of a cell, and a
    watershed divides the bright pixels among the cells. Correct the result by hand: it
    is wrong for cells with interlaced processes and for cells with the soma out of
    focus.

    Parameters
    ----------
    mean
        Mean image, any real dtype (row, column). NaN counts as dark.
    diameter
        Diameter of a cell with its processes, in pixels.
    activity
        Number of events at each pixel (row, column); None: the mean image alone.
    activity_weight
        Weight of the activity, 0 to 1.

    Returns
    -------
    numpy.ndarray
        int32 (row, column): 0 outside, territories from 1, from top to bottom.

    Raises
    ------
    InvalidValueError
        The image is not 2-D, has a side below 3 pixels or another shape than
        ``activity``, or the diameter is below 3 pixels.

    References
    ----------
    Vincent and Soille 1991, https://doi.org/10.1109/34.87344 (watershed).

    Examples
    --------
    >>> row, column = np.indices((24, 48))
    >>> image = sum(
    ...     np.exp(-((row - 12) ** 2 + (column - c) ** 2) / 30.0) for c in (12, 35)
    ... )
    >>> int(segment_territories(image, 16).max())
    2
    """
    from skimage.feature import peak_local_max
    from skimage.filters import threshold_otsu
    from skimage.segmentation import watershed

    score = _score(mean, diameter, _EDGE_WIDTH)
    seeds = _score(mean, diameter, _SEED_WIDTH)
    if activity is not None:
        if np.shape(activity) != np.shape(mean):
            raise InvalidValueError(
                f"the activity has the shape {np.shape(activity)}, the mean image "
                f"{np.shape(mean)}; both have to be of the same recording"
            )
        # maximum: a sum would move the maxima away from the somata
        edges = _score(activity, diameter, _EDGE_WIDTH)
        places = _score(activity, diameter, _SEED_WIDTH)
        score = np.maximum(score, activity_weight * edges)
        seeds = np.maximum(seeds, activity_weight * places)
    labels = np.zeros(score.shape, np.int32)
    if not np.ptp(seeds) > 0:
        return labels
    bright = seeds > threshold_otsu(seeds)
    distance = max(1, round(0.35 * diameter))
    peaks = peak_local_max(
        seeds,
        min_distance=distance,
        labels=bright.astype(np.int32),
        exclude_border=False,
    )
    for number, (row, column) in enumerate(peaks.tolist(), 1):
        labels[row, column] = number
    labels = watershed(-seeds, labels, mask=score > threshold_otsu(score))
    return _renumber(labels, _LEAST_AREA * np.pi * diameter**2 / 4)


def _score(
    image: NDArray[np.floating], diameter: float, width: float
) -> NDArray[np.float64]:
    """Return a smoothed image without uneven light, in units of its SD."""
    values = np.array(image, np.float64)
    if values.ndim != 2 or min(values.shape) < 3:
        raise InvalidValueError(
            "expected a mean image (row, column) of at least 3 x 3 pixels, found the "
            f"shape {values.shape}"
        )
    if not (np.isfinite(diameter) and diameter >= 3):
        raise InvalidValueError(
            f"the diameter of a cell is {diameter!r} pixels; at least 3 are needed"
        )
    finite = np.isfinite(values)
    values[~finite] = values[finite].min() if finite.any() else 0.0
    smooth = ndimage.gaussian_filter(values, width * diameter)
    even = smooth - ndimage.gaussian_filter(values, _LIGHT_WIDTH * diameter)
    spread = float(even.std())
    # a constant image has no structure but rounding errors
    floor = 1e-9 * max(1.0, float(np.abs(values).max()))
    return np.asarray(even / spread if spread > floor else np.zeros_like(even))


def _renumber(labels: NDArray[np.integer], least: float) -> NDArray[np.int32]:
    """Remove labels of fewer than ``least`` pixels and renumber the rest from 1."""
    counts = np.bincount(labels.ravel())
    kept = np.flatnonzero(counts >= max(least, 1.0))
    kept = kept[kept > 0]
    first = [int(np.argmax(labels.ravel() == label)) for label in kept.tolist()]
    table = np.zeros(len(counts), np.int32)
    table[kept[np.argsort(first)]] = np.arange(1, len(kept) + 1)
    return table[labels]


def join_by_activity(
    labels: NDArray[np.int32], events: Pixels, share: float = 0.5
) -> NDArray[np.int32]:
    """Join territories that touch and are active in the same events.

    Parameters
    ----------
    labels
        int32 (row, column), see `segment_territories`.
    events
        Footprints, see `kernels.traces.traces.list_pixels`.
    share
        Two territories are joined if at least this fraction of the events of each one
        cover at least a tenth of both.

    Returns
    -------
    numpy.ndarray
        int32 (row, column), 0 outside, numbered from 1, from top to bottom.
    """
    count = int(labels.max(initial=0))
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    active = np.zeros((len(events.offsets) - 1, count + 1), bool)
    for i in range(len(active)):
        part = events.flat[events.offsets[i] : events.offsets[i + 1]]
        inside = np.bincount(labels.ravel()[part], minlength=count + 1)
        active[i] = inside >= 0.1 * np.maximum(sizes, 1)
    root = np.arange(count + 1)
    for a, b in _list_neighbours(labels):
        both = int((active[:, a] & active[:, b]).sum())
        most = max(int(active[:, a].sum()), int(active[:, b].sum()))
        if both >= _LEAST_EVENTS and both >= share * most:
            root[root == root[b]] = root[a]
    return _renumber(root[labels], 1.0)


def _list_neighbours(labels: NDArray[np.int32]) -> list[tuple[int, int]]:
    """Return the pairs of territories that touch, the lower number first."""
    pairs = np.concatenate(
        [
            np.stack([labels[:-1].ravel(), labels[1:].ravel()], axis=1),
            np.stack([labels[:, :-1].ravel(), labels[:, 1:].ravel()], axis=1),
        ]
    )
    pairs = np.sort(pairs[(pairs[:, 0] != pairs[:, 1]) & (pairs > 0).all(axis=1)])
    return [(int(a), int(b)) for a, b in np.unique(pairs, axis=0)]
