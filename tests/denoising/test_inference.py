"""Denoised recordings do not depend on the blocks or on the engine."""

from importlib.util import find_spec
from pathlib import Path

import h5py
import numpy as np
import pytest

from astrocast.denoising import SubFrameGenerator
from astrocast.denoising.architecture import (
    build_model,
    model_from_unet,
    unet_from_model,
    weights_of,
)
from astrocast.denoising.engines import KerasEngine, pick_engine
from astrocast.denoising.inference import prepare_prediction
from astrocast.denoising.items import Window
from astrocast.errors import (
    AstrocastWarning,
    InvalidConditionError,
    InvalidTypeError,
    InvalidValueError,
    OutputExistsError,
)
from astrocast.io import create_recording, open_recording
from astrocast.kernels.denoising.scaling import Scaling
from astrocast.kernels.denoising.unet_layout import UNet
from astrocast.runtime.blocks import run_blocks

WINDOW = Window((2, 2), (0, 0))
#: rounding of single precision, in units of the network's output
TOLERANCE = 2e-6


def generator(movie: np.ndarray, **options) -> SubFrameGenerator:
    return SubFrameGenerator(
        movie, 4, (8, 8), **{"pre_post_frame": 2, "normalize": "global", **options}
    )


class Mean:
    """An engine whose result is known: the mean of the context."""

    name = "mean"

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        return batch.mean(1)


@pytest.mark.parametrize("n_stacks", [1, 2, 3])
@pytest.mark.parametrize("engine", ["openvino", "jax"])
def test_engines_agree_with_keras(engine: str, n_stacks: int, make_unet) -> None:
    # importorskip would import openvino with the part that reports its use
    if find_spec(engine) is None:
        pytest.skip(f"{engine} is not installed")
    unet = make_unet(n_stacks)
    batch = np.random.default_rng(0).normal(size=(2, 4, 24, 16)).astype(np.float32)
    expected = KerasEngine(model_from_unet(unet))(batch)
    np.testing.assert_allclose(
        pick_engine(engine, unet, None)(batch), expected, atol=TOLERANCE
    )


@pytest.mark.parametrize("n_stacks", [2, 3])
def test_tiles_and_blocks_leave_no_trace(
    n_stacks: int, movie: np.ndarray, make_unet
) -> None:
    unet = make_unet(n_stacks)

    def result(tile: int, block: int | None) -> np.ndarray:
        operation = prepare_prediction(
            open_recording(movie),
            unet,
            WINDOW,
            Scaling(120, 10),
            rescale=False,
            dtype="float32",
            engine="jax",
            tile=tile,
        )
        with create_recording(None, None, movie.shape, "float32") as writer:
            run_blocks(open_recording(movie), writer, operation, block_frames=block)
        return writer.array

    whole = result(64, None)
    assert np.isfinite(whole).all()
    np.testing.assert_allclose(result(16, None), whole, atol=1e-6)
    np.testing.assert_allclose(result(64, 5), whole, atol=1e-6)


def test_every_frame_is_predicted_from_its_neighbours_and_the_ends_are_mirrored(
    movie: np.ndarray, monkeypatch
) -> None:
    monkeypatch.setattr("astrocast.denoising.inference.pick_engine", lambda *a: Mean())
    unet = UNet.__new__(UNet)
    object.__setattr__(unet, "convolutions", [type("C", (), {"inputs": 4})] * 4)
    before = movie.copy()
    operation = prepare_prediction(
        open_recording(movie),
        unet,
        Window((2, 2), (1, 0)),
        Scaling(),
        rescale=True,
        dtype="float32",
        engine="auto",
    )
    with create_recording(None, None, movie.shape, "float32") as writer:
        run_blocks(open_recording(movie), writer, operation, block_frames=7)
    mirrored = np.pad(movie.astype(float), ((3, 2), (0, 0), (0, 0)), mode="reflect")
    expected = np.mean([mirrored[k : k + len(movie)] for k in (0, 1, 4, 5)], axis=0)
    np.testing.assert_allclose(writer.array, expected, rtol=1e-5)
    np.testing.assert_array_equal(movie, before)


