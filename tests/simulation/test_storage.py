"""Files equal what `simulate` returns; nothing is overwritten or half written."""

import h5py
import numpy as np
import pytest
import zarr

from astrocast.errors import (
    DatasetNotFoundError,
    FormatError,
    InvalidValueError,
    OutputError,
    OutputExistsError,
    RecordingNotFoundError,
)
from astrocast.io import open_recording
from astrocast.simulation import (
    SimulationSettings,
    read_truth,
    simulate,
    storage,
    write_simulation,
)

SETTINGS = SimulationSettings(
    frames=37, rows=48, columns=40, events=2, radius=(3.0, 4.0), kinds=("static",)
)


def test_the_files_hold_the_recording_and_its_truth(tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "BLOCK_BYTES", 10 * 4 * 48 * 40)  # four blocks
    settings = SETTINGS.model_copy(update={"second_channel": True})
    whole = simulate(settings)
    path = write_simulation(settings, tmp_path / "made.h5")
    truth = read_truth(path)
    for loc, expected in {
        "data/ch0": whole.movie,
        "data/ch1": whole.second,
        "truth/labels": whole.labels,
        "truth/clean": whole.clean,
    }.items():
        with open_recording(path, loc) as recording:
            assert recording.metadata.frame_rate == 5.0
            assert np.array_equal(recording.to_array(), expected)
    assert truth.settings == settings
    assert truth.events.equals(whole.events)
    assert np.array_equal(truth.shifts, whole.shifts)
    assert np.array_equal(truth.bleaching, whole.bleaching)
    assert np.array_equal(truth.f0, whole.f0)
    assert {p.name for p in tmp_path.iterdir()} == {
        "made.h5",
        "made.events.parquet",
        "made.simulation.json",
    }


def test_a_recording_without_events_can_be_written_without_volumes(tmp_path):
    path = write_simulation(
        SETTINGS.model_copy(update={"events": 0}), tmp_path / "made.h5", truth=False
    )
    truth = read_truth(path)
    assert len(truth.events) == 0
    assert "event" in truth.events
    with open_recording(path) as recording:  # the only one in the file
        assert recording.shape == (37, 48, 40)


def test_nothing_is_overwritten_unasked(tmp_path):
    path = tmp_path / "made.h5"
    (tmp_path / "made.events.parquet").write_text("mine")
    with pytest.raises(OutputExistsError, match=r"made\.events\.parquet"):
        write_simulation(SETTINGS, path)
    assert not path.exists()
    write_simulation(SETTINGS, path, overwrite=True)
    assert len(read_truth(path).events) == 2


def test_an_interrupted_write_leaves_nothing(tmp_path, monkeypatch):
    def fails(self, start, stop):
        raise RuntimeError("interrupted")

    monkeypatch.setattr("astrocast.simulation.recording.Simulator.clean", fails)
    with pytest.raises(RuntimeError, match="interrupted"):
        write_simulation(SETTINGS, tmp_path / "made.h5")
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_or_read_is_said(tmp_path):
    with pytest.raises(OutputError, match="folder"):
        write_simulation(SETTINGS, tmp_path / "absent" / "made.h5")
    with pytest.raises(InvalidValueError, match="one channel"):
        write_simulation(
            SETTINGS.model_copy(update={"second_channel": True}), tmp_path / "made.tif"
        )
    with pytest.raises(FormatError):
        write_simulation(SETTINGS, tmp_path / "made.xyz")
    with pytest.raises(RecordingNotFoundError, match="absent"):
        read_truth(tmp_path / "absent.h5")


def test_the_truth_of_a_recording_with_everything_is_read_back(tmp_path):
    settings = SimulationSettings.preset(
        "nuisances",
        frames=40,
        rows=64,
        columns=64,
        counts={"domain": 2, "whole_field": 1},
        line_motion=0.5,
        flash_frames=2,
    )
    plan = simulate(settings).simulator
    truth = read_truth(write_simulation(settings, tmp_path / "made.h5"))
    assert truth.bad_frames.equals(plan.bad_frames)
    assert len(truth.bad_frames) == 2
    assert np.array_equal(truth.flicker, plan.sensor.flicker)
    assert len(truth.voxels) == 3
    for read, voxels in zip(truth.voxels, plan.voxels, strict=True):
        assert np.array_equal(read, voxels)


@pytest.mark.parametrize("name", ["made.h5", "made.zarr"])
def test_the_file_says_which_dataset_is_the_recording(tmp_path, name):
    from astrocast.io import create_recording

    path = tmp_path / name
    first, second = np.zeros((3, 4, 5), np.uint16), np.ones((3, 4, 5), np.uint16)
    for loc, frames in (("data/ch0", first), ("truth/labels", second)):
        with create_recording(path, loc, frames.shape, frames.dtype) as writer:
            writer.write(0, frames)
    with pytest.raises(DatasetNotFoundError, match="truth/labels"):
        open_recording(path)
    if name.endswith(".h5"):
        with h5py.File(path, "a") as file:
            file.attrs["recording"] = "data/ch0"
    else:
        zarr.open_group(path, mode="a").attrs["recording"] = "data/ch0"
    with open_recording(path) as recording:
        assert not recording.to_array().any()
    with open_recording(path, "truth/labels") as recording:
        assert recording.to_array().all()


def test_a_simulated_file_is_opened_without_naming_the_dataset(tmp_path):
    path = write_simulation(SETTINGS, tmp_path / "made.h5")
    with open_recording(path) as recording:
        assert recording.loc == "data/ch0"
