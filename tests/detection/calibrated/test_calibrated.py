"""The calibrated detection, from a recording with known events to its store."""

from __future__ import annotations

from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

from astrocast.detection import Detector
from astrocast.detection.calibrated import batches, candidates, divide, segment
from astrocast.detection.calibrated.segment import calibrated_labels
from astrocast.errors import AstrocastWarning, OutputError
from astrocast.io import create_recording, open_recording
from astrocast.io.stores.event_table import read_events
from astrocast.settings.calibrated import CalibratedSettings

SHAPE = (140, 48, 52)
#: frame of the peak, row, column; 12 frames and 10 pixels wide at a quarter of the peak
EVENTS = ((30, 14, 14), (60, 34, 36), (100, 16, 36))


def true_events() -> np.ndarray:
    z, y, x = np.mgrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    out = np.zeros((len(EVENTS), *SHAPE))
    for k, (t, row, column) in enumerate(EVENTS):
        out[k] = np.exp(
            -((z - t) ** 2) / 26 - ((y - row) ** 2 + (x - column) ** 2) / 18
        )
    return out


def make_movie(seed: int, photons: float, dff: float) -> np.ndarray:
    """A bleaching scene as a camera sees it: Poisson noise, an offset of 90 counts, 2
    counts per photon.
    """
    rng = np.random.default_rng(seed)
    still = photons * np.clip(
        1 + ndimage.gaussian_filter(rng.normal(size=SHAPE[1:]), 2) * 3, 0.4, 3
    )
    fading = 0.8 + 0.2 * np.exp(-np.arange(SHAPE[0]) / 60)
    light = still * fading[:, None, None] * (1 + dff * true_events().sum(axis=0))
    return (90 + 2 * rng.poisson(light)).astype(np.uint16)


def overlap(found: np.ndarray, truth: np.ndarray) -> float:
    return float((found & truth).sum() / (found | truth).sum())


@pytest.mark.parametrize(
    ("photons", "dff"), [(12.0, 0.6), (200.0, 0.5)], ids=["dark", "bright"]
)
def test_events_are_found_with_their_extent_whatever_the_units(
    photons: float, dff: float
) -> None:
    labels, confidence = calibrated_labels(open_recording(make_movie(0, photons, dff)))
    assert labels.max() == len(EVENTS) == len(confidence)
    assert confidence.min() > 0.99
    for event in true_events():
        own = labels[np.unravel_index(event.argmax(), SHAPE)]
        assert own > 0
        assert overlap(labels == own, event >= 0.25) > 0.55


def test_a_recording_in_other_units_gives_the_same_events() -> None:
    movie = make_movie(1, 40.0, 0.6)
    first, _ = calibrated_labels(open_recording(movie))
    second, _ = calibrated_labels(
        open_recording((movie.astype(np.float32) - 90) * 0.01)
    )
    assert overlap(first > 0, second > 0) > 0.99


def test_nothing_is_found_in_noise() -> None:
    labels, confidence = calibrated_labels(open_recording(make_movie(2, 20.0, 0.0)))
    assert labels.max() == 0
    assert len(confidence) == 0


