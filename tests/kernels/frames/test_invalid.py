"""The largest rectangle of numbers, against all rectangles."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from astrocast.kernels.frames.invalid import largest_rectangle


@given(arrays(bool, st.tuples(st.integers(1, 6), st.integers(1, 6))))
def test_the_largest_of_all_rectangles(filled: np.ndarray) -> None:
    best = 0
    for (r0, r1), (c0, c1) in itertools.product(
        itertools.combinations(range(filled.shape[0] + 1), 2),
        itertools.combinations(range(filled.shape[1] + 1), 2),
    ):
        if filled[r0:r1, c0:c1].all():
            best = max(best, (r1 - r0) * (c1 - c0))
    rows, columns = largest_rectangle(filled)
    assert filled[rows, columns].all()
    assert (rows.stop - rows.start) * (columns.stop - columns.start) == best
