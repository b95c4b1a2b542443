"""Bad frames do not decide the background, and dF in them is interpolated."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from astrocast.io.stores.frame_quality import build_frame_table, write_frame_quality
from astrocast.preparation import Delta


@pytest.mark.parametrize("bad", [[20], [0, 1], [58, 59], [10, 11, 30]])
def test_black_frames_and_flashes_leave_no_trace(
    tmp_path: Path, bad: list[int]
) -> None:
    movie = np.full((60, 8, 8), 100, np.uint16)
    movie[35:40, 2:5, 2:5] += 50
    disturbed = movie.copy()
    disturbed[bad[::2]], disturbed[bad[1::2]] = 0, 4000
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["data/ch0"] = disturbed
    table = build_frame_table([(t, "black", "", 1.0) for t in bad], 60)
    write_frame_quality(path, "data/ch0", table)
    found = Delta(path, loc="data/ch0").run(window=10)
    expected = Delta(movie).run(window=10)
    np.testing.assert_allclose(np.asarray(found), expected, atol=1e-4)
