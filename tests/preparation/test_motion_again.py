"""A motion correction that is computed again gives the same result."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from astrocast.io.stores.frame_quality import read_frame_quality
from astrocast.preparation import MotionCorrection


def test_findings_of_the_last_correction_are_not_taken_as_known(tmp_path: Path) -> None:
    # so little structure that some frames agree better at rest: remarks, not refusals
    movie = np.random.default_rng(1).normal(400, 12, (40, 32, 32))
    y, x = np.mgrid[:32, :32]
    for i, t0 in enumerate((10, 25)):
        blob = 160 * np.exp(-((y - 12 - 10 * i) ** 2 + (x - 34 + 9 * i) ** 2) / 18)
        movie[t0:] += np.exp(-np.arange(40 - t0) / 4)[:, None, None] * blob
    path = tmp_path / "movie.h5"
    with h5py.File(path, "w") as file:
        file["data/ch0"] = movie.astype(np.uint16)
    tables = []
    for _ in range(3):
        correction = MotionCorrection()
        correction.run(path, "data/ch0")
        correction.save(path, loc="mc/ch0", overwrite=True)
        tables.append(read_frame_quality(path, "mc/ch0"))
        assert tables[-1] is not None
    assert (tables[0]["severity"] < 0.5).any(), "the scene has no such frame"
    for table in tables[1:]:
        pd.testing.assert_frame_equal(table, tables[0])
