"""A small recording of calcium events, as dF: what is in it is stated here."""

from __future__ import annotations

import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

#: frame of the peak, row, column, width in frames, width in pixels, height
EVENTS = (
    (20, 8, 8, 5.0, 2.5, 60.0),
    (30, 20, 24, 6.0, 3.5, 80.0),
    (70, 10, 26, 4.0, 2.5, 50.0),
    (75, 22, 7, 5.0, 3.0, 70.0),
    (95, 2, 16, 4.0, 2.5, 60.0),
)
SHAPE = (110, 28, 34)


def make_movie(seed: int = 5) -> np.ndarray:
    """Noise of standard deviation 8 and the `EVENTS`, float32 (frame, row, column)."""
    z, y, x = np.mgrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    movie = np.random.default_rng(seed).normal(0, 8, SHAPE)
    for t, row, column, long, wide, height in EVENTS:
        distance = (z - t) ** 2 / (2 * long**2) + (
            (y - row) ** 2 + (x - column) ** 2
        ) / (2 * wide**2)
        movie += height * np.exp(-distance)
    return movie.astype(np.float32)


@pytest.fixture(scope="session")
def movie() -> np.ndarray:
    """The recording in memory."""
    array = make_movie()
    array.flags.writeable = False
    return array


@pytest.fixture
def recording(tmp_path: Path, movie: np.ndarray) -> Path:
    """The recording as HDF5, dataset ``df/ch0``."""
    path = tmp_path / "slice.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("df/ch0", data=movie, chunks=(16, 14, 17))
    return path
