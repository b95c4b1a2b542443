"""Conversion: every parameter of the contract has an effect, memory is bounded, nothing
wraps round.
"""

from __future__ import annotations

import inspect
import json
from pathlib import Path

import dask.array as da
import h5py
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from astrocast.errors import (
    AstrocastWarning,
    DatasetNotFoundError,
    InvalidValueError,
    OutputExistsError,
)
from astrocast.io import Metadata, create_recording, open_recording
from astrocast.kernels.frames.convert import saturate
from astrocast.kernels.frames.resample import resample
from astrocast.preparation import Input
from astrocast.settings.conversion import ConversionSettings


def movie_of(frames: int = 12, rows: int = 10, columns: int = 14) -> np.ndarray:
    return (
        np.random.default_rng(frames)
        .integers(0, 4000, (frames, rows, columns))
        .astype(np.uint16)
    )


def run(source: object, **options: object) -> dict:
    return Input().run(source, **{"dtype": "uint16", "in_memory": True, **options})  # type: ignore[arg-type]


def test_channels_are_split_round_robin() -> None:
    movie = movie_of()
    found = run(movie, channels=3, loc_out="raw")
    assert list(found) == ["raw/ch0", "raw/ch1", "raw/ch2"]
    for i, frames in enumerate(found.values()):
        np.testing.assert_array_equal(frames, movie[i::3])
    named = run(movie, channels={0: "gcamp", 1: "red"}, loc_out="ignored")
    assert list(named) == ["gcamp", "red"]
    np.testing.assert_array_equal(named["red"], movie[1::2])


@pytest.mark.parametrize("z_slice", [(0, 4), (3, 9), (4, 12)])
def test_z_slice_is_half_open_and_keeps_the_channel_of_a_frame(
    z_slice: tuple[int, int],
) -> None:
    movie = movie_of()
    np.testing.assert_array_equal(
        run(movie, z_slice=z_slice)["data/ch0"], movie[slice(*z_slice)]
    )
    for i in range(2):
        frames = [t for t in range(*z_slice) if t % 2 == i]
        np.testing.assert_array_equal(
            run(movie, z_slice=z_slice, channels=2)[f"data/ch{i}"], movie[frames]
        )


def test_in_memory_and_lazy() -> None:
    movie = movie_of()
    lazy = run(movie, in_memory=False, chunk_strategy="XY")["data/ch0"]
    assert isinstance(lazy, da.Array)
    assert lazy.chunksize[1:] == movie.shape[1:]
    np.testing.assert_array_equal(lazy.compute(), movie)
    assert run(movie, in_memory=False, chunks=(5, 4, 4))["data/ch0"].chunksize == (
        5,
        4,
        4,
    )
    np.testing.assert_array_equal(run(movie, lazy=False)["data/ch0"], movie)


def test_lazy_false_reads_the_source_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    np.save(tmp_path / "a.npy", movie_of())
    found = Input().run(tmp_path / "a.npy", dtype="uint16", lazy=False)
    (tmp_path / "a.npy").unlink()
    np.testing.assert_array_equal(found["data/ch0"].compute(), movie_of())


@pytest.mark.parametrize("reduction", ["mean", "max", "min", "std", np.median])
def test_background_is_subtracted_without_wrapping(reduction: object) -> None:
    movie = movie_of()
    function = getattr(np, reduction) if isinstance(reduction, str) else reduction
    background = function(movie[1::2].astype(float), axis=0)
    for name in ("ch1", "data/ch1"):
        found = run(
            movie,
            channels=2,
            subtract_background=name,
            subtract_func=reduction,
            dtype="float32",
        )
        assert list(found) == ["data/ch0"]  # the background channel is dropped
        np.testing.assert_allclose(
            found["data/ch0"], movie[0::2] - background, atol=1e-3
        )
    frame = np.full((10, 14), 1000.0)
    np.testing.assert_array_equal(
        run(movie, subtract_background=frame, dtype="int32")["data/ch0"],
        movie.astype(int) - 1000,
    )
    stack = run(
        movie, subtract_background=movie[:5], subtract_func=reduction, dtype="float32"
    )
    np.testing.assert_allclose(
        stack["data/ch0"], movie - function(movie[:5].astype(float), axis=0), atol=1e-3
    )


