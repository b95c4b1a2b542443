"""The table of bad frames comes back as it was written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from astrocast.errors import FormatError, InvalidValueError
from astrocast.io.stores.frame_quality import (
    build_frame_table,
    frame_quality_path,
    frames_left_out,
    read_frame_quality,
    write_frame_quality,
)

FLAGS = [
    (7, "flash", 'the field, "all" of it, is brighter', 1.0),
    (3, "black", "0 % of the light", 1.0),
    (5, "repeated", "the same as the frame before", 0.3),
]


def test_round_trip(tmp_path: Path) -> None:
    table = build_frame_table(FLAGS, 12)
    path = tmp_path / "recording.h5"
    assert read_frame_quality(path, "data/ch0") is None
    write_frame_quality(path, "data/ch0", table)
    back = read_frame_quality(path, "mc/ch0")
    assert back is not None
    pd.testing.assert_frame_equal(back, table)
    assert back.attrs["frames"] == 12
    assert back["frame"].dtype == np.int64
    assert back["severity"].dtype == np.float32
    assert read_frame_quality(path, "data/ch1") is None
    left_out = frames_left_out(back, 12)
    assert np.flatnonzero(left_out).tolist() == [3, 7]
    assert not frames_left_out(None, 12).any()


def test_an_empty_table_is_a_table(tmp_path: Path) -> None:
    write_frame_quality(tmp_path / "a.tif", None, build_frame_table([], 4))
    back = read_frame_quality(tmp_path / "a.tif")
    assert back is not None
    assert len(back) == 0
    assert back["frame"].dtype == np.int64
    assert not frames_left_out(back, 4).any()


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    with pytest.raises(InvalidValueError, match="dark"):
        build_frame_table([(0, "dark", "", 1.0)], 3)
    with pytest.raises(InvalidValueError, match="frame 7"):
        frames_left_out(build_frame_table(FLAGS, 12), 5)
    frame_quality_path(tmp_path / "a.h5", "data/ch0").write_text("nonsense")
    with pytest.raises(FormatError, match="remove it"):
        read_frame_quality(tmp_path / "a.h5", "data/ch0")
    with pytest.raises(InvalidValueError, match="severity"):
        write_frame_quality(tmp_path / "a.h5", None, pd.DataFrame({"frame": [1]}))
