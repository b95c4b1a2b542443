from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import warnings
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import h5py
import numpy as np
import pytest
from plain_detection import detect, same_partition

from astrocast.detection import Detector, run
from astrocast.detection.checkpoint import Checkpoint
from astrocast.errors import (
    AstrocastWarning,
    InvalidValueError,
    OutputError,
    OutputExistsError,
    ResultsDifferError,
)
from astrocast.io.stores.event_map import open_event_map, read_time_map
from astrocast.io.stores.event_store import read_meta
from astrocast.io.stores.event_table import read_events
from astrocast.io.writing.lock import OutputLock
from conftest import EVENTS, make_movie


def event_map(directory: Path) -> np.ndarray:
    with open_event_map(directory) as labels:
        return labels.to_array()


def contents(directory: Path) -> dict[str, bytes]:
    """Every file but the times in its provenance; the pages of the event map without
    how they are laid out.
    """
    found = {
        p.name: p.read_bytes()
        for p in directory.iterdir()
        if p.name not in ("meta.json", "checksums.json", "event_map.tiff")
    }
    found["event_map"] = event_map(directory).tobytes()
    meta = read_meta(directory)
    del meta["created"]
    return found | {"meta": json.dumps(meta).encode()}


def test_finds_what_is_in_the_recording(recording: Path, movie: np.ndarray):
    directory = Detector(recording).run("df/ch0")
    assert directory == recording.with_name("slice.ch0.roi")
    labels, table, time_map = (
        event_map(directory),
        read_events(directory),
        read_time_map(directory),
    )
    assert sorted(labels[t, row, column] for t, row, column, *_ in EVENTS) == list(
        range(1, len(EVENTS) + 1)
    )
    assert table.index.tolist() == list(range(1, labels.max() + 1))
    for event, row in table.iterrows():
        box = np.s_[row.z0 : row.z1, row.x0 : row.x1, row.y0 : row.y1]
        np.testing.assert_array_equal(row["mask"], labels[box] == event)
        np.testing.assert_array_equal(row["footprint"], row["mask"].any(axis=0))
        own = np.where(row["mask"], movie[box], np.nan)
        np.testing.assert_allclose(
            row["trace"], np.nanmean(own, axis=(1, 2), dtype=float), rtol=1e-6
        )
        np.testing.assert_array_equal(
            time_map[:, event], (labels == event).any(axis=(1, 2))
        )
        assert row["v_area"] == row["mask"].sum()
        assert row["error"] == 0
    meta = read_meta(directory)
    assert meta["events"] == len(table)
    assert meta["parameters"]["temporal_wlen"] == 60
    assert meta["input"]["shape"] == list(movie.shape)
    assert not list(recording.parent.glob("*.partial"))


def test_every_event_has_the_row_of_its_own_voxels(tmp_path: Path):
    # interleaved diagonal stripes: each box holds the others' voxels
    movie = np.zeros((30, 24, 24), np.float32)
    for offset in (-8, 0, 8):
        for i in range(24):
            if 0 <= i + offset < 24:
                movie[8:20, i, i + offset] = 50
                movie[8:20, i, min(23, i + offset + 1)] = 50
    np.save(tmp_path / "stripes.npy", movie)
    directory = Detector(tmp_path / "stripes.npy").run(threshold=20.0, smooth_sigma=0)
    table = read_events(directory)
    assert len(table) == 3
    np.testing.assert_allclose(np.concatenate(table["trace"].to_list()), 50)
    assert (table["v_noise_mask_mean"] < 40).all()


@pytest.mark.parametrize("frames", [1, 7, 16, 33, 110])
def test_does_not_depend_on_the_size_of_blocks(
    recording: Path, tmp_path: Path, monkeypatch, frames: int
):
    expected = contents(Detector(recording, tmp_path / "whole").run("df/ch0"))
    monkeypatch.setattr(run, "block_frames", lambda recording: frames)
    assert contents(Detector(recording, tmp_path / "cut").run("df/ch0")) == expected


