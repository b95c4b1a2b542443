"""Histogram of a measure of events."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from astrocast.plotting.frame import axes_or_new, write_note
from astrocast.plotting.palette import REFERENCE, SIGNAL

#: ratio of the 98th to the 2nd percentile, above which the axis is logarithmic (a
#: linear axis would show one bar and a tail)
_WIDE = 30.0
_MOST_BINS = 40


def distribution(
    values: ArrayLike,
    ax: Axes | None = None,
    *,
    label: str,
    step: float | None = None,
) -> Axes:
    """Draw a histogram with the median as a dashed line.

    The axis of the values is logarithmic if all values are positive and span more than
    a factor of 30.

    Parameters
    ----------
    values
        (events,); values that are not finite are left out, and a note states their
        number.
    ax
        Axes to draw into; None: a new figure.
    label
        Name and unit of the values.
    step
        Smallest possible difference between values, such as the duration of a frame.
        Bins are whole multiples of it, so that rounding does not make empty or double
        bins.

    Returns
    -------
    matplotlib.axes.Axes
        The axes, with the bars as one step patch.

    Examples
    --------
    >>> ax = distribution([1, 2, 2, 3], label="duration (frames)", step=1)
    >>> ax.patches[0].get_data().values
    array([1., 2., 1.])
    """
    found = np.asarray(values, dtype=np.float64).ravel()
    finite = found[np.isfinite(found)]
    ax = axes_or_new(ax, 5.2, 3.2)
    ax.set(xlabel=label, ylabel="events")
    if not finite.size:
        write_note(ax, "no events" if not found.size else "no finite values")
        return ax
    edges, wide = bin_edges(finite, step)
    counts, _ = np.histogram(finite, edges)
    ax.stairs(counts.astype(np.float64), edges, fill=True, color=SIGNAL, alpha=0.8)
    if wide:
        ax.set_xscale("log")
    ax.set_ylim(bottom=0.0)
    ax.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    median = float(np.median(finite))
    ax.axvline(
        median,
        color=REFERENCE,
        linestyle="--",
        linewidth=1.2,
        label=f"median {median:,.0f}"
        if abs(median) >= 1000
        else f"median {median:.3g}",
    )
    ax.legend(frameon=False, fontsize=8)
    if finite.size < found.size:
        left_out = found.size - finite.size
        write_note(ax, f"{left_out} left out (no value)", "corner")
    return ax


def bin_edges(
    finite: NDArray[np.float64], step: float | None = None
) -> tuple[NDArray[np.float64], bool]:
    """Return the edges of the bins, and whether they are evenly spaced in the log.

    >>> import numpy as np
    >>> bin_edges(np.array([1.0, 2.0, 5.0]), step=1.0)
    (array([0.5, 1.5, 2.5, 3.5, 4.5, 5.5]), False)
    """
    low, high = float(finite.min()), float(finite.max())
    if low > 0 and np.percentile(finite, 98) > _WIDE * np.percentile(finite, 2):
        return np.geomspace(low, high * (1 + 1e-9), 26, dtype=np.float64), True
    if step is not None:
        most = np.clip(2 * np.sqrt(finite.size), 8, _MOST_BINS)
        widest = max(1, int(np.ceil((high - low) / step / most)))
        bins = int((high - low) / step / widest + 1e-9) + 1
        return (
            np.asarray(
                low - step / 2 + step * widest * np.arange(bins + 1), dtype=np.float64
            ),
            False,
        )
    # all values are equal, up to rounding: one bin
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        half = abs(low) * 0.05 or 0.5
        return np.array([low - half, high + half]), False
    # Freedman and Diaconis (1981), https://doi.org/10.1007/BF01025868; the number of
    # bins is limited because of outliers
    width = (
        2.0
        * float(np.subtract(*np.percentile(finite, (75, 25))))
        / finite.size ** (1 / 3)
    )
    bins = max(8, int(np.ceil((high - low) / max(width, (high - low) / _MOST_BINS))))
    return np.linspace(low, high, bins + 1, dtype=np.float64), False