def test_conversion_saturates_and_says_so() -> None:
    movie = movie_of()
    with pytest.warns(
        AstrocastWarning,
        match=r"data/ch0: \d+ of 1680 values were outside the range of uint16",
    ):
        found = run(movie, subtract_background=np.full((10, 14), 1000))["data/ch0"]
    np.testing.assert_array_equal(found, np.clip(movie.astype(int) - 1000, 0, None))
    with pytest.warns(AstrocastWarning, match="8 bytes per pixel"):
        default = Input().run(movie, in_memory=True)["data/ch0"]
    assert default.dtype == np.int64


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30),
    st.sampled_from(["uint8", "int8", "uint16", "int16", "int32", "float32"]),
)
def test_saturate_equals_clip_and_round(values: list[float], dtype: str) -> None:
    array = np.array(values)
    found, clipped = saturate(array, dtype)
    if np.dtype(dtype).kind == "f":
        np.testing.assert_array_equal(found, array.astype(dtype))
    else:
        limits = np.iinfo(dtype)
        np.testing.assert_array_equal(
            found, np.clip(np.rint(array), limits.min, limits.max)
        )
        assert (
            clipped
            == ((np.rint(array) < limits.min) | (np.rint(array) > limits.max)).sum()
        )


def test_saturate_at_the_ends_of_64_bits_and_nan() -> None:
    found, clipped = saturate(np.array([1e30, -1e30, np.inf]), "int64")
    assert found.tolist() == [2**63 - 1, -(2**63), 2**63 - 1]
    assert clipped == 3
    with pytest.raises(
        InvalidValueError, match="1 values are NaN, which uint8 cannot hold"
    ):
        saturate(np.array([np.nan, 1.0]), "uint8")
    assert np.isnan(saturate(np.array([np.nan]), "float32")[0][0])


@pytest.mark.parametrize(
    ("rescale", "size"),
    [
        (0.5, (5, 7)),
        ((0.5, 1.0), (5, 14)),
        (1.5, (15, 21)),
        (6, (6, 6)),
        ((4, 20), (4, 20)),
        ((0.33, 0.5), (3, 7)),
    ],
)
def test_rescale_gives_the_exact_size_whatever_the_chunks(
    rescale: object, size: tuple[int, int]
) -> None:
    movie = movie_of()
    whole = run(movie, rescale=rescale, dtype="float32")["data/ch0"]
    assert whole.shape == (12, *size)
    for chunks in ((1, 2, 3), (5, 20, 20)):
        lazy = run(
            movie, rescale=rescale, dtype="float32", in_memory=False, chunks=chunks
        )["data/ch0"]
        np.testing.assert_allclose(lazy.compute(), whole, rtol=1e-5)
    both = run(movie, rescale=rescale, dtype="float32", channels=2)
    np.testing.assert_allclose(both["data/ch1"], whole[1::2], rtol=1e-5)


@settings(max_examples=30)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.integers(1, 40))
def test_resample_equals_pillow(
    rows: int, columns: int, new_rows: int, new_columns: int
) -> None:
    frame = np.random.default_rng(rows * 41 + columns).random(
        (1, rows, columns), dtype=np.float32
    )
    expected = Image.fromarray(frame[0]).resize(
        (new_columns, new_rows), Image.Resampling.BILINEAR
    )
    np.testing.assert_allclose(
        resample(frame, (new_rows, new_columns))[0], np.asarray(expected), atol=1e-5
    )


def test_metadata_is_carried_and_scaled(tmp_path: Path) -> None:
    movie = movie_of()
    metadata = {
        "axes": "TYX",
        "PhysicalSizeX": 0.2,
        "PhysicalSizeY": 0.4,
        "TimeIncrement": 0.1,
    }
    tifffile.imwrite(
        tmp_path / "a.ome.tif", movie, photometric="minisblack", metadata=metadata
    )
    Input().run(tmp_path / "a.ome.tif", tmp_path / "b.h5", dtype="uint16", rescale=0.5)
    with open_recording(tmp_path / "b.h5") as found:
        assert found.metadata == Metadata((0.8, 0.4), 10.0)
    with h5py.File(tmp_path / "b.h5") as file:
        assert json.loads(file["data/ch0"].attrs["conversion"])["rescale"] == [0.5, 0.5]


