"""Files for other programs, read back by those programs' own libraries."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
import zarr
from matplotlib.path import Path as Outline
from numpy.testing import assert_allclose, assert_array_equal

from astrocast.analysis import Events
from astrocast.errors import NotRunError, OutputError, OutputExistsError
from astrocast.io.export.roi import trace_outlines


@pytest.fixture(scope="module")
def events(store):
    events = Events(store, data="infer", group="control")
    events.physiology("dF")
    return events


def test_csv_holds_the_numbers(events, tmp_path):
    table = pd.read_csv(events.export.csv(tmp_path / "a.csv"), index_col="event")
    assert table["v_area"].tolist() == events.events["v_area"].tolist()
    assert_allclose(table["v_rise_time"], events.events["v_rise_time"])
    assert not {"trace", "mask", "footprint", "area_path"} & set(table)
    assert table["group"].tolist() == ["control"] * 3


def test_parquet_holds_everything_and_what_it_means(events, tmp_path):
    import pyarrow.parquet as pq

    path = events.export.parquet(tmp_path / "a.parquet")
    table = pd.read_parquet(path)
    for found, expected in zip(table["trace"], events.events["trace"], strict=True):
        assert_array_equal(found, expected)
    box = table.iloc[0]
    bits = np.unpackbits(np.frombuffer(box["mask"], np.uint8), bitorder="little")
    assert bits[: box.dz * box.dx * box.dy].sum() == box["v_area"]
    assert pq.read_schema(path).field("v_rise_time").metadata[b"unit"] == b"s"
    assert pq.read_schema(path).field("v_fp_area").metadata[b"unit"] == "px²".encode()


def test_excel_has_events_and_columns(events, tmp_path):
    pytest.importorskip("openpyxl", reason="the extra export is not installed")
    path = events.export.excel(tmp_path / "a.xlsx")
    sheets = pd.read_excel(path, sheet_name=None, index_col=0)
    assert sheets["events"]["v_area"].tolist() == events.events["v_area"].tolist()
    assert sheets["columns"].loc["v_half_width", "unit"] == "s"


def test_columns_for_publication_are_described(events):
    from astrocast.analysis.exports import EventExports

    table = events.events.assign(half_width_s=1.0, peak_dff=0.5)
    described = {c.name: c for c in EventExports(table, events.sources).described}
    assert described["half_width_s"].unit == "s"
    assert described["peak_dff"].description


def test_existing_files_are_kept_and_folders_needed(events, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("mine")
    with pytest.raises(OutputExistsError):
        events.export.csv(path)
    assert path.read_text() == "mine"
    events.export.csv(path, overwrite=True)
    assert path.read_text() != "mine"
    with pytest.raises(OutputError, match="folder"):
        events.export.csv(tmp_path / "no" / "a.csv")
    assert [p.name for p in tmp_path.iterdir()] == ["a.csv"]


def inside(lines, shape):
    """Pixels whose centre lies within an odd number of outlines."""
    centres = np.argwhere(np.ones(shape))
    return np.logical_xor.reduce(
        [Outline(line).contains_points(centres) for line in lines]
    ).reshape(shape)


@pytest.mark.parametrize("seed", range(6))
def test_outlines_enclose_exactly_the_pixels_up_to_holes(seed):
    from scipy.ndimage import binary_fill_holes

    footprint = np.random.default_rng(seed).random((9, 11)) < 0.45
    filled = binary_fill_holes(footprint, np.ones((3, 3)))
    assert_array_equal(inside(trace_outlines(filled), filled.shape), filled)
    ring = np.ones((5, 5), bool)
    ring[2, 2] = False
    assert len(trace_outlines(ring)) == 1


def test_imagej_regions_are_the_footprints(events, tmp_path, labels):
    roifile = pytest.importorskip("roifile", reason="the extra export is not installed")
    path = events.export.rois(tmp_path / "a.zip")
    rois = roifile.roiread(path)
    assert [r.name for r in rois] == ["1", "2", "3"]
    assert [r.position for r in rois] == [6, 11, 31]
    for n, roi in enumerate(rois, start=1):
        points = roi.coordinates()[:, ::-1] - 0.5
        assert_array_equal(
            inside([points], labels.shape[1:]), (labels == n).any(axis=0)
        )


@pytest.mark.parametrize("recording", [True, False])
def test_ome_zarr_labels_lie_over_the_recording(
    events, tmp_path, labels, movie, recording
):
    path = events.export.ome_zarr(tmp_path / "a.ome.zarr", recording=recording)
    root = zarr.open_group(path, mode="r")
    assert_array_equal(root["labels/events/0"][:], labels)
    assert root["labels"].attrs["ome"]["labels"] == ["events"]
    scale = root["labels/events"].attrs["ome"]["multiscales"][0]["datasets"][0][
        "coordinateTransformations"
    ][0]["scale"]
    assert scale == [0.1, 0.5, 0.5]
    described = json.loads((path / "labels" / "events" / "zarr.json").read_text())[
        "attributes"
    ]["ome"]
    assert described["version"] == "0.5"
    colours = described["image-label"]["colors"]
    numbers = np.unique(labels)
    assert [c["label-value"] for c in colours] == numbers[numbers > 0].tolist()
    assert len({tuple(c["rgba"]) for c in colours}) == len(colours)
    assert ("0" in root) is recording
    if recording:
        assert_array_equal(root["0"][:], movie)
        assert [a["unit"] for a in root.attrs["ome"]["multiscales"][0]["axes"]] == [
            "second",
            "micrometer",
            "micrometer",
        ]
    with pytest.raises(OutputExistsError):
        events.export.ome_zarr(path)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of hdmf's own dependencies
def test_ome_zarr_passes_a_validator(events, tmp_path):
    reason = "ome-zarr-models, of the group dev, is not installed"
    models = pytest.importorskip("ome_zarr_models.v05", reason=reason)
    path = events.export.ome_zarr(tmp_path / "a.ome.zarr", recording=True)
    for place, model in (
        ("", models.Image),
        ("labels", models.Labels),
        ("labels/events", models.ImageLabel),
    ):
        assert model.from_zarr(zarr.open_group(path / place, mode="r"))


def test_nwb_is_valid_and_holds_recording_footprints_and_events(
    events, tmp_path, labels, movie
):
    pynwb = pytest.importorskip("pynwb", reason="the extra export is not installed")
    start = datetime(2024, 5, 1, 12, tzinfo=UTC)
    path = events.export.nwb(
        tmp_path / "a.nwb",
        start=start,
        indicator="GCaMP6f",
        subject={"subject_id": "m1", "species": "Mus musculus"},
    )
    errors = pynwb.validate(path=str(path))
    assert not errors
    with pynwb.NWBHDF5IO(path, "r") as io:
        file = io.read()
        assert file.session_start_time == start
        assert_array_equal(
            file.acquisition["Recording"].data[:].transpose(0, 2, 1), movie
        )
        assert file.acquisition["Recording"].rate == 10
        module = file.processing["ophys"]
        regions = module["ImageSegmentation"]["Footprints"]
        table = module["Events"].to_dataframe()
        assert table["event"].tolist() == ["1", "2", "3"]
        assert_allclose(table["start_time"], events.events["z0"] / 10)
        assert_allclose(table["v_onset_speed"], events.events["v_onset_speed"])
        for n in (1, 2, 3):
            pixels = regions["pixel_mask"][n - 1]
            assert {(p[1], p[0]) for p in pixels} == set(
                map(tuple, np.argwhere((labels == n).any(axis=0)))
            )
            assert_array_equal(
                table["trace"].iloc[n - 1], events.events["trace"].iloc[n - 1]
            )


def test_an_event_map_is_needed_to_show_it(events, tmp_path, store):
    import shutil

    copied = tmp_path / "b.ch0.roi"
    shutil.copytree(store, copied)
    (copied / "event_map.tiff").unlink()
    with pytest.raises(NotRunError, match="no event map"):
        Events(copied).show_event_map()
    assert Events(copied).num_frames == 31  # up to the last event
