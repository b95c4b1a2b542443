"""Bleaching as an exponential decay, fitted to the mean trace of a recording."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import least_squares

from astrocast.errors import InvalidValueError

#: limits of the time constants, in lengths of the recording: slower decays look like
#: straight lines
SLOWEST = 20.0


@dataclass(frozen=True)
class Bleaching:
    """A decay ``offset + sum_i amplitude_i * exp(-t / tau_i)``, t in frames.

    Parameters
    ----------
    offset
        Constant part, which does not bleach, in the units of the trace.
    amplitudes, taus
        Of each term, ``taus`` in frames, the fastest first.
    """

    offset: float
    amplitudes: tuple[float, ...]
    taus: tuple[float, ...]

    def at(self, frames: ArrayLike) -> NDArray[np.float64]:
        """Return the decay at the given frames."""
        t = np.asarray(frames, np.float64)
        return _decay(t, np.array([self.offset, *self.amplitudes]), np.array(self.taus))


def _decay(
    t: NDArray[np.float64], weights: NDArray[np.float64], taus: NDArray[np.float64]
) -> NDArray[np.float64]:
    value: NDArray[np.float64] = weights[0] + np.exp(-t[:, None] / taus) @ weights[1:]
    return value


def fit_bleaching(trace: ArrayLike, terms: Literal[1, 2] = 1) -> Bleaching:
    """Fit one or two exponential decays to a trace.

    The loss is linear for large residuals (soft L1, scaled by the noise of the trace),
    so that events raise the fit far less than with least squares. All
    amplitudes and the offset are at least 0.

    Parameters
    ----------
    trace
        Mean of all pixels per frame, finite.
    terms
        1 for a single, 2 for a double exponential.

    Examples
    --------
    >>> import numpy as np
    >>> found = fit_bleaching(100 + 50 * np.exp(-np.arange(500) / 80))
    >>> round(found.taus[0], 1), round(found.offset, 1)
    (80.0, 100.0)
    """
    values = np.asarray(trace, np.float64)
    n = len(values)
    if values.ndim != 1 or n < 2 + 2 * terms:
        raise InvalidValueError(
            f"the trace has shape {values.shape}; {terms} decays need at least"
            f" {2 + 2 * terms} frames"
        )
    if not np.isfinite(values).all():
        raise InvalidValueError(
            "the trace has NaN or infinite values; a fit needs finite numbers"
        )
    t = np.arange(n, dtype=np.float64)
    level = max(float(np.abs(values).mean()), 1e-12)
    noise = max(float(np.median(np.abs(np.diff(values)))), 1e-6 * level)
    drop = max(
        float(values[: max(1, n // 20)].mean() - values[-max(1, n // 20) :].mean()),
        0.01 * level,
    )
    starts = ((0.3,), (1.0,)) if terms == 1 else ((0.03, 0.6), (0.1, 1.0), (0.02, 3.0))
    fits = []
    for fractions in starts:
        begin = np.array(
            [
                max(values.min(), 0.0),
                *[drop / terms] * terms,
                *np.log(np.array(fractions) * n),
            ]
        )
        low = np.array([0.0, *[0.0] * terms, *[np.log(0.5)] * terms])
        high = np.array([np.inf, *[np.inf] * terms, *[np.log(SLOWEST * n)] * terms])
        fits.append(
            least_squares(
                lambda p: (
                    (_decay(t, p[: 1 + terms], np.exp(p[1 + terms :])) - values) / noise
                ),
                np.clip(begin, low + 1e-9, high),
                bounds=(low, high),
                loss="soft_l1",
                x_scale=np.array([level] * (1 + terms) + [1.0] * terms),
                max_nfev=400,
            )
        )
    best = min(fits, key=lambda f: float(f.cost)).x
    taus = np.exp(best[1 + terms :])
    order = np.argsort(taus)
    return Bleaching(
        float(best[0]),
        tuple(float(a) for a in best[1 : 1 + terms][order]),
        tuple(float(x) for x in taus[order]),
    )
