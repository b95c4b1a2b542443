"""Blocks on a cluster give what they give here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from astrocast.errors import AstrocastWarning
from astrocast.io import create_recording, open_recording
from astrocast.preparation import Delta, Input
from astrocast.runtime import cluster

distributed = pytest.importorskip("distributed")


@pytest.mark.filterwarnings("default")
def test_stages_run_on_a_connected_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    movie = np.random.default_rng(0).integers(0, 900, (57, 24, 20)).astype(np.uint16)
    with create_recording(
        tmp_path / "a.zarr", "data/ch0", movie.shape, movie.dtype, chunks=(8, 8, 8)
    ) as writer:
        writer.write(0, movie)
    here = Delta(movie).run(6, "dF")
    used = []
    run = cluster.run_on_cluster
    monkeypatch.setattr(
        "astrocast.runtime.blocks.run_on_cluster",
        lambda *a: (used.append(len(a[4])), run(*a)),
    )
    for module in ("astrocast.runtime.blocks", "astrocast.preparation.baselines"):
        monkeypatch.setattr(
            f"{module}.frames_per_block", lambda source, halo=(0, 0): 10
        )
    with (
        distributed.LocalCluster(
            n_workers=1,
            threads_per_worker=2,
            processes=True,
            dashboard_address=None,
            host="127.0.0.1",
        ) as local,
        distributed.Client(local),
    ):
        Input(logging_level=40).run(
            tmp_path / "a.zarr",
            tmp_path / "b.zarr",
            dtype="uint16",
            loc_in="data/ch0",
            chunks=(5, 9, 9),
        )
        delta = Delta(tmp_path / "b.zarr", "data/ch0")
        delta.run(6, "dF")
        delta.save(tmp_path / "b.zarr", "df/ch0", chunks=(7, 24, 20))
        ratio = Delta(tmp_path / "b.zarr", "data/ch0")
        ratio.run(6, "dFF", floor=100.0)
        with pytest.warns(AstrocastWarning, match="voxels have a background below 100"):
            ratio.save(tmp_path / "b.zarr", "dff/ch0")
    with open_recording(tmp_path / "b.zarr", "df/ch0") as found:
        np.testing.assert_array_equal(found.to_array(), here)
    with open_recording(tmp_path / "b.zarr", "data/ch0") as found:
        np.testing.assert_array_equal(found.to_array(), movie)
    assert len(used) == 3
    assert max(used) > 2  # several tasks each
    counted = Delta(movie)
    with pytest.warns(AstrocastWarning):
        counted.run(6, "dFF", floor=100.0)
    assert ratio.floored == counted.floored > 0