@pytest.mark.parametrize("survive", [0, 1, 3, 7, 9, 13])
@pytest.mark.parametrize(
    "options", [{}, {"temporal_wlen": None}, {"split_events": True}], ids=str
)
def test_a_run_that_was_stopped_goes_on_and_gives_the_same(
    recording: Path, tmp_path: Path, monkeypatch, survive: int, options: dict
):
    if options and survive not in (1, 9):
        pytest.skip("one early and one late stop are enough for the variants")
    monkeypatch.setattr(run, "block_frames", lambda recording: 16)
    expected = contents(
        Detector(recording, tmp_path / "whole").run("df/ch0", **options)
    )
    save, saved = Checkpoint.save, []

    def stop(self, name, index, **arrays):
        if len(saved) == survive:
            raise KeyboardInterrupt
        saved.append((name, index))
        save(self, name, index, **arrays)

    monkeypatch.setattr(Checkpoint, "save", stop)
    with pytest.raises(KeyboardInterrupt):
        Detector(recording, tmp_path / "stopped").run("df/ch0", **options)
    assert not (tmp_path / "stopped").exists()
    before, again = list(saved), []

    def note(self, name, index, **arrays):
        again.append((name, index))
        save(self, name, index, **arrays)

    monkeypatch.setattr(Checkpoint, "save", note)
    # the cut of the first run is kept
    monkeypatch.setattr(run, "block_frames", lambda recording: 50)
    assert (
        contents(Detector(recording, tmp_path / "stopped").run("df/ch0", **options))
        == expected
    )
    assert not {b for b in before if b[0] != "divided"} & set(again), (
        "a finished block was computed twice"
    )


