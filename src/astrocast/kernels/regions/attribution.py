"""Assign events to regions, and locate them along an axis."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from astrocast.errors import InvalidValueError
from astrocast.kernels.compiling import njit
from astrocast.kernels.traces.traces import Pixels


class Attribution(NamedTuple):
    """The region of each event.

    Parameters
    ----------
    region
        int64 (events,): index of the region with most of the event's pixels; -1 if the
        event touches no region.
    share
        float64 (events,): fraction of the event's pixels in this region, or 0.
    """

    region: NDArray[np.int64]
    share: NDArray[np.float64]


def attribute_events(pixels: Pixels, regions: NDArray[np.bool_]) -> Attribution:
    """Attribute each event to the region that holds most of its footprint.

    Parameters
    ----------
    pixels
        Footprints of the events, see `kernels.traces.traces.list_pixels`.
    regions
        bool (regions, rows, columns); regions may overlap. If several regions contain
        equally many pixels of an event, it is assigned to the first.

    Examples
    --------
    >>> footprint = Pixels(np.array([0, 1, 2]), np.array([0, 3]))
    >>> left = np.array([[[1, 1, 0, 0]], [[0, 0, 1, 1]]], bool)
    >>> found = attribute_events(footprint, left)
    >>> found.region.tolist(), found.share.round(2).tolist()
    ([0], [0.67])
    """
    if regions.ndim != 3:
        raise InvalidValueError(
            "expected masks of regions of shape (regions, rows, columns), found "
            f"{regions.shape}"
        )
    events = len(pixels.offsets) - 1
    region = np.full(events, -1, np.int64)
    share = np.zeros(events)
    flat = np.ascontiguousarray(regions).reshape(len(regions), -1)
    _attribute(pixels.flat, pixels.offsets, flat, region, share)
    return Attribution(region, share)


@njit(cache=True, nogil=True)
def _attribute(flat: Any, offsets: Any, regions: Any, region: Any, share: Any) -> None:
    """Fill ``region`` and ``share`` of each event, see `Attribution`.

    ``flat`` int64 (pixel of all events,), ``offsets`` int64 (event + 1,), ``regions``
    bool (region, pixel of the frame); ``region`` int64 (event,), filled with -1;
    ``share`` float64 (event,), zeros.
    """
    for i in range(len(offsets) - 1):
        size = offsets[i + 1] - offsets[i]
        for k in range(len(regions)):
            inside = 0
            for p in range(offsets[i], offsets[i + 1]):
                if regions[k, flat[p]]:
                    inside += 1
            if inside and inside / size > share[i]:
                region[i], share[i] = k, inside / size


def along_axis(
    points: NDArray[np.float64],
    begin: tuple[float, float],
    end: tuple[float, float],
    pixel_size: tuple[float, float],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the position of points along an axis, and their distance to its right.

    Parameters
    ----------
    points
        float64 (points, 2): row and column in pixels.
    begin, end
        Ends of the axis, (row, column) in pixels; ``end`` is anterior.
    pixel_size
        Height and width of a pixel; the result has the same unit.

    Returns
    -------
    along, right : numpy.ndarray
        float64 (points,) each. ``along`` is 0 at ``begin`` and increases towards
        ``end``. ``right`` is positive to the right of the direction from ``begin`` to
        ``end``, as seen on the screen (rows increase downwards).

    Raises
    ------
    InvalidValueError
        Both ends are the same point.

    Examples
    --------
    >>> along, right = along_axis(np.array([[2.0, 5.0]]), (0, 0), (0, 9), (1.0, 1.0))
    >>> along.tolist(), right.tolist()
    ([5.0], [2.0])
    """
    size = np.asarray(pixel_size, np.float64)
    step = (np.asarray(end, np.float64) - np.asarray(begin, np.float64)) * size
    length = float(np.hypot(*step))
    if not length > 0:
        raise InvalidValueError(
            f"both ends of the axis are the point {tuple(begin)}; an axis needs two"
            " different ends"
        )
    away = (np.asarray(points, np.float64) - np.asarray(begin, np.float64)) * size
    down, across = step / length
    return (
        away[:, 0] * down + away[:, 1] * across,
        away[:, 0] * across - away[:, 1] * down,
    )


def turn_to_axis(
    direction: NDArray[np.float64],
    begin: tuple[float, float],
    end: tuple[float, float],
    pixel_size: tuple[float, float],
) -> NDArray[np.float64]:
    """Convert directions in the image to angles relative to an axis.

    Parameters
    ----------
    direction
        Degrees, 0 to the right, 90 down; NaN stays NaN.
    begin, end, pixel_size
        The axis, see `along_axis`.

    Returns
    -------
    numpy.ndarray
        Degrees in (-180, 180]: 0 along the axis, 90 to its right.

    Examples
    --------
    >>> turn_to_axis(np.array([0.0, 90.0]), (0, 0), (9, 0), (1.0, 1.0)).tolist()
    [-90.0, 0.0]
    """
    size = np.asarray(pixel_size, np.float64)
    down, right = (np.asarray(end, np.float64) - np.asarray(begin, np.float64)) * size
    if down == 0 and right == 0:
        raise InvalidValueError(
            f"both ends of the axis are the point {tuple(begin)}; an axis needs two"
            " different ends"
        )
    turned = np.asarray(direction, np.float64) - np.degrees(np.arctan2(down, right))
    return 180.0 - np.mod(180.0 - turned, 360.0)
