"""Bleach correction: every input, every block size, equals the plain definition."""

from __future__ import annotations

import inspect
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astrocast.errors import (
    AstrocastWarning,
    InvalidValueError,
    NotRunError,
    OutputExistsError,
)
from astrocast.io import create_recording, open_recording
from astrocast.preparation import Delta, baseline_kinds, baselines
from astrocast.settings.delta import DeltaSettings


def plain(
    movie: np.ndarray, window: int, method: str = "dF", floor: float = 1.0
) -> np.ndarray:
    """The definition, frame by frame."""
    n = len(movie)
    past = np.stack(
        [movie[max(0, t - window) : t + 1].min(axis=0) for t in range(n)]
    ).astype(np.float64)
    future = np.stack([movie[t : t + window + 1].min(axis=0) for t in range(n)]).astype(
        np.float64
    )
    background = np.maximum(past, future)
    if method == "background":
        return background.astype(np.float32)
    above = movie - background
    return (
        above
        if method == "dF"
        else above.astype(np.float32) / np.maximum(background, floor)
    ).astype(np.float32)


def movie_of(n: int, seed: int = 0, dtype: str = "uint16") -> np.ndarray:
    return np.random.default_rng(seed).integers(50, 4000, (n, 5, 7)).astype(dtype)


@given(
    n=st.integers(2, 60),
    window=st.integers(1, 70),
    depth=st.integers(1, 20),
    kept=st.booleans(),
    method=st.sampled_from(["background", "dF", "dFF"]),
    dtype=st.sampled_from(["uint16", "float32"]),
)
def test_streaming_in_blocks_equals_the_definition(
    n: int, window: int, depth: int, kept: bool, method: str, dtype: str
) -> None:
    movie = movie_of(n, seed=n, dtype=dtype)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(baselines, "frames_per_block", lambda source, halo=(0, 0): depth)
        patch.setattr(baselines, "CACHED_BYTES", 1 << 30 if kept else 0)
        found = Delta(movie).run(window, method, overwrite_first_frame=False)
    np.testing.assert_allclose(found, plain(movie, window, method), rtol=1e-6)
    assert found.dtype == np.float32


