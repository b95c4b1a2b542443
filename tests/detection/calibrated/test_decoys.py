"""The search of the inverted signal: it finds what events do not make."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from astrocast.detection import Detector
from astrocast.detection.calibrated import candidates
from astrocast.errors import AstrocastWarning
from astrocast.io.stores.event_table import read_events

SHAPE = (160, 64, 64)
T, Y, X = np.mgrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]].astype(np.float32)
PLACES = [(30 + 20 * k, 14 + 36 * (k % 2), 14 + 9 * k) for k in range(5)]


def movie(sign: float) -> np.ndarray:
    """Return noise of 100 photons with five transients that rise or fall."""
    light = np.full(SHAPE, 100.0)
    for t, y, x in PLACES:
        course = np.exp(-((T - t) ** 2) / 18)
        light += sign * 40 * course * np.exp(-((Y - y) ** 2 + (X - x) ** 2) / 18)
    return np.random.default_rng(3).poisson(light).astype(np.float32)


def run(path: Path, values: np.ndarray) -> tuple[pd.DataFrame, pd.DataFrame]:
    np.save(path / "movie.npy", values)
    store = Detector(path / "movie.npy").run(method="calibrated")
    return read_events(store), pd.read_parquet(store / "decoys.parquet")


def test_what_falls_is_a_decoy_and_what_rises_is_none(tmp_path: Path) -> None:
    for name in ("up", "down", "both"):
        (tmp_path / name).mkdir()
    up, decoys = run(tmp_path / "up", movie(1.0))
    assert len(up) == 5
    assert len(decoys) == 0
    both = np.roll(movie(1.0)[:, ::-1], 10, axis=0) + movie(-1.0) - 100
    with pytest.warns(AstrocastWarning, match="events may be false") as caught:
        events, decoys = run(tmp_path / "both", both)
    assert "finds 5 in the inverted signal" in str(caught[0].message)
    assert len(events) == len(decoys) == 5
    for t, y, x in PLACES:
        near = decoys[(decoys.z - t).abs() <= 2]
        assert ((near.x - y).abs() + (near.y - x).abs()).min() <= 3
    assert (up["confidence"] > 0.9).all()


def test_decoys_do_not_depend_on_blocks(tmp_path: Path, monkeypatch) -> None:
    for name in ("whole", "blocks"):
        (tmp_path / name).mkdir()
    values = movie(-1.0)
    _, whole = run(tmp_path / "whole", values)
    monkeypatch.setattr(candidates, "_BLOCK_VOXELS", 17 * SHAPE[1] * SHAPE[2])
    _, blocks = run(tmp_path / "blocks", values)
    assert len(whole) >= 3
    pd.testing.assert_frame_equal(whole, blocks)
