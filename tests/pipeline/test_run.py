"""The main job, from a file to a report."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import tifffile
from scipy import ndimage

from astrocast.errors import (
    DatasetNotFoundError,
    RecordingNotFoundError,
    ResultsDifferError,
)
from astrocast.io import open_recording
from astrocast.io.formats.hdf5 import dataset_names
from astrocast.io.stores.event_map import open_event_map, read_time_map
from astrocast.io.stores.event_table import read_events
from astrocast.io.stores.registration_store import read_registration
from astrocast.pipeline.channel_steps import ChannelSteps
from astrocast.pipeline.demo import demonstrate
from astrocast.pipeline.run import RunResult, RunStages, check_run, run_recording
from astrocast.pipeline.settings import RunSettings
from astrocast.settings.simulation import SimulationSettings
from astrocast.simulation import simulate

SMALL = SimulationSettings(
    seed=3,
    frames=120,
    rows=64,
    columns=64,
    events=4,
    kinds=("static",),
    snr=6.0,
    motion=2.0,
)
STAGES = ["conversion", "motion", "delta", "detection", "report"]


@pytest.fixture(scope="module")
def movie(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a TIFF with four bright events, two pixels of motion and bleaching."""
    path = tmp_path_factory.mktemp("movie") / "cells.tif"
    tifffile.imwrite(path, simulate(SMALL).movie, photometric="minisblack")
    return path


