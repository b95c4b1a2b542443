"""The movie moves by a known amount; the correction finds it and undoes it."""

from __future__ import annotations

import inspect
import warnings
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import fft, ndimage

from astrocast.errors import InvalidValueError, NotRunError, OutputExistsError
from astrocast.io import open_recording
from astrocast.io.stores.registration_store import read_registration
from astrocast.preparation import MotionCorrection
from astrocast.preparation.motion_moving import frames_moved
from astrocast.settings.motion import MotionSettings

BORDER = 16


def texture(
    shape: tuple[int, int], seed: int = 0, size: float = 1.6
) -> NDArray[np.float64]:
    """A smooth random texture between 0.3 and 1.3, periodic."""
    noise = np.random.default_rng(seed).standard_normal(shape)
    smooth = ndimage.gaussian_filter(noise, size, mode="wrap")
    return 0.3 + (smooth - smooth.min()) / (smooth.max() - smooth.min())


def moved(
    scene: NDArray[np.float64], shifts: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The scene moved down and right by each shift (exact, by its Fourier series), its
    border cut off.
    """
    spectrum = fft.rfft2(scene)
    rows, columns = fft.fftfreq(scene.shape[0])[:, None], fft.rfftfreq(scene.shape[1])
    waves = [np.exp(-2j * np.pi * (rows * y + columns * x)) for y, x in shifts]
    inside = (slice(BORDER, -BORDER), slice(BORDER, -BORDER))
    return np.stack([fft.irfft2(spectrum * w, s=scene.shape)[inside] for w in waves])


def walk(n: int, reach: float = 6, seed: int = 0) -> NDArray[np.float64]:
    steps = np.cumsum(np.random.default_rng(seed).normal(0, 0.8, (n, 2)), axis=0)
    return reach * np.tanh(steps / reach)


def recorded(
    clean: NDArray[np.float64], photons: float = 40, seed: int = 1
) -> NDArray[np.uint16]:
    return (
        np.random.default_rng(seed)
        .poisson(np.clip(clean, 0, None) * photons)
        .astype(np.uint16)
    )


def error(found: NDArray[Any], truth: NDArray[Any]) -> NDArray[np.float64]:
    """Distance per axis; where the template lies is not defined, so the median offset
    is taken out.
    """
    difference = found - truth
    return np.abs(difference - np.median(difference, axis=0))


@pytest.fixture(scope="module")
def walking() -> tuple[NDArray[np.uint16], NDArray[np.float64]]:
    """60 frames of 128 x 112 pixels, 40 photons per pixel, walking up to 6 pixels."""
    shifts = walk(60)
    return recorded(moved(texture((160, 144)), shifts)), shifts


def test_rigid_shifts_of_a_walk_are_found(
    walking: tuple[NDArray[Any], NDArray[Any]],
) -> None:
    movie, truth = walking
    mc = MotionCorrection()
    mc.run(movie)
    assert mc.shifts.shape == (60, 2)
    assert np.median(error(mc.shifts, truth)) < 0.03
    assert error(mc.shifts, truth).max() < 0.15
    assert not mc.bad_frames.any()
    assert np.all(
        mc.quality["correlation_after"] > mc.quality["correlation_before"] - 0.01
    )


def test_file_to_file(
    walking: tuple[NDArray[Any], NDArray[Any]], tmp_path: Path
) -> None:
    movie, _ = walking
    path = tmp_path / "recording.h5"
    with h5py.File(path, "w") as file:
        file["data/ch0"] = movie
    mc = MotionCorrection()
    mc.run(path, loc="data/ch0")
    assert mc.save(output=path, loc="mc/ch0") is None
    in_memory = mc.save()
    with open_recording(path, "mc/ch0") as corrected:
        assert corrected.dtype == np.float32
        np.testing.assert_array_equal(corrected.to_array(), in_memory)
    stored = read_registration(path, "mc/ch0")
    assert stored is not None
    np.testing.assert_allclose(stored.shifts, mc.shifts, atol=1e-5)
    assert stored.border == mc.border
    with pytest.raises(OutputExistsError):
        mc.save(output=path, loc="mc/ch0")


def test_the_corrected_movie_is_stored_as_asked(
    walking: tuple[NDArray[Any], NDArray[Any]], tmp_path: Path
) -> None:
    mc, path = MotionCorrection(), tmp_path / "out.h5"
    mc.run(walking[0])
    mc.save(path, loc="mc/ch0", chunks=(7, 30, 20), compression="gzip")
    mc.save(path, loc="mc/ch1", chunk_strategy="XY")
    mc.save(path, loc="mc/ch2", chunk_strategy="Z", dtype="int16")
    expected = mc.save()
    assert expected is not None
    with h5py.File(path) as file:
        one, two, three = (file[f"mc/ch{i}"] for i in range(3))
        assert (one.chunks, one.compression) == ((7, 30, 20), "gzip")
        assert two.chunks[1:] == expected.shape[1:]
        assert two.compression is None
        assert three.chunks[0] == len(expected)
        assert tuple(one.attrs["border"]) == mc.border
        np.testing.assert_array_equal(one[:], expected)
        np.testing.assert_array_equal(three[:], np.rint(expected))
    mc.save(path, loc="mc/ch2", overwrite=True)
    with h5py.File(path) as file:
        assert file["mc/ch2"].dtype == np.float32


def test_saving_before_running_says_so() -> None:
    with pytest.raises(NotRunError, match=r"run\(\)"):
        MotionCorrection().save()


def test_settings_are_the_signature() -> None:
    parameters = dict(
        list(inspect.signature(MotionCorrection.run).parameters.items())[3:]
    )
    declared = MotionSettings.model_fields
    for name, field in declared.items():
        assert parameters[name].default == field.default, name


def test_everything_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(InvalidValueError, match=r"max_shifts.*niter_rig"):
        MotionCorrection().run(np.zeros((3, 16, 16)), max_shifts=(-1, 2), niter_rig=0)


def test_what_is_moved_at_a_time_is_whole_chunks() -> None:
    recording = open_recording(np.zeros((400, 64, 64), np.uint16))
    assert frames_moved(recording, 1) == 400  # small frames: all that the budget holds
    wide = open_recording(np.zeros((400, 512, 512), np.uint8))
    assert frames_moved(wide, 1) == 8
    assert frames_moved(wide, 20) == 20
    wide.chunk_frames = 12
    assert frames_moved(wide, 20) == 24


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, []),
        ({"bigtiff": False}, ["bigtiff"]),
        ({"splits_rig": 3}, ["splits_rig"]),
        ({"splits_rig": 3, "num_splits_to_process_rig": 2}, []),
        ({"strides": (32, 32), "splits_els": 3}, ["strides", "splits_els"]),
        ({"strides": (32, 32), "pw_rigid": True}, []),
        ({"splits_rig": 3, "pw_rigid": True}, ["splits_rig"]),
    ],
)
def test_a_parameter_without_effect_is_named_once(options, names) -> None:
    settings = MotionSettings(**options)
    assert sorted(settings.without_effect()) == sorted(names)
    movie = np.random.default_rng(0).random((6, 32, 32)).astype(np.float32)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        MotionCorrection().run(movie, max_shifts=(2, 2), **options)
    said = [str(w.message).split()[0] for w in caught if w.filename == __file__]
    assert sorted(said) == sorted(names)
