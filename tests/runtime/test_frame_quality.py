"""A recording's table is taken from beside it, or found in one pass."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from astrocast.io import open_recording
from astrocast.io.stores.frame_quality import build_frame_table, write_frame_quality
from astrocast.runtime import blocks
from astrocast.runtime.frame_quality import frame_quality_of


def test_stored_or_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    movie = np.random.default_rng(0).poisson(100, (60, 32, 32)).astype(np.uint16)
    movie[20] += 50
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["data/ch0"] = movie
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 7 * 32 * 32 * 4)
    with open_recording(tmp_path / "a.h5", "data/ch0") as recording:
        found = frame_quality_of(recording)
        assert found["frame"].tolist() == [20]
        assert found["kind"].tolist() == ["flash"]
        stated = build_frame_table([(3, "jump", "", 1.0)], 60)
        write_frame_quality(tmp_path / "a.h5", "data/ch0", stated)
        assert frame_quality_of(recording)["frame"].tolist() == [3]
        # of another recording under the same name
        other = build_frame_table([(3, "jump", "", 1.0)], 61)
        write_frame_quality(tmp_path / "a.h5", "data/ch0", other)
        assert frame_quality_of(recording)["frame"].tolist() == [20]
