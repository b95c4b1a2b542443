"""Onsets of pixels, and which hills are one event by them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from astrocast.kernels.calibrated.arrival import join_by_arrival
from astrocast.kernels.calibrated.join_rule import JoinRule
from astrocast.kernels.calibrated.transients import find_transients, onset_differences
from astrocast.kernels.segmentation.watershed import face_neighbours, find_hills

SHAPE = (60, 24, 60)
T, Y, X = np.mgrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]].astype(np.float32)


def events_of(volume: np.ndarray, sd: float = 0.01) -> tuple[np.ndarray, np.ndarray]:
    """Return part and event of each voxel of a volume whose noise is ``sd``."""
    voxels = np.flatnonzero(volume > max(0.05, 2.5 * sd))
    values = volume.ravel()[voxels].astype(np.float32)
    noise = np.full(len(values), sd, np.float32)
    hills = find_hills(voxels, values, noise, volume.shape, 2.0, 0.1)
    found = join_by_arrival(hills, voxels, values, noise, volume.shape, JoinRule())
    out = []
    for names in found:
        labels = np.zeros(volume.shape, np.int32)
        labels.ravel()[voxels] = names[hills.hill]
        out.append(labels)
    return out[0], out[1]


def course(since: np.ndarray) -> np.ndarray:
    """Return a transient that rises in three frames and decays."""
    return np.clip(since / 3, 0, 1) * np.exp(-np.maximum(since - 6, 0) / 5)


def numbers(labels: np.ndarray, where: np.ndarray) -> set[int]:
    return set(np.unique(labels[where & (labels > 0)]).tolist())


def test_a_front_through_tissue_of_varying_height_is_one_event_of_several_parts() -> (
    None
):
    height = 0.75 + 0.25 * np.cos(X / 4)
    wave = height * course(T - 5 - X / 2) * np.exp(-((Y - 12) ** 2) / 18)
    part, event = events_of(wave)
    high = wave > 0.3
    assert len(numbers(event, high)) == 1
    assert len(numbers(part, high)) > 1
    # each part lies in one event
    for n in numbers(part, part > 0):
        assert len(numbers(event, part == n)) == 1


@pytest.mark.parametrize("lag", [12.0, 20.0])
def test_neighbours_that_begin_at_other_times_stay_two(lag: float) -> None:
    left = np.exp(-((Y - 12) ** 2 + (X - 20) ** 2) / 60)
    right = np.exp(-((Y - 12) ** 2 + (X - 34) ** 2) / 60)
    both = np.maximum(left * course(T - 5), right * course(T - 5 - lag))
    _, event = events_of(both)
    assert event[8, 12, 20] != event[8 + int(lag), 12, 34]


def test_onset_is_where_half_of_the_peak_is_reached() -> None:
    values = np.array([0, 2, 6, 10, 8, 3, 1, 0.5], np.float32)
    near = face_neighbours(np.arange(8), 1, 1)
    found = find_transients(np.arange(8), near, values, np.full(8, 0.1, np.float32))
    assert found.onset.tolist() == [1.75]
    assert found.peak.tolist() == [3]


def test_onset_differences_are_those_of_a_plain_loop() -> None:
    rng = np.random.default_rng(0)
    pixel = rng.integers(0, 200, 150)
    hill = rng.integers(0, 4, 150).astype(np.int32)
    onset = rng.normal(size=150).astype(np.float32)
    pairs = onset_differences(pixel, hill, onset, 20)
    found = sorted(zip(*(values.tolist() for values in pairs), strict=True))
    expected = []
    for i in range(150):
        for j in range(150):
            right = pixel[j] - pixel[i] == 4 and pixel[i] % 20 + 4 < 20
            if hill[i] and hill[j] and (right or pixel[j] - pixel[i] == 80):
                low, high = sorted((int(hill[i]), int(hill[j])))
                expected.append((low, high, float(onset[j] - onset[i]), bool(right)))
    assert found == sorted(expected)


@pytest.mark.parametrize("seed", range(3))
def test_neighbours_a_few_frames_apart_stay_two_in_noise(seed: int) -> None:
    """Noise makes onsets differ within a hill; only a front does in one direction."""
    left = np.exp(-((Y - 12) ** 2 + (X - 20) ** 2) / 30)
    right = np.exp(-((Y - 12) ** 2 + (X - 32) ** 2) / 30)
    both = np.maximum(left * course(T - 5), right * course(T - 7.5))
    noise = np.random.default_rng(seed).normal(size=SHAPE)
    noise = ndimage.gaussian_filter(noise, 1.5)
    _, event = events_of(both + noise * 0.06 / noise.std(), 0.06)
    assert event[9, 12, 20] != event[11, 12, 32]
