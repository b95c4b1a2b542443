"""A small movie, a small network, and a model file as older Keras wrote it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import h5py
import numpy as np
import pytest

from astrocast.kernels.denoising.unet_layout import (
    UNet,
    expected_maps,
    unet_from_arrays,
)


@pytest.fixture(scope="session")
def movie() -> np.ndarray:
    """A spot that brightens slowly on a bright background, uint16, with the noise of
    few photons.
    """
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:40, :36]
    course = np.exp(-((np.arange(48) - 20) ** 2) / 100)
    light = 20 + 30 * course[:, None, None] * np.exp(
        -((y - 20) ** 2 + (x - 15) ** 2) / 40
    )
    return (rng.poisson(light) + 100).astype(np.uint16)


@pytest.fixture(scope="session")
def make_unet() -> Callable[..., UNet]:
    """Return a U-Net with random weights of the size that training starts with."""

    def make(
        n_stacks: int = 2, filters: int = 4, context: int = 4, seed: int = 0
    ) -> UNet:
        rng = np.random.default_rng(seed)
        arrays: list[np.ndarray] = []
        for before, after in expected_maps(n_stacks, filters, context):
            arrays += [
                rng.normal(0, (9 * before) ** -0.5, (3, 3, before, after)),
                rng.normal(0, 0.1, after),
            ]
        return unet_from_arrays(arrays)

    return make


def legacy_config(unet: UNet, extra: dict[str, object] | None = None) -> str:
    layers: list[dict[str, object]] = [
        {
            "class_name": "InputLayer",
            "config": {"batch_input_shape": [None, 64, 64, unet.context]},
        }
    ]
    layers += [
        {"class_name": "Conv2D", "config": {"name": f"conv2d_{9 + i}"}}
        for i in range(len(unet.convolutions))
    ]
    return json.dumps(
        {
            "class_name": "Functional",
            "config": {"layers": layers + ([extra] if extra else [])},
        }
    )


@pytest.fixture(scope="session")
def write_legacy() -> Callable[..., Path]:
    """Return a writer of model files in the layout of Keras 2: fixed input size,
    optimizer state.

    Layers are numbered from 9 on: the order of their names (conv2d_10 before conv2d_9)
    is not that of evaluation."""

    def write(path: Path, unet: UNet, extra: dict[str, object] | None = None) -> Path:
        names = [f"conv2d_{9 + i}" for i in range(len(unet.convolutions))]
        with h5py.File(path, "w") as file:
            file.attrs["model_config"] = legacy_config(unet, extra)
            file.attrs["keras_version"] = "2.14.0"
            weights = file.create_group("model_weights")
            weights.attrs["layer_names"] = ["input_1", *names]
            weights.create_group("input_1").attrs["weight_names"] = np.array([], "S")
            for name, c in zip(names, unet.convolutions, strict=True):
                weights[f"{name}/{name}/kernel:0"] = c.kernel
                weights[f"{name}/{name}/bias:0"] = c.bias
                file[f"optimizer_weights/Adam/m/{name}/kernel:0"] = np.zeros_like(
                    c.kernel
                )
        return path

    return write


@pytest.fixture(scope="session", autouse=True)
def _compiled_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let networks of one shape share what XLA compiled: nearly all of the time of
    these tests is compilation.
    """
    if find_spec("jax") is None:
        yield
        return
    import jax

    options = {
        "jax_compilation_cache_dir": str(tmp_path_factory.mktemp("compiled")),
        "jax_persistent_cache_min_compile_time_secs": 0.0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }
    before = {name: getattr(jax.config, name) for name in options}
    for name, value in options.items():
        jax.config.update(name, value)
    yield
    for name, value in before.items():
        jax.config.update(name, value)
