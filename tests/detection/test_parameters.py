"""Each parameter of `Detector.run` changes the result as its definition says."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from plain_detection import detect

from astrocast.detection import Detector
from astrocast.errors import DatasetNotFoundError, InvalidValueError
from astrocast.io.stores.event_map import open_event_map, read_time_map
from astrocast.io.stores.event_store import read_meta
from astrocast.io.stores.event_table import read_events
from astrocast.settings.detection import DetectionSettings

#: noise is active too: there are holes and small regions
NOISY = {"temporal_prominence": 4, "use_spatial": False}
#: parameters that change what is found, each with a value of its own, and what else
#: must be set for it to matter
CHANGES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"exclude_border": 5}, {}),
    ({"threshold": 9.0}, {}),
    ({"use_smoothing": False}, {"temporal_prominence": 30}),
    ({"smooth_radius": 1}, {}),
    ({"smooth_sigma": 1}, {}),
    ({"use_spatial": False}, {}),
    ({"spatial_min_ratio": 60}, {}),
    ({"spatial_z_depth": 3}, {}),
    ({"use_temporal": False}, {}),
    ({"temporal_prominence": 25}, {}),
    ({"temporal_width": 20}, {}),
    ({"temporal_rel_height": 0.5}, {}),
    ({"temporal_wlen": 12}, {}),
    ({"temporal_wlen": None}, {}),
    ({"temporal_plateau_size": 2}, {}),
    ({"comb_type": "|"}, {}),
    ({"fill_holes": False}, NOISY),
    ({"area_threshold": 2}, NOISY),
    ({"holes_connectivity": 3}, NOISY | {"area_threshold": 12}),
    ({"holes_depth": 0}, NOISY),
    ({"remove_objects": False}, NOISY),
    ({"min_size": 3}, NOISY),
    ({"object_connectivity": 3}, NOISY | {"min_size": 30}),
    ({"objects_depth": 0}, NOISY),
    ({"fill_holes_first": False}, NOISY | {"min_size": 30}),
    ({"adjust_for_noise": True}, {"threshold": 6.0}),
]
#: parameters with tests of their own below
OTHERS = {
    "lazy",
    "z_slice",
    "split_events",
    "debug",
    "event_map_export_format",
    "parallel",
    "use_on_disk_sharing",
}


def event_map(directory: Path) -> np.ndarray:
    with open_event_map(directory) as labels:
        return labels.to_array()


def test_every_parameter_has_a_test():
    assert {name for change, _ in CHANGES for name in change} | OTHERS == set(
        DetectionSettings.model_fields
    )


def test_the_signature_is_the_settings_model():
    signature = inspect.signature(Detector.run).parameters
    beyond = (
        "self",
        "loc",
        "method",
        "calibration",
        "signal_loc",
        "fluorescence_loc",
        "check_channels",
    )
    declared = {name: p.default for name, p in signature.items() if name not in beyond}
    assert list(declared) == list(DetectionSettings.model_fields)
    assert declared == {
        name: field.default for name, field in DetectionSettings.model_fields.items()
    }


@pytest.mark.parametrize(
    ("change", "given"), CHANGES, ids=[f"{next(iter(c.items()))}" for c, _ in CHANGES]
)
def test_has_its_effect(
    recording: Path, movie: np.ndarray, tmp_path: Path, change: dict, given: dict
):
    found = event_map(
        Detector(recording, tmp_path / "found").run("df/ch0", **given, **change)
    )
    np.testing.assert_array_equal(found, detect(movie, **given, **change))
    assert not np.array_equal(found > 0, detect(movie, **given) > 0)


@pytest.mark.parametrize(
    "how",
    [
        {"lazy": False},
        {"lazy": False, "use_on_disk_sharing": True},
        {"parallel": False},
    ],
)
def test_how_it_is_computed_does_not_change_the_result(
    recording: Path, movie: np.ndarray, tmp_path: Path, how: dict
):
    directory = Detector(recording, tmp_path / "found").run("df/ch0", **how)
    np.testing.assert_array_equal(event_map(directory), detect(movie))
    assert sorted(p.name for p in directory.iterdir()) == [
        "checksums.json",
        "event_map.tiff",
        "events.columns.json",
        "events.csv",
        "events.parquet",
        "meta.json",
        "time_map.npy",
    ]
    assert read_meta(directory)["parameters"]["lazy"] == how.get("lazy", True)


@pytest.mark.parametrize("suffix", [".tiff", ".h5", ".zarr", ".tdb"])
def test_event_map_in_every_format(
    recording: Path, movie: np.ndarray, tmp_path: Path, suffix: str
):
    pytest.importorskip("tiledb" if suffix == ".tdb" else "numpy")
    directory = Detector(recording, tmp_path / "found").run(
        "df/ch0", event_map_export_format=suffix
    )
    assert (directory / f"event_map{suffix}").exists()
    found = event_map(directory)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, detect(movie))


def test_z_slice_reports_frames_of_the_whole_recording(
    recording: Path, movie: np.ndarray, tmp_path: Path
):
    directory = Detector(recording, tmp_path / "found").run("df/ch0", z_slice=(50, 105))
    np.testing.assert_array_equal(event_map(directory), detect(movie[50:105]))
    table, time_map = read_events(directory), read_time_map(directory)
    assert table["z0"].min() >= 50
    assert time_map.shape == (55, len(table) + 1)
    for event, row in table.iterrows():
        assert np.flatnonzero(time_map[:, event]).tolist() == list(
            range(row.z0 - 50, row.z1 - 50)
        )
    assert read_meta(directory)["first_frame"] == 50
    with pytest.raises(InvalidValueError, match="frames 50 to 500"):
        Detector(recording, tmp_path / "other").run("df/ch0", z_slice=(50, 500))


def test_debug_keeps_every_step(recording: Path, movie: np.ndarray, tmp_path: Path):
    directory = Detector(recording, tmp_path / "found").run("df/ch0", debug=True)
    from astrocast.io import open_recording

    steps = {}
    for path in (directory / "debug").iterdir():
        with open_recording(path) as step:
            steps[path.stem] = step.to_array()
    assert sorted(steps) == [
        "combined",
        "holes",
        "objects",
        "smoothed",
        "spatial",
        "temporal",
    ]
    assert all(s.shape == movie.shape for s in steps.values())
    np.testing.assert_array_equal(
        steps["combined"], steps["spatial"] & steps["temporal"]
    )
    np.testing.assert_array_equal(steps["objects"] > 0, event_map(directory) > 0)
    assert steps["smoothed"].std() < movie.std()


def test_split_events_divides_and_names_the_parts(tmp_path: Path):
    z, y, x = np.mgrid[:80, :24, :44]
    two = [
        np.exp(-((z - 40) ** 2) / 50 - ((y - 12) ** 2 + (x - c) ** 2) / 32)
        for c in (14, 29)
    ]
    alone = np.exp(-((z - 15) ** 2) / 18 - ((y - 12) ** 2 + (x - 36) ** 2) / 10)
    movie = (
        100 * (two[0] + two[1] + alone) + np.random.default_rng(0).normal(0, 2, z.shape)
    ).astype(np.float32)
    np.save(tmp_path / "two.npy", movie)
    whole = read_events(Detector(tmp_path / "two.npy", tmp_path / "whole").run())
    directory = Detector(tmp_path / "two.npy", tmp_path / "parts").run(
        split_events=True
    )
    table, labels = read_events(directory), event_map(directory)
    np.testing.assert_array_equal(labels > 0, event_map(tmp_path / "whole") > 0)
    divided = table[table["part_of"] > 0]
    assert len(whole) + 1 == len(table)
    assert divided["name"].tolist() == [
        f"{divided['part_of'].iloc[0]}_{k}" for k in (1, 2)
    ]
    assert table["v_area"].sum() == whole["v_area"].sum()
    assert labels[40, 12, 14] != labels[40, 12, 29]
    for event, row in table.iterrows():
        assert row["v_area"] == (labels == event).sum() == row["mask"].sum()
    assert [int(labels[labels > 0][0])] == [1]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"comb_type": "xor"}, "comb_type.*'xor'"),
        ({"temporal_wlen": 1}, "at least 2 frames"),
        (
            {"use_spatial": False, "use_temporal": False},
            "no criterion for active voxels",
        ),
        ({"event_map_export_format": ".csv"}, "event_map_export_format"),
        ({"z_slice": (9, 3)}, "z_slice"),
        ({"exclude_border": 14}, "is the whole frame of 28 x 34"),
        ({"exclude_border": -1}, "exclude_border"),
        ({"method": "magic"}, "choose one of default"),
        ({"loc": "mc/ch0"}, "df/ch0"),
    ],
)
def test_wrong_values_are_named(
    recording: Path, tmp_path: Path, wrong: dict, message: str
):
    with pytest.raises((InvalidValueError, DatasetNotFoundError), match=message):
        Detector(recording, tmp_path / "found").run(**({"loc": "df/ch0"} | wrong))
    assert not (tmp_path / "found").exists()


def test_everything_wrong_is_said_at_once(recording: Path):
    with pytest.raises(InvalidValueError, match=r"smooth_radius.*min_size"):
        Detector(recording).run("df/ch0", smooth_radius=-1, min_size=-4)


def test_traces_are_taken_from_another_dataset_where_one_is_named(
    recording: Path, movie: np.ndarray, tmp_path: Path
):
    with h5py.File(recording, "a") as file:
        file["twice/ch0"] = 2 * movie
        file["short/ch0"] = movie[:-1]
    own = Detector(recording, tmp_path / "own").run("df/ch0")
    other = Detector(recording, tmp_path / "other").run(
        "df/ch0", signal_loc="twice/ch0"
    )
    np.testing.assert_array_equal(event_map(own), event_map(other))
    for single, double in zip(
        read_events(own)["trace"], read_events(other)["trace"], strict=True
    ):
        np.testing.assert_allclose(double, 2 * single, rtol=1e-6)
    meta = read_meta(other)
    assert (meta["parameters"]["loc"], meta["parameters"]["signal_loc"]) == (
        "df/ch0",
        "twice/ch0",
    )
    # the dataset that the content hash is of
    assert meta["input"]["loc"] == "twice/ch0"
    with pytest.raises(InvalidValueError, match="same shape"):
        Detector(recording, tmp_path / "third").run("df/ch0", signal_loc="short/ch0")