@settings(max_examples=15)
@given(window=st.integers(1, 30), depth=st.integers(1, 12))
def test_first_frame_is_replaced_whatever_the_blocks(window: int, depth: int) -> None:
    movie = movie_of(20)
    expected = plain(movie, window)
    expected[0] = expected[1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(baselines, "frames_per_block", lambda source, halo=(0, 0): depth)
        np.testing.assert_array_equal(Delta(movie).run(window), expected)
        np.testing.assert_array_equal(
            Delta(da.from_array(movie)).run(window, chunks=(depth, 3, 3)).compute(),
            expected,
        )


def test_result_follows_the_kind_of_the_input(tmp_path: Path) -> None:
    movie = movie_of(30)
    path = tmp_path / "movie.h5"
    with create_recording(path, "data/ch0", movie.shape, movie.dtype) as writer:
        writer.write(0, movie)
    expected = Delta(movie).run(8)
    assert isinstance(expected, np.ndarray)
    for data, loc in (
        (da.from_array(movie), ""),
        (path, "data/ch0"),
        (str(path), "data/ch0"),
    ):
        found = Delta(data, loc).run(8)
        assert isinstance(found, da.Array)
        np.testing.assert_array_equal(found.compute(), expected)


@pytest.mark.parametrize(
    "target", ["same.h5", "other.h5", "other.zarr", "other.tif", "other.npy"]
)
def test_save_streams_the_result(tmp_path: Path, target: str) -> None:
    movie = movie_of(30)
    source = tmp_path / "same.h5"
    with create_recording(source, "data/ch0", movie.shape, movie.dtype) as writer:
        writer.write(0, movie)
    delta = Delta(source, "data/ch0")
    delta.run(8)
    delta.save(tmp_path / target, loc="df/ch0")
    with open_recording(
        tmp_path / target, "df/ch0" if target.endswith(("h5", "zarr")) else None
    ) as saved:
        np.testing.assert_array_equal(saved.to_array(), Delta(movie).run(8))
    with pytest.raises(OutputExistsError):
        delta.save(tmp_path / target, loc="df/ch0")
    delta.save(tmp_path / target, loc="df/ch0", overwrite=True)


def test_a_slope_does_not_pull_the_background_down() -> None:
    bleaching = np.linspace(1000, 500, 200).reshape(-1, 1, 1).astype(np.float32)
    signal = Delta(bleaching).run(30)
    assert np.abs(signal).max() < 1e-3


def test_unsigned_input_does_not_wrap_and_input_is_kept() -> None:
    movie = movie_of(25)
    kept = movie.copy()
    assert Delta(movie).run(5).min() >= 0
    np.testing.assert_array_equal(movie, kept)


def test_integers_beyond_float32_keep_their_difference() -> None:
    movie = np.full((6, 2, 2), 2**30 + 1, np.int64)
    movie[3] += 5
    assert Delta(movie).run(2).max() == 5.0


def test_dff_is_floored_and_counted() -> None:
    movie = np.zeros((10, 2, 2), np.uint16)
    movie[5] = 7
    delta = Delta(movie)
    with pytest.warns(AstrocastWarning, match="40 voxels have a background below 1"):
        found = delta.run(3, "dFF")
    assert np.isfinite(found).all()
    assert found.max() == 7.0
    assert delta.floored == 40


def test_tiledb_is_overwritten_in_place_with_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("tiledb")
    movie = movie_of(12)
    path = tmp_path / "movie.tdb"
    with create_recording(path, None, movie.shape, movie.dtype) as writer:
        writer.write(0, movie)
    delta = Delta(path)
    with pytest.warns(AstrocastWarning, match="is overwritten with its dF"):
        found = delta.run(4)
    expected = Delta(movie).run(4)
    np.testing.assert_array_equal(found.compute(), expected)
    with open_recording(path) as stored:
        np.testing.assert_array_equal(stored.to_array(), expected)
    delta.save(tmp_path / "kept.h5", loc="df")
    with open_recording(tmp_path / "kept.h5", "df") as saved:
        np.testing.assert_array_equal(saved.to_array(), expected)


def bleached(n: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """A field that bleaches with two known time constants, with noise of 5 and one
    event of 80 in a corner.
    """
    t = np.arange(n)
    decay = 200 + 100 * np.exp(-t / 25) + 150 * np.exp(-t / 180)
    truth = np.repeat(decay, 64).reshape(n, 8, 8) * np.linspace(0.5, 1.5, 64).reshape(
        8, 8
    )
    movie = truth + np.random.default_rng(1).normal(0, 5, truth.shape)
    movie[100:120, :2, :2] += 80
    return movie.astype(np.float32), truth


@pytest.mark.parametrize(
    ("baseline", "low", "high"),
    # in standard deviations of the noise: a minimum and a low percentile lie below the
    # truth, the others do not
    [
        ("minimum", -2.0, -1.0),
        ("percentile", -2.2, -1.0),
        ("corrected_minimum", -0.5, 0.5),
        ("double_exponential", -0.5, 0.5),
    ],
)
def test_each_baseline_recovers_the_background(
    baseline: str, low: float, high: float
) -> None:
    movie, truth = bleached()
    found = Delta(movie).run(
        20, "background", baseline=baseline, overwrite_first_frame=False
    )
    quiet = np.s_[40:260, 2:, 2:]
    assert low < np.median(found[quiet] - truth[quiet]) / 5.0 < high


@pytest.mark.parametrize(
    "baseline", ["percentile", "corrected_minimum", "exponential", "double_exponential"]
)
def test_chunked_equals_whole_for_every_baseline(baseline: str) -> None:
    movie, _ = bleached(80)
    whole = Delta(movie).run(9, baseline=baseline)
    lazy = Delta(da.from_array(movie, chunks=(17, 8, 8))).run(
        9, baseline=baseline, chunks=(13, 3, 5)
    )
    np.testing.assert_allclose(lazy.compute(), whole, atol=1e-3)
    with pytest.MonkeyPatch.context() as patch:
        for module in (baselines, baseline_kinds):
            patch.setattr(module, "frames_per_block", lambda source, halo=(0, 0): 7)
        np.testing.assert_allclose(
            Delta(movie).run(9, baseline=baseline), whole, atol=1e-3
        )


def test_percentile_and_smooth_have_an_effect() -> None:
    movie, _ = bleached(60)
    low, high = (
        Delta(movie).run(9, "background", baseline="percentile", percentile=p)
        for p in (5.0, 80.0)
    )
    assert (high >= low).all()
    rough, fine = (
        Delta(movie).run(9, "background", baseline="corrected_minimum", smooth=s)
        for s in (1, 11)
    )
    assert np.diff(fine, axis=0).std() < np.diff(rough, axis=0).std()


def test_bad_input_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InvalidValueError, match="one frame"):
        Delta(movie_of(1)).run(3)
    with pytest.raises(InvalidValueError, match=r"window: .* found 0"):
        Delta(movie_of(5)).run(0)
    holes = movie_of(9, dtype="float32")
    holes[4, 1, 1] = np.nan
    with pytest.raises(
        InvalidValueError, match="1 values are NaN or infinite, the first in frame 4"
    ):
        Delta(holes).run(3)
    with pytest.raises(NotRunError):
        Delta(movie_of(5)).save(tmp_path / "x.h5")
    with pytest.raises(ValueError, match="has to be a path, an array"):
        Delta(3).run(3)


@pytest.mark.parametrize("baseline", ["minimum", "percentile"])
@pytest.mark.parametrize("frame", [3, 5, 8])
def test_invalid_values_in_frames_beside_a_block_are_named(baseline, frame) -> None:
    holes = movie_of(12, dtype="float32")
    holes[frame, 1, 1] = np.nan
    chosen = DeltaSettings(window=3, baseline=baseline)
    corrected = baseline_kinds.baseline_recording(open_recording(holes), chosen)
    with pytest.raises(InvalidValueError, match=f"the first in frame {frame}"):
        corrected.read(5, 7)


def test_signature_equals_the_settings() -> None:
    parameters = dict(inspect.signature(Delta.run).parameters)
    parameters.pop("self")
    fields = DeltaSettings.model_fields
    assert list(parameters) == list(fields)
    for name, parameter in parameters.items():
        if not fields[name].is_required():
            assert parameter.default == fields[name].default, name
