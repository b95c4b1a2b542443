"""Columns for publication of events whose height, times and place are known."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from astrocast.analysis import Events
from astrocast.detection import Detector
from astrocast.io import create_recording
from astrocast.io.recording import Metadata

FRAMES, SIZE, F0, HEIGHT = 200, 48, 100.0, 60.0
RADIUS, ONSET = 7.0, (60.0, 130.0)


def known_course(onset: float) -> np.ndarray:
    """Four frames up, four at the top, then a decay with a time constant of 8."""
    t = np.arange(FRAMES) - onset
    return np.where(t < 8, np.clip(t / 4, 0, 1), np.exp(-(t - 8) / 8))


def profile(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Height of the event over its centre; a quarter at the radius."""
    return np.exp(-np.log(4) * (np.hypot(y, x) / RADIUS) ** 3)


@pytest.fixture(scope="module")
def mean_height() -> float:
    """True peak of dF: the mean over the footprint, all pixels above a quarter."""
    heights = profile(*np.mgrid[-12:13, -12:13])
    return HEIGHT * float(heights[heights >= 0.25].mean())


@pytest.fixture(scope="module")
def movie() -> np.ndarray:
    """Two events, the second one cut by the end of the recording."""
    rng = np.random.default_rng(8)
    y, x = np.mgrid[:SIZE, :SIZE]
    light = np.full((FRAMES, SIZE, SIZE), F0)
    for (row, column), onset in zip(((14, 15), (33, 32)), (60.0, 192.0), strict=True):
        light += (
            HEIGHT * known_course(onset)[:, None, None] * profile(y - row, x - column)
        )
    return rng.poisson(light).astype(np.uint16)


def detected(path: Path, movie: np.ndarray, metadata: Metadata | None) -> pd.DataFrame:
    with create_recording(
        path, "data/ch0", movie.shape, movie.dtype, metadata=metadata
    ) as w:
        w.write(0, movie)
    store = Detector(path).run("data/ch0", method="calibrated")
    return pd.read_csv(store / "events.csv")


@pytest.fixture(scope="module")
def events(movie: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    known = Metadata(pixel_size=(0.5, 0.5), frame_rate=10.0)
    path = tmp_path_factory.mktemp("known") / "movie.h5"
    return detected(path, movie, known)


def test_amplitudes_are_means_over_the_footprint(
    events: pd.DataFrame, mean_height: float
) -> None:
    first = events.iloc[0]
    assert first.peak_df == pytest.approx(mean_height, rel=0.08)
    assert first.peak_dff == pytest.approx(mean_height / F0, rel=0.08)
    assert first.f0 == pytest.approx(F0, rel=0.01)
    pixels = np.pi * RADIUS**2
    assert first.noise_df == pytest.approx(np.sqrt(F0 / pixels), rel=0.4)
    assert first.snr == pytest.approx(first.peak_df / first.noise_df)


def test_times_and_places_are_in_seconds_and_micrometres(events: pd.DataFrame) -> None:
    first = events.iloc[0]
    assert first.onset_s == pytest.approx((60 + 0.4) / 10, abs=0.1)
    assert first.rise_s == pytest.approx(0.32, abs=0.1)
    assert first.decay_s == pytest.approx(0.8 * np.log(9), rel=0.15)
    width = (2 + 4 + 8 * np.log(2)) / 10
    assert first.half_width_s == pytest.approx(width, rel=0.1)
    assert first.duration_s == pytest.approx(first.offset_s - first.onset_s)
    assert first.area_um2 == pytest.approx(np.pi * RADIUS**2 / 4, rel=0.1)
    assert first.x_um == pytest.approx((14 + 0.5) / 2, abs=0.3)
    assert first.y_um == pytest.approx((15 + 0.5) / 2, abs=0.3)


def test_a_cut_event_says_so_and_has_no_end(
    events: pd.DataFrame, mean_height: float
) -> None:
    first, last = events.iloc[0], events.iloc[-1]
    flags = ["touches_start", "touches_end", "touches_border"]
    assert first[flags].tolist() == [0, 0, 0]
    assert last[flags].tolist() == [0, 1, 0]
    assert np.isnan(last.offset_s)
    assert np.isnan(last.duration_s)
    assert last.peak_df == pytest.approx(mean_height, rel=0.1)


def test_frames_and_pixels_where_nothing_else_is_known(
    movie: np.ndarray, events: pd.DataFrame, tmp_path: Path
) -> None:
    found = detected(tmp_path / "plain.h5", movie, None)
    assert "onset_s" not in found
    assert "area_um2" not in found
    np.testing.assert_allclose(found.onset_frames, events.onset_s * 10)
    np.testing.assert_allclose(found.area_px, events.area_um2 * 4)
    np.testing.assert_allclose(found.auc_frames, events.auc * 10)
    np.testing.assert_allclose(found.speed_px_frame, events.speed_um_s / 5)


def test_counts_of_the_camera_do_not_change_df(
    movie: np.ndarray, events: pd.DataFrame, tmp_path: Path
) -> None:
    lifted = detected(tmp_path / "lifted.h5", movie + np.uint16(400), None)
    np.testing.assert_allclose(lifted.peak_df, events.peak_df, rtol=0.02)
    assert lifted.peak_dff[0] == pytest.approx(events.peak_df[0] / (F0 + 400), rel=0.05)


def test_the_default_of_physiology_agrees_with_the_table(
    movie: np.ndarray, tmp_path: Path
) -> None:
    path = tmp_path / "movie.h5"
    with create_recording(path, "data/ch0", movie.shape, movie.dtype) as writer:
        writer.write(0, movie)
    found = Events(Detector(path).run("data/ch0", method="calibrated"))
    columns = found.physiology()
    for name, published in (
        ("v_onset_time", "onset_frames"),
        ("v_decay_time", "decay_frames"),
        ("v_half_width", "half_width_frames"),
        ("v_dff_max", "peak_dff"),
        ("v_auc", "auc_frames"),
    ):
        np.testing.assert_allclose(columns[name], found.events[published])
    assert not columns["v_onset_time"].isna().any()
