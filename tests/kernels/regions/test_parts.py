"""A cell that is drawn with a soma, branches and an endfoot is divided into them."""

from __future__ import annotations

import numpy as np
import pytest

from astrocast.errors import InvalidValueError
from astrocast.kernels.regions.parts import (
    ENDFOOT,
    PROCESS,
    SOMA,
    divide_into_parts,
)


def drawn_cell() -> tuple[np.ndarray, np.ndarray]:
    """Return an image and the true parts: soma at (40, 40), endfoot at (40, 72)."""
    row, column = np.indices((80, 90))
    truth = np.zeros((80, 90), int)
    truth[(abs(row - 40) <= 1) & (column > 10) & (column < 70)] = PROCESS
    truth[(abs(column - 40) <= 1) & (row > 10) & (row < 70)] = PROCESS
    truth[np.hypot(row - 40, (column - 72) / 1.2) <= 8] = ENDFOOT
    truth[np.hypot(row - 40, column - 40) <= 8] = SOMA
    return np.array([1.0, 10.0, 4.0, 5.0])[truth], truth


def test_soma_process_and_endfoot_are_found():
    image, truth = drawn_cell()
    noisy = image + np.random.default_rng(0).normal(0, 0.3, image.shape)
    found = divide_into_parts(noisy, (truth > 0) * 3, 70)
    for part in (SOMA, PROCESS, ENDFOOT):
        both = ((found == part) & (truth == part)).sum()
        either = ((found == part) | (truth == part)).sum()
        assert both / either > 0.6, part
    assert ((found > 0) == (truth > 0)).all()


def test_a_cell_is_whole_without_an_image_that_shows_more():
    labels = np.zeros((20, 20), int)
    labels[5:9, 5:9] = 1
    found = divide_into_parts(np.full((20, 20), np.nan), labels, 12)
    assert ((found > 0) == (labels > 0)).all()
    with pytest.raises(InvalidValueError, match="of the same recording"):
        divide_into_parts(np.ones((3, 4)), labels, 12)