def test_chunks_and_compression_reach_the_file(tmp_path: Path) -> None:
    movie = np.zeros((64, 32, 32), np.uint16)
    shapes = {}
    for strategy in ("balanced", "XY", "Z"):
        Input().run(
            movie, tmp_path / f"{strategy}.h5", dtype="uint16", chunk_strategy=strategy
        )
        with h5py.File(tmp_path / f"{strategy}.h5") as file:
            shapes[strategy] = file["data/ch0"].chunks
    assert shapes["XY"][1:] == (32, 32)
    assert shapes["Z"][0] == 64
    Input().run(
        movie,
        tmp_path / "c.h5",
        dtype="uint16",
        chunks=(8, 16, 16),
        compression="gzip",
        loc_out="raw",
    )
    with h5py.File(tmp_path / "c.h5") as file:
        assert file["raw/ch0"].chunks == (8, 16, 16)
        assert file["raw/ch0"].compression == "gzip"
        assert file["raw/ch0"].id.get_storage_size() < movie.nbytes / 50


@pytest.mark.parametrize("suffix", ["h5", "zarr", "tif", "npy", "tdb"])
def test_two_channels_to_every_format(tmp_path: Path, suffix: str) -> None:
    movie = movie_of()
    written = Input().run(movie, tmp_path / f"a.{suffix}", channels=2, dtype="uint16")
    for i in range(2):
        path = written[f"data/ch{i}"]
        with open_recording(
            path, f"data/ch{i}" if suffix in ("h5", "zarr") else None
        ) as found:
            np.testing.assert_array_equal(found.to_array(), movie[i::2])
    with pytest.raises(OutputExistsError):
        Input().run(movie, tmp_path / f"a.{suffix}", channels=2, dtype="uint16")


def test_sep_and_loc_in(tmp_path: Path) -> None:
    movie = movie_of()
    folder = tmp_path / "files"
    folder.mkdir()
    for i in range(12):
        tifffile.imwrite(folder / f"x_9-{i}.tif", movie[i])
    np.testing.assert_array_equal(run(folder, sep="-")["data/ch0"], movie)
    with create_recording(
        tmp_path / "a.h5", "one/ch0", movie.shape, movie.dtype
    ) as writer:
        writer.write(0, movie)
    with create_recording(
        tmp_path / "a.h5", "two/ch0", movie.shape, movie.dtype
    ) as writer:
        writer.write(0, movie + 1)
    np.testing.assert_array_equal(
        run(tmp_path / "a.h5", loc_in="two/ch0")["data/ch0"], movie + 1
    )
    with pytest.raises(DatasetNotFoundError, match="one/ch0, two/ch0"):
        run(tmp_path / "a.h5")


def test_bad_input_lists_what_is_wrong(tmp_path: Path) -> None:
    movie = movie_of()
    with pytest.raises(
        InvalidValueError, match=r"not a multiple of 5 channels.*z_slice=\(0, 10\)"
    ):
        run(movie, channels=5)
    with pytest.raises(InvalidValueError, match="has 12 frames"):
        run(movie, z_slice=(4, 40))
    with pytest.raises(InvalidValueError, match=r"channels: .*; rescale: .*; dtype: "):
        run(movie, channels=0, rescale=(1, 0.5), dtype="complex64")
    with pytest.raises(DatasetNotFoundError, match="ch0, data/ch1"):
        run(movie, channels=2, subtract_background="ch7")
    with pytest.raises(InvalidValueError, match=r"background has shape \(3, 3\)"):
        run(movie, subtract_background=np.zeros((3, 3)))
    with pytest.raises(InvalidValueError, match="chunk_strategy"):
        run(movie, chunk_strategy="Q")
    tifffile.imwrite(
        tmp_path / "two.tif",
        movie.reshape(6, 2, 10, 14),
        imagej=True,
        metadata={"axes": "TCYX"},
    )
    with pytest.raises(InvalidValueError, match=r"has 2 channels .* pass channels=2"):
        run(tmp_path / "two.tif")
    assert len(run(tmp_path / "two.tif", channels=2)) == 2


