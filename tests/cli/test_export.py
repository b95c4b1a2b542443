"""``astrocast export`` writes the events of a run for other programs."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from astrocast.cli.app import main
from astrocast.io.stores.event_table import read_events
from astrocast.simulation import SimulationSettings, write_simulation


@pytest.fixture(autouse=True)
def _no_handler_stays() -> Any:
    yield
    logging.basicConfig(force=True, handlers=[logging.NullHandler()])


def call(*words: object) -> int:
    return main(["-q", *map(str, words)])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a few events; 48 frames of 48 x 40 pixels."""
    folder = tmp_path_factory.mktemp("export")
    settings = SimulationSettings(
        seed=41,
        frames=60,
        rows=48,
        columns=40,
        events=4,
        motion=0.0,
        frame_rate=5.0,
        pixel_size=0.5,
    )
    write_simulation(settings, folder / "movie.h5", truth=False)
    words = ["--loc", "data/ch0", "--set", "motion.enabled=false"]
    assert call("run", folder / "movie.h5", "-o", folder / "m.astrocast", *words) == 0
    return folder / "m.astrocast"


@pytest.fixture(scope="module")
def table(run: Path) -> pd.DataFrame:
    found = read_events(run / "recording.ch0.roi")
    assert len(found) >= 2
    return found


def test_tables_hold_the_selected_events(
    run: Path, table: pd.DataFrame, tmp_path: Path
) -> None:
    limit = table["v_area"].median()
    wanted = table.index[table["v_area"] > limit].tolist()
    assert 0 < len(wanted) < len(table)
    where = ["--where", f"v_area > {limit}"]
    readers = {"csv": pd.read_csv, "parquet": pd.read_parquet, "xlsx": pd.read_excel}
    for name, read in readers.items():
        path = tmp_path / f"events.{name}"
        assert call("export", run, "--to", name, "-o", path, *where) == 0
        assert read(path)["event"].tolist() == wanted
    # nothing is replaced unless that is asked for
    assert call("export", run, "--to", "csv", "-o", tmp_path / "events.csv") == 2