@pytest.fixture(scope="module")
def finished(movie: Path, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    """Return a complete run of that movie; tests that change it work on a copy."""
    return run_recording(
        movie,
        tmp_path_factory.mktemp("run") / "out",
        RunSettings(frame_rate=5.0, pixel_size=0.5),
    )


def test_every_product_is_there_and_agrees(finished: RunResult) -> None:
    out = finished.directory
    assert finished.computed == tuple(STAGES)
    assert dataset_names(out / "recording.h5") == ["data/ch0", "df/ch0", "mc/ch0"]
    events = read_events(finished.store)
    assert (
        len(events)
        == finished.events
        == len(pd.read_csv(finished.store / "events.csv"))
        == 4
    )
    with open_event_map(finished.store) as labels:
        assert labels.shape == SMALL.shape
        volume = labels.to_array()
    assert sorted(set(volume.ravel()) - {0}) == events.index.tolist()
    assert np.array_equal(np.bincount(volume.ravel())[1:], events["v_area"])
    assert read_time_map(finished.store).shape == (120, 5)
    described = {
        c["name"]: c
        for c in json.loads((finished.store / "events.columns.json").read_text())
    }
    assert described["v_area"]["unit"]
    assert "4 events" in (out / "report.html").read_text()


def test_run_json_says_what_was_done(finished: RunResult, movie: Path) -> None:
    stored = json.loads((finished.directory / "run.json").read_text())
    assert stored["input"]["path"] == str(movie)
    assert stored["input"]["shape"] == [120, 64, 64]
    assert stored["input"]["dtype"] == "uint16"
    assert len(stored["input"]["content_hash"]) == 32
    assert list(stored["stages"]) == STAGES
    for stage in stored["stages"].values():
        assert stage["status"] == "complete"
        assert stage["seconds"] > 0
        assert stage["peak_memory_mb"] > 10
    assert stored["stages"]["delta"]["facts"]["window"] == 30
    assert stored["configuration"]["seed"] == 1


def test_frames_that_cannot_be_trusted_are_told_by_events_and_report(
    tmp_path: Path,
) -> None:
    """Three saturated frames: the events on them say so, and the report shows them."""
    recording = simulate(SMALL).movie.copy()
    recording[[47, 100, 101]] = 65535
    tifffile.imwrite(tmp_path / "flash.tif", recording, photometric="minisblack")
    run = run_recording(
        tmp_path / "flash.tif",
        tmp_path / "out",
        RunSettings(frame_rate=5.0, pixel_size=0.5),
    )
    known = read_registration(run.directory / "recording.h5", "mc/ch0")
    assert known is not None
    bad = known.quality["bad_frame"]
    np.testing.assert_array_equal(np.flatnonzero(bad), [47, 100, 101])
    events = read_events(run.store)
    expected = [
        bad[z0:z1].mean() for z0, z1 in zip(events["z0"], events["z1"], strict=True)
    ]
    np.testing.assert_allclose(events["bad_frames_share"], expected)
    on_them = (events["z0"] <= 47) & (events["z1"] > 47) | (events["z0"] <= 101) & (
        events["z1"] > 100
    )
    assert on_them.any()
    assert (events["bad_frames_share"][on_them] > 0).all()
    page = (run.directory / "report.html").read_text()
    for said in (
        "crispness before",
        "crispness after",
        "bad frames 3",
        "median residual",
    ):
        assert said in page.replace("Crispness", "crispness")
    for figure in (
        "Shift of each frame along rows",
        "Correlation of each frame with the template before and after",
    ):
        assert figure in page


def test_stated_pixel_size_and_frame_rate_reach_every_dataset(
    finished: RunResult,
) -> None:
    for dataset in ("data/ch0", "mc/ch0", "df/ch0"):
        with open_recording(finished.directory / "recording.h5", dataset) as recording:
            assert recording.metadata.frame_rate == 5.0
            assert recording.metadata.pixel_size == (0.5, 0.5)


@pytest.fixture
def again(finished: RunResult, tmp_path: Path) -> Path:
    shutil.copytree(finished.directory, tmp_path / "out")
    return tmp_path / "out"


SETTINGS = RunSettings(frame_rate=5.0, pixel_size=0.5)


def test_the_same_run_again_reuses_everything_and_says_so(
    again: Path, movie: Path
) -> None:
    result = run_recording(movie, again, SETTINGS)
    assert result.computed == ()
    assert "reused" in result.summary()


def test_an_interrupted_run_resumes_with_the_same_result(
    again: Path, movie: Path, monkeypatch: pytest.MonkeyPatch, finished: RunResult
) -> None:
    shutil.rmtree(again)

    def stop(self: RunStages) -> dict[str, Any]:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(ChannelSteps, "correct_bleaching", stop)
        with pytest.raises(KeyboardInterrupt):
            run_recording(movie, again, SETTINGS)
    result = run_recording(movie, again, SETTINGS)
    assert result.computed == ("delta", "detection", "report")
    pd.testing.assert_frame_equal(
        read_events(result.store, ["v_area", "z0"]),
        read_events(finished.store, ["v_area", "z0"]),
    )


def test_a_recording_that_a_killed_run_left_unreadable_is_made_anew(
    again: Path, movie: Path
) -> None:
    (again / "recording.h5").write_bytes(b"half a file")
    assert run_recording(movie, again, SETTINGS).computed == tuple(STAGES)


def test_other_parameters_are_refused_and_overwrite_recomputes_from_there(
    again: Path, movie: Path
) -> None:
    other = SETTINGS.model_copy(
        update={"delta": SETTINGS.delta.model_copy(update={"window": 25})}
    )
    with pytest.raises(ResultsDifferError, match=r"delta\.window was None, is 25"):
        run_recording(movie, again, other)
    assert run_recording(movie, again, other, overwrite=True).computed == (
        "delta",
        "detection",
        "report",
    )


def test_a_changed_input_is_refused(again: Path, movie: Path, tmp_path: Path) -> None:
    changed = tifffile.imread(movie)
    changed[3, 4, 5] += 1
    path = tmp_path / "cells.tif"
    tifffile.imwrite(path, changed, photometric="minisblack")
    with pytest.raises(ResultsDifferError, match="content_hash"):
        run_recording(path, again, SETTINGS)


def test_a_recording_without_events_is_a_valid_result(tmp_path: Path) -> None:
    frames = np.random.default_rng(5).normal(500, 5, (60, 48, 48)).astype("float32")
    tifffile.imwrite(tmp_path / "dark.tif", frames, photometric="minisblack")
    settings = RunSettings.checked(motion={"enabled": False})
    result = run_recording(tmp_path / "dark.tif", tmp_path / "out", settings)
    assert result.events == 0
    table = read_events(result.store)
    assert len(table) == 0
    assert {"z0", "v_area", "trace"} <= set(table.columns)
    assert len(pd.read_csv(result.store / "events.csv")) == 0
    page = (tmp_path / "out" / "report.html").read_text()
    assert "No event" in page or "no event" in page or "0 events" in page


def test_one_of_two_interleaved_channels_is_analysed(
    tmp_path: Path, movie: Path
) -> None:
    frames = tifffile.imread(movie)[:60]
    both = np.stack([np.full_like(frames, 7), frames], axis=1).reshape(120, 64, 64)
    both[::2] += (
        np.random.default_rng(0).integers(0, 3, both[::2].shape).astype("uint16")
    )
    tifffile.imwrite(tmp_path / "two.tif", both, photometric="minisblack")
    settings = RunSettings.checked(
        channel="ch1", conversion={"channels": 2}, motion={"enabled": False}
    )
    result = run_recording(tmp_path / "two.tif", tmp_path / "out", settings)
    with open_recording(result.directory / "recording.h5", "data/ch1") as recording:
        assert np.array_equal(recording.to_array(), frames)
    assert result.store.name == "recording.ch1.roi"
    with pytest.raises(DatasetNotFoundError, match="data/ch0, data/ch1"):
        run_recording(
            tmp_path / "two.tif",
            tmp_path / "o2",
            RunSettings.checked(channel="red", conversion={"channels": 2}),
        )


def test_the_demonstration_finds_the_events_it_made(tmp_path: Path) -> None:
    said = demonstrate(tmp_path / "demo", SMALL)
    scores = json.loads((tmp_path / "demo" / "score.json").read_text())
    assert scores["true events"] == 4
    assert scores["F1 at IoU 0.3"] == 1.0
    page = (tmp_path / "demo" / "run" / "report.html").read_text()
    assert "F1 at IoU 0.3" in page
    assert "report.html" in said
    assert "reused" in demonstrate(tmp_path / "demo", SMALL)


@pytest.mark.parametrize("name", ["data/sample_1.tiff", "data/single_astrocyte.tif"])
def test_real_recordings_run_to_the_end(
    shared: Callable[[str], Path], tmp_path: Path, name: str
) -> None:
    result = run_recording(shared(name), tmp_path / "out")
    assert result.computed == tuple(STAGES)
    assert (tmp_path / "out" / "report.html").stat().st_size > 100_000
    # events are where the cell is: by chance a fifth of them would be on the brightest
    # fifth
    if "astrocyte" in name:
        mean = ndimage.gaussian_filter(tifffile.imread(shared(name)).mean(axis=0), 4)
        events = read_events(result.store, ["x0", "x1", "y0", "y1", "v_area"])
        row, column = (
            (events["x0"] + events["x1"]) // 2,
            (events["y0"] + events["y1"]) // 2,
        )
        on_cell = mean[row, column] > np.percentile(mean, 80)
        assert events["v_area"].max() > 1000
        assert events["v_area"][on_cell].sum() > 0.6 * events["v_area"].sum()


QUIET = RunSettings.checked(
    frame_rate=5.0,
    pixel_size=0.5,
    denoising={"enabled": True, "method": "svd", "svd_patch": 8},
)


@pytest.fixture(scope="module")
def denoised(movie: Path, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    """Return a complete run of that movie with denoising."""
    return run_recording(movie, tmp_path_factory.mktemp("denoised") / "out", QUIET)


def test_denoising_changes_the_traces_and_not_which_events_are_found(
    denoised: RunResult, finished: RunResult
) -> None:
    assert denoised.computed == (
        "conversion",
        "motion",
        "denoising",
        "delta",
        "detection",
        "report",
    )
    file = denoised.directory / "recording.h5"
    assert dataset_names(file) == ["data/ch0", "denoised/ch0", "df/ch0", "mc/ch0"]
    for dataset in ("mc/ch0", "denoised/ch0", "df/ch0"):
        with (
            open_recording(file, dataset) as now,
            open_recording(finished.directory / "recording.h5", "mc/ch0") as was,
        ):
            assert now.metadata == was.metadata
            assert np.array_equal(now.to_array(), was.to_array()) == (
                dataset == "mc/ch0"
            )
    with open_event_map(denoised.store) as now, open_event_map(finished.store) as was:
        assert np.array_equal(now.to_array(), was.to_array())
    with (
        open_recording(file, "df/ch0") as now,
        open_recording(finished.directory / "recording.h5", "df/ch0") as was,
    ):
        # mostly noise
        steps = [np.diff(movie.to_array(), axis=0).std() for movie in (now, was)]
    assert steps[0] < 0.3 * steps[1]
    heights = [
        read_events(run.store, ["v_max_height"])["v_max_height"]
        for run in (denoised, finished)
    ]
    assert ((heights[0] != heights[1]) & (heights[0] > 0.7 * heights[1])).all()


def test_what_denoising_did_and_cost_is_in_the_record_and_the_report(
    denoised: RunResult,
) -> None:
    stage = json.loads((denoised.directory / "run.json").read_text())["stages"][
        "denoising"
    ]
    assert stage["parameters"]["svd_patch"] == 8
    assert stage["parameters"]["seed"] == QUIET.seed == 1
    assert stage["facts"]["engine_used"] == "svd"
    page = (denoised.directory / "report.html").read_text()
    for words in (
        "Parameters of denoising",
        "Quality of the denoising",
        "held out error",
    ):
        assert words in page
    said = (
        "denoising: events keep only"
        f" {100 * stage['facts']['quality']['amplitude']:.0f} % of their amplitude"
    )
    assert (said in page) == (stage["facts"]["quality"]["amplitude"] < 0.9)


def test_a_run_with_denoising_resumes_and_is_not_mixed_with_one_without(
    denoised: RunResult, movie: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(denoised.directory, out)
    assert run_recording(movie, out, QUIET).computed == ()
    with pytest.raises(
        ResultsDifferError, match=r"denoising\.enabled was True, is False"
    ):
        run_recording(movie, out, SETTINGS)
    assert run_recording(movie, out, SETTINGS, overwrite=True).computed == (
        "delta",
        "detection",
        "report",
    )
    assert "denoising" not in json.loads((out / "run.json").read_text())["stages"]
    with pytest.raises(
        ResultsDifferError, match=r"denoising\.enabled was False, is True"
    ):
        run_recording(movie, out, QUIET)
    assert run_recording(movie, out, QUIET, overwrite=True).computed == (
        "denoising",
        "delta",
        "detection",
        "report",
    )
    assert list(json.loads((out / "run.json").read_text())["stages"])[2] == "denoising"
    other = QUIET.model_copy(
        update={"denoising": QUIET.denoising.model_copy(update={"svd_patch": 16})}
    )
    with pytest.raises(ResultsDifferError, match=r"denoising\.svd_patch was 8, is 16"):
        run_recording(movie, out, other)


def damage_motion(out: Path) -> None:
    next(out.glob("*.motion.npz")).unlink()


def damage_map(out: Path) -> None:
    next(out.glob("*.roi/event_map*")).unlink()


def damage_table(out: Path) -> None:
    next(out.glob("*.roi/events.parquet")).write_bytes(b"rubbish" * 50)


def damage_pixels(out: Path) -> None:
    """A region of zeros, as a bad block of a disk leaves behind."""
    with h5py.File(out / "recording.h5", "r") as file:
        dataset = file["mc/ch0"]
        place = dataset.id.get_chunk_info(dataset.id.get_num_chunks() // 2).byte_offset
    with (out / "recording.h5").open("r+b") as raw:
        raw.seek(place)
        raw.write(bytes(256))


@pytest.mark.parametrize(
    ("damage", "stage"),
    [
        (damage_motion, "motion"),
        (damage_map, "detection"),
        (damage_table, "detection"),
        (damage_pixels, "motion"),
    ],
)
def test_a_damaged_product_is_found_and_computed_again(
    finished: RunResult, movie: Path, tmp_path: Path, damage, stage: str
) -> None:
    out = tmp_path / "out"
    shutil.copytree(finished.directory, out)
    assert not any(check_run(out).values())
    damage(out)
    before = {p: p.stat().st_mtime_ns for p in out.rglob("*") if p.is_file()}
    found = check_run(out)
    assert found[stage]
    assert before == {p: p.stat().st_mtime_ns for p in out.rglob("*") if p.is_file()}
    settings = RunSettings(frame_rate=5.0, pixel_size=0.5)
    result = run_recording(movie, out, settings)
    assert result.computed == tuple(STAGES[STAGES.index(stage) :])
    assert not any(check_run(out).values())
    assert result.events == finished.events


def test_check_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingNotFoundError, match=r"has no run\.json"):
        check_run(tmp_path)
