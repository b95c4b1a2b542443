"""Photons to counts: photon noise, amplification, read noise, digitisation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from astrocast.kernels.compiling import njit
from astrocast.kernels.rendering.random_numbers import (
    draw_gamma,
    draw_poisson,
    draw_uniform,
    mix_bits,
)

#: entries of the array ``camera``
GAIN, READ_NOISE, OFFSET, GAIN_NOISE = range(4)


@njit(cache=True, nogil=True)
def _amplify(state: Any, electrons: float, spread: float) -> float:
    """Return the amplified number of electrons, in units of the mean amplification.

    The pulse of one electron has a gamma distribution with mean 1 and standard
    deviation ``spread``; the sum of several pulses is gamma distributed as well.
    ``state`` uint64 (1,) is advanced. Returns float64.
    """
    if spread <= 0.0 or electrons <= 0.0:
        return electrons
    square = spread * spread
    return square * draw_gamma(state, electrons / square)


@njit(cache=True, nogil=True)
def expose_frame(photons: Any, key: Any, camera: Any, limits: Any, out: Any) -> None:
    """Fill ``out`` with the counts of one frame, given the expected photons.

    ``photons`` (expected number in each pixel) and ``out`` float32 (row, column);
    ``key`` uint64, seed of the frame; ``camera`` float64 (4,): gain, read noise,
    offset, gain noise; ``limits`` float64 (2,): lowest and highest value of the integer
    dtype, or (0, 0) for a float dtype.
    """
    state = np.empty(1, np.uint64)
    whole = limits[1] > 0.0
    for y in range(photons.shape[0]):
        state[0] = mix_bits(key + np.uint64(y) * np.uint64(0xD1342543DE82EF95))
        spare, have = 0.0, False
        for x in range(photons.shape[1]):
            value = draw_poisson(state, photons[y, x])
            value = _amplify(state, value, camera[GAIN_NOISE])
            if camera[READ_NOISE] > 0.0:
                if have:
                    value += camera[READ_NOISE] * spare
                else:
                    size = math.sqrt(-2.0 * math.log(draw_uniform(state)))
                    angle = 2.0 * math.pi * draw_uniform(state)
                    value += camera[READ_NOISE] * size * math.cos(angle)
                    spare = size * math.sin(angle)
                have = not have
            value = camera[OFFSET] + camera[GAIN] * value
            if whole:  # integers saturate like those of a camera
                value = min(max(math.floor(value + 0.5), limits[0]), limits[1])
            out[y, x] = value