def test_a_process_that_is_killed_leaves_nothing_under_a_final_name(
    recording: Path, tmp_path: Path
):
    code = f"""
    import os
    from astrocast.detection import Detector, run
    from astrocast.detection.events import traces_and_map as measurement
    run.block_frames = lambda recording: 16
    paint, calls = measurement.measure_signals, []
    def killed(*a):
        calls.append(1)
        if len(calls) == 3:
            os.kill(os.getpid(), 9)
        return paint(*a)
    measurement.measure_signals = killed
    Detector({str(recording)!r}).run("df/ch0")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], env=os.environ, check=False
    )
    assert done.returncode == -9
    target = recording.with_name("slice.ch0.roi")
    assert not target.exists()
    expected = contents(Detector(recording, tmp_path / "whole").run("df/ch0"))
    assert contents(Detector(recording).run("df/ch0")) == expected
    assert not target.with_name(target.name + ".partial").exists()


def test_results_are_reused_only_when_they_are_of_the_same_run(recording: Path):
    directory = Detector(recording).run("df/ch0")
    before = {p.name: p.stat().st_mtime_ns for p in directory.iterdir()}
    assert Detector(recording).run("df/ch0", parallel=False) == directory
    assert {p.name: p.stat().st_mtime_ns for p in directory.iterdir()} == before
    with pytest.raises(ResultsDifferError, match="min_size was 20, is 30"):
        Detector(recording).run("df/ch0", min_size=30)
    with h5py.File(recording, "r+") as file:
        file["df/ch0"][40] += 1
    with pytest.raises(ResultsDifferError, match="modified"):
        Detector(recording).run("df/ch0")


def test_an_interrupted_run_of_other_parameters_is_refused(
    recording: Path, monkeypatch
):
    def stop(self, name, index, **arrays):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "save", stop)
        with pytest.raises(KeyboardInterrupt):
            Detector(recording).run("df/ch0")
    with pytest.raises(
        ResultsDifferError, match=r"another run .*temporal_prominence was 10.*is 20"
    ):
        Detector(recording).run("df/ch0", temporal_prominence=20)


def test_two_processes_cannot_detect_into_one_output(recording: Path):
    """The lock is one of the system: what a dead process left locks nothing."""
    partial = recording.with_name("slice.ch0.roi.partial")
    partial.mkdir()
    lock = OutputLock(partial / "run.lock", partial)
    with pytest.raises(OutputError, match=r"another process .*slice\.ch0\.roi; wait"):
        Detector(recording).run("df/ch0")
    lock.release()
    assert (partial / "run.lock").exists()
    directory = Detector(recording).run("df/ch0")
    assert not partial.exists()
    assert not list(directory.glob("*.lock"))


def test_an_output_that_exists_is_refused(recording: Path, tmp_path: Path):
    (tmp_path / "mine").mkdir()
    with pytest.raises(OutputExistsError, match="mine"):
        Detector(recording, tmp_path / "mine").run("df/ch0")
    (tmp_path / "slice.ch0.roi").mkdir()
    with pytest.raises(OutputExistsError, match="does not contain events"):
        Detector(recording).run("df/ch0")


def test_missing_values_are_counted_and_left_out(tmp_path: Path, movie: np.ndarray):
    broken = movie.copy()
    broken[20, 8, 8] = np.nan
    broken[:, 27] = np.inf
    np.save(tmp_path / "broken.npy", broken)
    with pytest.warns(AstrocastWarning, match=f"{1 + 110 * 34} voxels"):
        directory = Detector(tmp_path / "broken.npy").run()
    table = read_events(directory)
    assert len(table) == 5
    assert table["invalid_voxels"].sum() == 1  # the hole within an event was filled
    assert np.isfinite(np.concatenate(table["trace"].to_list())).all()
    assert read_meta(directory)["invalid_voxels"] == 1 + 110 * 34
    assert not event_map(directory)[:, 27].any()


@pytest.mark.parametrize(
    "data",
    [
        np.zeros((20, 8, 9), np.float32),
        np.full((20, 8, 9), np.nan, np.float32),
        np.full((1, 8, 9), 3, np.uint16),
        np.random.default_rng(0).normal(size=(4, 8, 9)).astype(np.float32),
    ],
    ids=["constant", "nothing finite", "one frame", "fewer frames than the window"],
)
@pytest.mark.parametrize(
    "options", [{}, {"threshold": 100.0}, {"temporal_wlen": -1}], ids=str
)
def test_no_events_is_a_result(tmp_path: Path, data: np.ndarray, options: dict):
    np.save(tmp_path / "empty.npy", data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstrocastWarning)
        directory = Detector(tmp_path / "empty.npy").run(**options)
    assert len(read_events(directory)) == 0
    assert event_map(directory).shape == data.shape
    assert not event_map(directory).any()
    assert read_time_map(directory).shape == (len(data), 1)
    assert (directory / "events.csv").read_text().startswith("event_id,name,")


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.float64, ">f4"])
def test_any_type_of_number(tmp_path: Path, movie: np.ndarray, dtype: str):
    data = (movie + 60).clip(0, 250).astype(dtype)
    with h5py.File(tmp_path / "movie.h5", "w") as file:
        file["data/ch0"] = data
    directory = Detector(tmp_path / "movie.h5").run("data/ch0")
    np.testing.assert_array_equal(event_map(directory), detect(data.astype(np.float32)))


def test_characterises_one_event_as_the_run_does(
    recording: Path, movie: np.ndarray, tmp_path: Path
):
    directory = Detector(recording).run("df/ch0")
    table, labels = read_events(directory), event_map(directory)
    row = table.loc[2]
    np.save(tmp_path / "data.npy", movie)
    labels.tofile(tmp_path / "labels.raw")
    infos = (
        (movie.shape, movie.dtype, str(tmp_path / "data.npy")),
        (labels.shape, labels.dtype, str(tmp_path / "labels.raw")),
    )
    one = Detector(recording)
    arguments = (2, int(row.z0), int(row.z1), *infos, tmp_path / "one")
    assert one.characterize_event(*arguments, use_on_disk_sharing=True) is None
    assert one.characterize_event(*arguments, use_on_disk_sharing=True) == 2
    found = read_events(tmp_path / "one")
    for name in found.columns:
        np.testing.assert_array_equal(found.loc[2, name], row[name], err_msg=name)
    Detector.cleanup_mmap(tmp_path / "data.npy")
    assert not (tmp_path / "data.npy").exists()
    Detector.cleanup_mmap(tmp_path / "data.npy")  # removed before
    mapped = np.memmap(tmp_path / "labels.raw", np.int32, "r", shape=labels.shape)
    Detector.cleanup_mmap(mapped)
    assert not (tmp_path / "labels.raw").exists()
    with pytest.raises(InvalidValueError, match="event 99 has no voxel"):
        shared_event(one, movie, labels, 99, row, tmp_path / "none")
    assert shared_event(one, movie, labels, 2, row, tmp_path / "shared") is None
    np.testing.assert_array_equal(
        read_events(tmp_path / "shared").loc[2, "trace"], row["trace"]
    )


def shared_event(
    detector: Detector, movie, labels, event: int, row, out: Path
) -> int | None:
    memories, infos = [], []
    for array in (movie, labels):
        memory = SharedMemory(create=True, size=array.nbytes)
        np.ndarray(array.shape, array.dtype, buffer=memory.buf)[:] = array
        memories.append(memory)
        infos.append((array.shape, array.dtype, memory.name))
    try:
        return detector.characterize_event(event, int(row.z0), int(row.z1), *infos, out)
    finally:
        for memory in memories:
            memory.close()
            memory.unlink()


VARIANTS = (
    "absolute",
    "default",
    "either",
    "no_morphology",
    "objects_first_border",
    "spatial_only",
    "temporal_only",
)


@pytest.mark.parametrize("seed", [61, 62])
@pytest.mark.parametrize("variant", VARIANTS)
def test_agrees_with_the_reference(shared, tmp_path: Path, variant: str, seed: int):
    reference = json.loads(shared(f"reference/{variant}_{seed}.json").read_text())
    labels = np.load(shared(f"reference/{variant}_{seed}.npz"))["event_map"]
    with h5py.File(tmp_path / "recording.h5", "w") as file:
        file["df/ch0"] = np.load(shared(f"reference/recording_{seed}.npz"))["df"]
    directory = Detector(tmp_path / "recording.h5").run(
        "df/ch0", **reference["parameters"]
    )
    found = event_map(directory)
    assert same_partition(found, labels)
    table = read_events(directory)
    for k, event in enumerate(map(int, reference["ids"])):
        at = np.nonzero(labels == event)
        around = tuple(slice(max(0, i.min() - 1), i.max() + 2) for i in at)
        # others have their neighbour's row there
        if set(np.unique(labels[around])) <= {0, event}:
            row = table.loc[found[tuple(i[0] for i in at)]]
            check_row(
                row, {name: values[k] for name, values in reference["columns"].items()}
            )
            np.testing.assert_allclose(
                row["trace"], reference["trace"][k], rtol=1e-6, atol=1e-5
            )
            np.testing.assert_allclose(
                row["noise_mask_trace"],
                reference["noise_mask_trace"][k],
                rtol=1e-6,
                atol=1e-5,
            )


def check_row(row, expected: dict[str, float | None]) -> None:
    for name, value in expected.items():
        truth = np.nan if value is None else value
        if name == "v_signal_to_noise_ratio_fold":
            continue  # not dimensionless there; ours is the documented one
        if name == "v_fp_orientation":
            assert np.cos(2 * (row[name] - truth)) == pytest.approx(1, abs=1e-9)
        elif name == "v_signal_to_noise_ratio":
            if row["v_noise_mask_mean"] == 0:
                continue  # nothing beside the event in its box
            assert row[name] * abs(row["v_noise_mask_mean"]) == pytest.approx(
                row["v_max_height"], rel=1e-6, nan_ok=True
            )
        elif not np.isinf(truth):  # the hull of a flat mask failed there
            # sums of float32 there, of float64 here: the mean of noise is close to 0
            assert row[name] == pytest.approx(truth, rel=1e-6, abs=1e-6, nan_ok=True), (
                name
            )


def test_make_movie_is_what_the_fixture_says(movie: np.ndarray):
    np.testing.assert_array_equal(movie, make_movie())


def test_uses_what_motion_correction_recorded(
    recording: Path, movie: np.ndarray, tmp_path: Path
):
    from astrocast.io.stores.registration_store import (
        Registration,
        registration_path,
        write_registration,
    )

    bad = np.zeros(len(movie), bool)
    bad[28:32] = True
    write_registration(
        registration_path(recording, "df/ch0"),
        Registration(
            np.zeros((len(movie), 2), np.float32),
            movie[0],
            {"bad_frame": bad},
            (5, 0, 2, 1),
        ),
    )
    directory = Detector(recording, tmp_path / "auto").run(
        "df/ch0", exclude_border="auto"
    )
    labels, table = event_map(directory), read_events(directory)
    assert not labels[:, :5].any()
    assert not labels[:, :, :2].any()
    assert not labels[:, :, -1:].any()
    assert labels[:, -1:].any() == (detect(movie) > 0)[:, -1:].any()
    for _, row in table.iterrows():
        assert row["bad_frames_share"] == pytest.approx(bad[row.z0 : row.z1].mean())
    sliced = read_events(
        Detector(recording, tmp_path / "slice").run("df/ch0", z_slice=(10, 60))
    )
    assert sliced["bad_frames_share"].max() == pytest.approx(
        4 / sliced["dz"][sliced["bad_frames_share"].idxmax()]
    )


def test_recovers_the_events_of_a_simulated_recording(tmp_path: Path):
    from astrocast.simulation import SimulationSettings, score, simulate

    truth = simulate(
        SimulationSettings(
            seed=11, frames=150, rows=80, columns=80, events=10, motion=0.0
        )
    )
    scale = 100 / truth.clean.max()
    noise = np.random.default_rng(0).normal(0, 6, truth.clean.shape)
    np.save(
        tmp_path / "simulated.npy", (truth.clean * scale + noise).astype(np.float32)
    )
    found = event_map(Detector(tmp_path / "simulated.npy").run())
    # the truth ends at a quarter of each peak; the default follows peaks almost to
    # their foot, so outlines are wider
    assert score(truth.labels, found, iou=0.25).f1 >= 0.9


def test_adjust_for_noise_without_a_threshold_says_that_it_has_no_effect(
    recording, tmp_path
) -> None:
    with pytest.warns(AstrocastWarning, match="adjust_for_noise has no effect") as said:
        Detector(recording, tmp_path / "a").run("df/ch0", adjust_for_noise=True)
    assert said[0].filename == __file__