def test_logging_level_is_set() -> None:
    loud, quiet = Input(logging_level=10), Input(logging_level=40)
    assert (loud.logger.level, quiet.logger.level) == (10, 40)


def test_signature_equals_the_settings() -> None:
    parameters = dict(inspect.signature(Input.run).parameters)
    for name in ("self", "input_path", "output_path"):
        parameters.pop(name)
    assert list(parameters) == list(ConversionSettings.model_fields)
    for name, parameter in parameters.items():
        assert parameter.default == ConversionSettings.model_fields[name].default, name


def test_a_number_is_subtracted_as_background_and_as_offset() -> None:
    frames = np.full((8, 4, 4), 150, np.uint16)
    for parameters in ({"subtract_background": 100}, {"offset": 100.0}):
        found = Input().run(frames, dtype="float32", in_memory=True, **parameters)
        np.testing.assert_array_equal(found["data/ch0"], 50)


def test_the_offset_is_taken_from_dark_frames() -> None:
    rng = np.random.default_rng(0)
    tissue = 200 + 300 * rng.random((16, 16))
    frames = rng.poisson(np.broadcast_to(tissue, (40, 16, 16))).astype(np.float32)
    frames[:3] = rng.normal(0, 2, (3, 16, 16))
    frames += 400
    found = Input().run(frames, dtype="float32", in_memory=True, offset="auto")
    assert found["data/ch0"][3:].mean() == pytest.approx(tissue.mean(), rel=0.005)
    # the darkest pixel has about 200 counts of light
    with pytest.raises(
        InvalidValueError, match=r"no dark frames.*at most 59\d\.|at most 60\d"
    ):
        Input().run(frames[3:], dtype="float32", in_memory=True, offset="auto")


def test_the_offset_and_its_error_are_stored(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).poisson(300.0, (40, 16, 16)).astype(np.float32)
    frames[:, :8] *= 2
    frames[:3] = np.random.default_rng(1).normal(0, 2, (3, 16, 16))
    frames += 400
    for offset in ("auto", 400.0):
        target = tmp_path / f"{offset}.h5"
        Input().run(frames, target, dtype="float32", offset=offset)
        with open_recording(target) as found:
            metadata = found.metadata
        assert metadata.subtracted_offset == pytest.approx(400, abs=1)
        assert (metadata.offset_error is None) == (offset != "auto")


def test_the_offset_is_taken_from_the_file(tmp_path: Path) -> None:
    header = (
        "SI.VERSION_MAJOR = 2020\nSI.hChannels.channelSave = [1;2]\n"
        "SI.hChannels.channelOffset = [30 -5 0 0]\n"
        "SI.hChannels.channelSubtractOffset = [false false true true]\n"
    )
    path, target = tmp_path / "a.tif", tmp_path / "a.h5"
    with tifffile.TiffWriter(path, bigtiff=True) as tiff:
        for t in range(6):
            for c in range(2):
                tiff.write(
                    np.full((8, 8), 100 * (c + 1) + t, np.int16),
                    contiguous=False,
                    software=header,
                    metadata=None,
                    description=f"frameNumbers = {t + 1}\n",
                )
    Input().run(path, target, dtype="float32", channels=2, offset="auto")
    for c, counts in enumerate((30, -5)):
        with open_recording(target, f"data/ch{c}") as found:
            assert found.read(0, 6)[:, 0, 0].tolist() == [
                100 * (c + 1) + t - counts for t in range(6)
            ]
            metadata = found.metadata
        assert (metadata.subtracted_offset, metadata.offset_error) == (counts, None)
        assert metadata.dark_counts == ()


def test_no_reduction_is_needed_without_a_background() -> None:
    movie = np.arange(6 * 8 * 8, dtype=np.float32).reshape(6, 8, 8)
    options = {"dtype": "float32", "in_memory": True, "subtract_func": None}
    (found,) = Input().run(movie, **options).values()
    np.testing.assert_array_equal(found, movie)
    with pytest.raises(InvalidValueError, match="subtract_func is None"):
        Input().run(movie, subtract_background=movie[0], **options)
