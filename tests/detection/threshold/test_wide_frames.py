"""Peaks of wide frames are found in ranges of rows, with the same result."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from astrocast.detection import Detector
from astrocast.detection.threshold import preliminary


@pytest.mark.parametrize("options", [{}, {"comb_type": "|"}, {"smooth_sigma": 1.2}])
def test_rows_give_the_events_of_a_stream(
    recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict
) -> None:
    folders = {}
    used = []
    rows = preliminary.row_tiles

    def note(recording):
        used.append(recording.shape)
        return rows(recording)

    monkeypatch.setattr(preliminary, "row_tiles", note)
    for name in ("stream", "rows"):
        if name == "rows":
            monkeypatch.setattr(preliminary, "STREAM_BYTES", 0)
            monkeypatch.setattr(preliminary, "_TILE_BYTES", 4 * 110 * 34 * 5)
        output = tmp_path / f"{name}.roi"
        Detector(recording, output=output, logging_level=40).run("df/ch0", **options)
        folders[name] = {
            p.name: p.read_bytes()
            for p in output.iterdir()
            if p.name not in ("meta.json", "checksums.json")
        }
    assert len(used) == 1
    assert folders["rows"] == folders["stream"]
    assert np.load(tmp_path / "rows.roi" / "time_map.npy").any()
