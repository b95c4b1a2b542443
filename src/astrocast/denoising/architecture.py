"""Convert the U-Net between a Keras model and plain arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from astrocast.denoising.backend import import_keras
from astrocast.errors import InvalidValueError
from astrocast.kernels.denoising.unet_layout import UNet, unet_from_arrays

#: layers of a U-Net; a file with any other layer is refused
KNOWN_LAYERS = (
    "InputLayer",
    "Conv2D",
    "BatchNormalization",
    "Activation",
    "ReLU",
    "MaxPooling2D",
    "UpSampling2D",
    "Concatenate",
)


def build_model(
    context: int,
    n_stacks: int,
    kernel: int,
    batch_normalize: bool = False,
    seed: int | None = None,
) -> Any:
    """Return the Keras model of a U-Net for frames of any size.

    The size must be a multiple of ``2 ** (n_stacks - 1)``.

    Parameters
    ----------
    context
        Number of context frames.
    n_stacks
        Number of resolutions.
    kernel
        Number of filters at the first resolution; doubled at each next one.
    batch_normalize
        Use batch normalisation between convolution and ReLU.
    seed
        Seed of the initial weights.
    """
    keras = import_keras("building a network")
    layers = keras.layers
    seeds = None if seed is None else np.random.default_rng(seed)

    def convolve(x: Any, filters: int, name: str) -> Any:
        start = keras.initializers.GlorotUniform(
            None if seeds is None else int(seeds.integers(2**31))
        )
        x = layers.Conv2D(
            filters, 3, padding="same", kernel_initializer=start, name=name
        )(x)
        if name == "output":
            return x
        if batch_normalize:
            x = layers.BatchNormalization(name=f"{name}_normal")(x)
        return layers.Activation("relu", name=f"{name}_relu")(x)

    frames = keras.Input((None, None, context), name="context")
    x, skips = frames, []
    for level in range(n_stacks):
        x = layers.MaxPooling2D(2, name=f"pool{level}")(x) if level else x
        x = convolve(x, kernel * 2**level, f"down{level}")
        skips.append(x)
    for level in range(n_stacks - 1, 0, -1):
        x = convolve(x, kernel * 2**level, f"up{level}")
        x = layers.UpSampling2D(2, name=f"enlarge{level}")(x)
        x = layers.Concatenate(name=f"join{level}")([x, skips[level - 1]])
    return keras.Model(frames, convolve(x, 1, "output"), name="unet")


def weights_of(model: Any) -> list[Any]:
    """Return the weights of a Keras model or layer as NumPy arrays.

    Used instead of ``get_weights``, which gives a warning with NumPy 2.4 (Keras 3.15).
    """
    ops = import_keras("reading weights").ops
    return [np.array(ops.convert_to_numpy(v.value)) for v in model.weights]


def model_from_unet(unet: UNet) -> Any:
    """Return a Keras model with the weights of ``unet``."""
    model = build_model(unet.context, unet.n_stacks, unet.filters)
    model.set_weights(unet.arrays())
    return model


def unet_from_model(model: Any) -> UNet | None:
    """Return the weights of a Keras model, or None if it is not a U-Net of this kind.

    Batch normalisation is folded into the convolution before it, which is exact except
    for rounding.
    """
    kinds = [type(layer).__name__ for layer in model.layers]
    if not set(kinds) <= set(KNOWN_LAYERS):
        return None
    arrays: list[Any] = []
    for layer, kind in zip(model.layers, kinds, strict=True):
        if kind == "Conv2D":
            if (
                layer.activation.__name__ not in ("relu", "linear")
                or len(layer.weights) != 2
            ):
                return None
            arrays += weights_of(layer)
        elif kind == "BatchNormalization":
            arrays[-2:] = _fold_normalisation(arrays[-2], arrays[-1], layer)
    try:
        return unet_from_arrays(arrays)
    except InvalidValueError:
        return None


def _fold_normalisation(kernel: Any, bias: Any, layer: Any) -> list[Any]:
    """Return kernel and bias of a convolution that includes the normalisation."""
    gamma, beta, mean, variance = (np.asarray(v, np.float64) for v in weights_of(layer))
    factor = gamma / np.sqrt(variance + layer.epsilon)
    return [
        (kernel * factor).astype(np.float32),
        ((bias - mean) * factor + beta).astype(np.float32),
    ]