@pytest.mark.parametrize("normalize", ["global", "local", None])
def test_rescaling_is_exact_and_the_dtype_is_that_of_the_input(
    normalize, movie: np.ndarray, make_unet
) -> None:
    g = generator(movie, normalize=normalize)
    unet = make_unet()
    found = g.infer(unet, dtype="float32", engine="jax")
    plain = g.infer(unet, dtype="float32", engine="jax", rescale=False)
    if normalize == "global":
        np.testing.assert_allclose(found, plain * movie.std() + movie.mean(), rtol=1e-5)
    if normalize is None:
        np.testing.assert_array_equal(found, plain)
    if normalize == "local":
        mirrored = np.pad(movie.astype(float), ((2, 2), (0, 0), (0, 0)), mode="reflect")
        context = mirrored[[10, 11, 13, 14]]  # around frame 10
        np.testing.assert_allclose(
            found[10], plain[10] * context.std() + context.mean(), rtol=1e-4
        )
    same = g.infer(unet, engine="jax")
    assert same.dtype == np.uint16
    np.testing.assert_array_equal(same, np.clip(np.rint(found), 0, 65535))


def test_a_normalised_result_of_integers_is_float_and_clipping_is_said(
    movie: np.ndarray, make_unet
) -> None:
    g, unet = generator(movie), make_unet()
    plain = g.infer(unet, engine="jax", rescale=False)
    assert plain.dtype == np.float32
    assert (plain < 0).any()
    negative = int((np.rint(plain) < 0).sum())
    with pytest.warns(AstrocastWarning, match=f"{negative} values are outside"):
        named = g.infer(unet, engine="jax", rescale=False, dtype="uint16")
    np.testing.assert_array_equal(named, np.clip(np.rint(plain), 0, 65535))


def test_a_file_is_written_with_its_record_and_nothing_is_overwritten(
    tmp_path: Path, movie, make_unet, write_legacy
) -> None:
    source, output = tmp_path / "in.h5", tmp_path / "out.h5"
    with h5py.File(source, "w") as file:
        file["data/ch0"] = movie
    model = write_legacy(tmp_path / "model.h5", make_unet())
    with SubFrameGenerator(
        source, 4, (8, 8), 2, loc="data/ch0", normalize="global"
    ) as g:
        assert (
            g.infer(model, output=output, out_loc="data/clean", chunk_size=16) == output
        )
        expected = g.infer(model)
        assert g.engine in ("openvino", "jax", "keras")
        with pytest.raises(OutputExistsError):
            g.infer(model, output=output, out_loc="data/clean")
    with h5py.File(output) as file:
        np.testing.assert_array_equal(file["data/clean"][:], expected)
        assert file["data/clean"].chunks[0] == 16
        assert g.engine in file["data/clean"].attrs["provenance"]


def test_batch_normalisation_is_folded_into_its_convolution() -> None:
    rng = np.random.default_rng(0)
    model = build_model(4, 2, 3, batch_normalize=True, seed=0)
    model.set_weights([w + rng.uniform(0.1, 0.5, w.shape) for w in weights_of(model)])
    unet = unet_from_model(model)
    assert unet is not None
    batch = rng.normal(size=(1, 4, 8, 8)).astype(np.float32)
    np.testing.assert_allclose(
        pick_engine("jax", unet, None)(batch),
        KerasEngine(model)(batch),
        rtol=1e-5,
        atol=1e-5,
    )


def test_another_architecture_runs_in_keras_on_whole_frames(movie: np.ndarray) -> None:
    import keras

    frames = keras.Input((None, None, 4))
    model = keras.Model(
        frames,
        keras.layers.Conv2D(1, 1, use_bias=False, kernel_initializer="ones")(frames),
    )
    g = generator(movie[:12], normalize=None)
    found = g.infer(model, dtype="float32", tile=8)
    assert g.engine == "keras"
    np.testing.assert_allclose(found[5], movie[[3, 4, 6, 7]].sum(0), rtol=1e-5)
    with pytest.raises(InvalidValueError, match="keras"):
        g.infer(model, engine="jax")


def test_what_cannot_be_inferred_is_said_in_numbers(
    movie: np.ndarray, make_unet
) -> None:
    with pytest.raises(
        InvalidConditionError,
        match="needs 6 context frames, but pre_post_frame gives 4",
    ):
        generator(movie).infer(make_unet(context=6))
    with pytest.raises(InvalidConditionError, match="has 2"):
        generator([movie, movie]).infer(make_unet())
    with pytest.raises(InvalidTypeError, match="found int"):
        generator(movie).infer(3)
    with pytest.raises(InvalidValueError, match="engine is 'fast'"):
        generator(movie).infer(make_unet(), engine="fast")
    with pytest.raises(InvalidValueError, match="chunk_size"):
        generator(movie).infer(make_unet(), chunk_size="big")