@pytest.mark.parametrize("where", ["nonsense > 1", "v_area >", "@pd.eval('1')"])
def test_a_condition_that_cannot_be_read_is_said(
    run: Path, tmp_path: Path, where: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["export", run, "--to", "csv", "-o", tmp_path / "a.csv", "--where", where]
    assert call(*words) == 2
    assert "--where" in capsys.readouterr().err
    assert not (tmp_path / "a.csv").exists()


def test_imagej_and_ome_zarr_hold_the_selected_events(
    run: Path, table: pd.DataFrame, tmp_path: Path
) -> None:
    roifile = pytest.importorskip("roifile", reason="needs the extra `export`")
    import zarr

    one = table.index[0]
    frames = table.loc[one, ["z0", "z1"]].tolist()
    where = ["--where", f"index == {one}"]
    path = tmp_path / "rois.zip"
    assert call("export", run, "--to", "imagej", "-o", path, *where) == 0
    rois = roifile.roiread(path)
    assert len(rois if isinstance(rois, list) else [rois]) == 1
    path = tmp_path / "events.ome.zarr"
    assert call("export", run, "--to", "ome-zarr", "-o", path, *where) == 0
    labels = zarr.open_group(path, mode="r")["labels/events/0"][:]
    assert set(np.unique(labels).tolist()) == {0, one}
    assert (
        np.flatnonzero(labels.any(axis=(1, 2)))[[0, -1]] + [0, 1]
    ).tolist() == frames


def test_a_film_has_outlines_time_and_scale_bar(
    run: Path, table: pd.DataFrame, tmp_path: Path
) -> None:
    av = pytest.importorskip("av", reason="needs the extra `video`")
    path = tmp_path / "film.mp4"
    assert call("export", run, "--to", "mp4", "-o", path) == 0
    with av.open(str(path)) as film:
        assert film.streams.video[0].average_rate == 5
        frames = [f.to_ndarray(format="rgb24") for f in film.decode(video=0)]
    assert len(frames) == 60
    rows, columns = frames[0].shape[:2]
    assert (rows, columns) == (48 * 21, 40 * 21)
    # colours are outlines: where an event is, and only then
    active = np.zeros(60, bool)
    for z0, z1 in table[["z0", "z1"]].to_numpy():
        active[z0:z1] = True
    coloured = [int((np.ptp(f.astype(int), axis=2) > 60).sum()) > 50 for f in frames]
    assert coloured == active.tolist()
    stamp = np.s_[10:60, 10:300]
    assert np.abs(frames[0][stamp].astype(int) - frames[7][stamp]).max() > 100
    # 5 µm of 0.5 µm pixels, each 21 pixels wide
    bar = frames[0][rows - 15, :, 0] > 200
    assert bar[-20:-14].all()
    assert abs(int(bar[columns - 300 :].sum()) - 210) < 12


def test_a_picture_shows_footprints(run: Path, tmp_path: Path) -> None:
    path = tmp_path / "events.png"
    assert call("export", run, "--to", "png", "-o", path) == 0
    assert path.read_bytes().startswith(b"\x89PNG")
    assert path.stat().st_size > 5000


def test_the_nwb_inspector_finds_nothing_critical(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("nwbinspector", reason="needs nwbinspector")
    path = tmp_path / "events.nwb"
    words = ["export", run, "--to", "nwb", "-o", path, "--nwb"]
    assert call(*words, "colour=red") == 2
    assert "subject_id, species" in capsys.readouterr().err
    animal = ["subject_id=m1", "species=Mus musculus", "sex=F", "age=P90D"]
    given = [word for field in animal for word in ("--nwb", field)]
    assert call(*words[:-1], *given) == 0
    assert capsys.readouterr().err == ""
    # a process apart: the inspector warns of the future of its own libraries
    code = (
        "import sys\n"
        "from nwbinspector import Importance, inspect_nwbfile\n"
        "least = Importance.CRITICAL\n"
        "for m in inspect_nwbfile(nwbfile_path=sys.argv[1],\n"
        "                         importance_threshold=least):\n"
        "    print(m.importance.name, m.check_function_name, m.message)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""


def test_view_shows_the_recording_with_its_events(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for napari keeps what it is asked to show."""
    shown: list[str] = []

    class Bar:
        visible = False

    class Viewer:
        scale_bar = Bar()

        def __init__(self, title: str) -> None:
            shown.append(title)

        def add_image(self, data: Any, name: str, **options: Any) -> None:
            shown.append(f"{name} {data.shape}")

        def add_labels(self, data: Any, name: str, **options: Any) -> None:
            shown.append(f"{name} {data.shape}")

    class Napari:
        pass

    napari: Any = Napari()
    napari.Viewer, napari.run = Viewer, lambda: shown.append("open")
    monkeypatch.setitem(sys.modules, "napari", napari)
    assert call("view", run) == 0
    assert shown[1:] == ["recording (60, 48, 40)", "events (60, 48, 40)", "open"]


def test_events_are_attributed_to_segmented_cells_and_to_these_again(
    run: Path, table: pd.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["analyze", "cells", run, "-o", tmp_path]
    assert call(*words) == 2
    assert "no region is of kind 'cell'" in capsys.readouterr().err
    assert call(*words, "--diameter", "10") == 0
    cells = pd.read_csv(tmp_path / "cells.csv")
    of_event = pd.read_csv(tmp_path / "cell_of_event.csv", index_col="event")
    assert of_event.index.tolist() == table.index.tolist()
    assert cells["events"].sum() == of_event["cell"].notna().sum() > 0
    drawn = ["--regions", tmp_path / "cells.geojson"]
    assert call(*words[:-1], tmp_path / "again", *drawn) == 0
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "again" / "cells.csv"), cells)
