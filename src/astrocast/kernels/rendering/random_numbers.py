"""Counter-based random numbers for compiled kernels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from astrocast.kernels.compiling import njit

#: log(k!) for k < 512; for larger k Stirling's series is exact to 1e-12
LOG_FACTORIAL = np.cumsum(np.log(np.maximum(np.arange(512.0), 1.0)))


@njit(cache=True, nogil=True)
def mix_bits(z: Any) -> Any:
    """Return a hash of ``z``; both uint64.

    Finaliser of SplitMix64 (Steele et al. 2014, doi:10.1145/2660193.2660195).
    """
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@njit(cache=True, nogil=True)
def draw_uniform(state: Any) -> float:
    """Advance ``state``, uint64 (1,), and return a float64 in (0, 1)."""
    state[0] += np.uint64(0x9E3779B97F4A7C15)
    return (np.float64(mix_bits(state[0]) >> np.uint64(11)) + 0.5) * (
        1.0 / 9007199254740992.0
    )


@njit(cache=True, nogil=True)
def _poisson_small(state: Any, mean: float) -> float:
    """Return a Poisson number with a mean below 10, by inversion, as float64.

    ``state`` uint64 (1,) is advanced; ``mean`` float.
    """
    u = draw_uniform(state)
    p = math.exp(-mean)
    total, k = p, 0.0
    while u > total and k < 200.0:
        k += 1.0
        p *= mean / k
        total += p
    return k


@njit(cache=True, nogil=True)
def _log_factorial(k: float) -> float:
    """Return ``log(k!)``, float64; ``k`` a whole number, float64."""
    if k < 512.0:
        return LOG_FACTORIAL[np.int64(k)]
    n = k + 1.0
    return (
        (n - 0.5) * math.log(n)
        - n
        + 0.9189385332046727
        + 1.0 / (12.0 * n)
        - 1.0 / (360.0 * n * n * n)
    )


@njit(cache=True, nogil=True)
def draw_poisson(state: Any, mean: float) -> float:
    """Return a Poisson number as float64 and advance ``state``, uint64 (1,).

    For means from 10 on by transformed rejection (Hoermann 1993,
    doi:10.1016/0167-6687(93)90997-4). ``mean`` float; 0 if it is not positive.
    """
    if mean < 10.0:
        return _poisson_small(state, mean) if mean > 0.0 else 0.0
    b = 0.931 + 2.53 * math.sqrt(mean)
    a = -0.059 + 0.02483 * b
    quick = 0.9277 - 3.6224 / (b - 2.0)
    while True:
        u, v = draw_uniform(state) - 0.5, draw_uniform(state)
        us = 0.5 - abs(u)
        k = math.floor((2.0 * a / us + b) * u + mean + 0.43)
        if us >= 0.07 and v <= quick:
            return k
        if k < 0.0 or (us < 0.013 and v > us):
            continue
        scale = math.log(v * (1.1239 + 1.1328 / (b - 3.4)) / (a / (us * us) + b))
        if scale <= k * math.log(mean) - mean - _log_factorial(k):
            return k


@njit(cache=True, nogil=True)
def draw_normal(state: Any) -> float:
    """Return a normal float64 (Box-Muller) and advance ``state``, uint64 (1,)."""
    size = math.sqrt(-2.0 * math.log(draw_uniform(state)))
    return size * math.cos(2.0 * math.pi * draw_uniform(state))


@njit(cache=True, nogil=True)
def draw_gamma(state: Any, shape: float) -> float:
    """Return a gamma-distributed float64 of scale 1 and advance ``state``, uint64 (1,).

    ``shape`` float64, above 0. Marsaglia and Tsang 2000, doi:10.1145/358407.358414.
    """
    boost = 1.0
    if shape < 1.0:
        boost = draw_uniform(state) ** (1.0 / shape)
        shape += 1.0
    d = shape - 1.0 / 3.0
    c = 1.0 / math.sqrt(9.0 * d)
    while True:
        x = draw_normal(state)
        v = (1.0 + c * x) ** 3
        if v <= 0.0:
            continue
        if math.log(draw_uniform(state)) < 0.5 * x * x + d - d * v + d * math.log(v):
            return boost * d * v