def test_blocks_and_threads_do_not_change_the_events(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    movie = make_movie(3, 30.0, 0.6)
    whole, _ = calibrated_labels(open_recording(movie))
    monkeypatch.setattr(candidates, "_BLOCK_VOXELS", 17 * SHAPE[1] * SHAPE[2])
    monkeypatch.setattr(batches, "_BATCH_VOXELS", 1)
    with ThreadPoolExecutor(3) as pool:
        blocks, _ = calibrated_labels(open_recording(movie), pool=pool)
    np.testing.assert_array_equal(blocks, whole)


def test_stretches_give_about_the_events_of_the_whole() -> None:
    movie = make_movie(4, 30.0, 0.7)
    whole, _ = calibrated_labels(open_recording(movie))
    cut, _ = calibrated_labels(open_recording(movie), CalibratedSettings(stretch=70))
    assert cut.max() == whole.max() == len(EVENTS)
    assert overlap(cut > 0, whole > 0) > 0.85


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    movie = make_movie(8, 30.0, 0.7)
    path = tmp_path / "recording.h5"
    with create_recording(path, "data/ch0", movie.shape, movie.dtype) as writer:
        writer.write(0, movie)
    return path


def test_the_detector_writes_events_with_their_confidence(recording: Path) -> None:
    directory = Detector(recording).run("data/ch0", method="calibrated")
    table = read_events(directory)
    assert len(table) == len(EVENTS)
    assert table["confidence"].between(0.99, 1).all()
    again = Detector(recording).run("data/ch0", method="calibrated")
    assert again == directory


def test_parts_lie_in_their_events(recording: Path) -> None:
    directory = Detector(recording).run(
        "data/ch0", method="calibrated", z_slice=(10, SHAPE[0])
    )
    table = read_events(directory)
    parts = pd.read_parquet(directory / "parts.parquet")
    assert set(parts["event"]) == set(table.index)
    assert (table["kind"] == "local").all()
    own = table.loc[parts["event"]]
    for axis in "zxy":
        assert (parts[axis].to_numpy() >= own[f"{axis}0"].to_numpy()).all()
        assert (parts[axis].to_numpy() < own[f"{axis}1"].to_numpy()).all()


def test_an_interrupted_run_goes_on(
    recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = read_events(
        Detector(recording, recording.parent / "whole.roi").run(
            "data/ch0", method="calibrated"
        )
    )
    monkeypatch.setattr(candidates, "_BLOCK_VOXELS", 35 * SHAPE[1] * SHAPE[2])
    kept, calls = candidates.signal_of, []

    def stop_at_the_third(*args, **kwargs):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return kept(*args, **kwargs)

    monkeypatch.setattr(candidates, "signal_of", stop_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        Detector(recording).run("data/ch0", method="calibrated")
    table = read_events(Detector(recording).run("data/ch0", method="calibrated"))
    assert len(calls) == 2 + 1 + 2  # the two finished blocks were not computed again
    assert table["v_area"].tolist() == whole["v_area"].tolist()


class RunsAtOnce(Executor):
    """Executor without threads, so that a task is done when it is submitted."""

    def __init__(self, *args, **kwargs) -> None:
        pass

    def submit(self, task, /, *args, **kwargs):
        future: Future = Future()
        try:
            future.set_result(task(*args, **kwargs))
        except OutputError as error:
            future.set_exception(error)
        return future


def test_a_full_disk_stops_the_run_before_the_other_events_are_divided(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(candidates, "_BLOCK_VOXELS", 17 * SHAPE[1] * SHAPE[2])
    monkeypatch.setattr(batches, "_BATCH_VOXELS", 1)  # a batch for each candidate
    monkeypatch.setattr(segment, "ThreadPoolExecutor", RunsAtOnce)
    divided, kept = [], divide.find_events

    def count(*args):
        divided.append(1)
        return kept(*args)

    def full(*args):
        raise OutputError("no space left")

    monkeypatch.setattr(divide, "find_events", count)
    monkeypatch.setattr(segment, "write_layers", full)
    with pytest.raises(OutputError, match="no space left"):
        calibrated_labels(open_recording(make_movie(3, 30.0, 0.6)))
    assert len(divided) == 1  # of three: the first blocks are written after it


def test_voxels_that_are_no_numbers_are_no_events(tmp_path: Path) -> None:
    movie = make_movie(6, 30.0, 0.7).astype(np.float32)
    movie[20:120, 14, 14] = np.nan
    labels, _ = calibrated_labels(open_recording(movie))
    assert labels.max() == len(EVENTS)
    assert not labels[20:120, 14, 14].any()
    path = tmp_path / "recording.npy"
    np.save(path, movie)
    with pytest.warns(AstrocastWarning, match="100 voxels"):
        Detector(path).run(method="calibrated")


def test_nothing_is_found_in_the_border(recording: Path) -> None:
    directory = Detector(recording).run(
        "data/ch0", method="calibrated", exclude_border=12
    )
    table = read_events(directory)
    assert len(table) > 0
    assert table["x0"].min() >= 12
    assert table["y0"].min() >= 12


@pytest.mark.parametrize("kind", ["unequal photons", "heavy tails"])
def test_nothing_is_found_in_noise_that_is_not_normal(kind: str) -> None:
    """An empty scene of 5 photons behind an electron multiplier, or with noise that has
    no fourth moment.
    """
    rng = np.random.default_rng(9)
    shape = (150, 96, 96)
    light = 5 * np.clip(
        1 + ndimage.gaussian_filter(rng.normal(size=shape[1:]), 2) * 3, 0.4, 3
    )
    photons = rng.poisson(np.broadcast_to(light, shape))
    movie = (
        rng.gamma(0.3 * photons + 1e-9) / 0.3
        if kind == "unequal photons"
        else photons + rng.standard_t(4, shape) * 3
    )
    labels, _ = calibrated_labels(open_recording(movie.astype(np.float32)))
    assert labels.max() == 0


def test_noise_that_is_alike_in_time_is_named(recording: Path, tmp_path: Path) -> None:
    movie = ndimage.gaussian_filter1d(
        make_movie(8, 30.0, 0.7).astype(np.float32), 2, axis=0
    )
    path = tmp_path / "smoothed.npy"
    np.save(path, movie)
    with pytest.warns(AstrocastWarning, match="denoised or smoothed"):
        Detector(path).run(method="calibrated")
    # warnings are errors: there is none
    Detector(recording).run("data/ch0", method="calibrated")
