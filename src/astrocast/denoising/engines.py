"""Evaluate a U-Net with OpenVINO, JAX or Keras; results agree up to rounding."""

from __future__ import annotations

import logging
import pickle
import threading
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from astrocast.denoising.backend import import_keras, import_openvino
from astrocast.errors import InvalidValueError, MissingExtraError
from astrocast.kernels.denoising.pixel_shuffle import phase_kernel
from astrocast.kernels.denoising.unet_layout import Convolution, UNet
from astrocast.kernels.jax_device import device_bytes, fit_to_memory

logger = logging.getLogger("astrocast.denoising")

#: pixels of a batch: enough work for two cores, small enough for their caches
BATCH_PIXELS = 1 << 18
EngineName = Literal["auto", "openvino", "jax", "keras"]
Array = NDArray[np.float32]


class Engine(Protocol):
    """Evaluates a network on batches of one shape."""

    name: str

    def __call__(self, batch: Array) -> Array:
        """Return (item, row, column) of float32 (item, context, row, column)."""
        ...


class KerasEngine:
    """Evaluate any Keras model: the reference, and the only engine for other models."""

    name = "keras"

    def __init__(self, model: Any) -> None:
        self.model = model

    def __reduce__(self) -> tuple[Any, ...]:
        """Return how another process, which chooses a backend first, restores it."""
        return restore_keras_engine, (pickle.dumps(self.model),)

    def __call__(self, batch: Array) -> Array:
        """See `Engine`."""
        return np.asarray(self.model.predict_on_batch(np.moveaxis(batch, 1, -1)))[
            ..., 0
        ]


def restore_keras_engine(packed: bytes) -> KerasEngine:
    """Return the engine that another process packed; Keras is imported as here."""
    import_keras("evaluating a network on a worker")
    return KerasEngine(pickle.loads(packed))  # noqa: S301 - from our own client


class JaxEngine:
    """Evaluate the U-Net as one compiled JAX function, see `kernels.pixel_shuffle`."""

    name = "jax"

    def __init__(self, unet: UNet) -> None:
        import jax

        self.unet = unet
        self._run = jax.jit(jax_unet(unet))
        # values per pixel: the maps of all layers, as if all had the full resolution
        values = sum(c.outputs for c in unet.convolutions)
        #: pixels that are evaluated together, limited by the memory of the device
        self.batch_pixels = fit_to_memory(
            device_bytes(), 2 * 4 * values, BATCH_PIXELS, (BATCH_PIXELS, 1 << 24)
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """Return how another process compiles the network for itself."""
        return type(self), (self.unet,)

    def __call__(self, batch: Array) -> Array:
        """See `Engine`."""
        return np.asarray(self._run(batch))


def split_decoder(skipped: int, convolution: Convolution) -> tuple[Array, Array]:
    """Split the kernel of a decoder convolution.

    Returns the part for the small map before upsampling (for all phases, see
    `phase_kernel`) and the part for the encoder's map, which has ``skipped`` channels.
    """
    small = convolution.inputs - skipped
    return phase_kernel(convolution.kernel[:, :, :small]), np.ascontiguousarray(
        convolution.kernel[:, :, small:]
    )


def jax_unet(unet: UNet) -> Callable[[Any], Any]:
    """Return the U-Net as a function of (item, context, row, column) for JAX."""
    import jax
    import jax.numpy as jnp

    n = unet.n_stacks
    down, up = unet.convolutions[:n], unet.convolutions[n:]
    decoders = (
        [split_decoder(down[n - 2 - i].outputs, c) for i, c in enumerate(up[1:])]
        if n > 1
        else []
    )

    def convolve(x: Any, kernel: Array) -> Any:
        return jax.lax.conv_general_dilated(
            x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )

    def pool(x: Any) -> Any:
        return jax.lax.reduce_window(
            x, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID"
        )

    def enlarge(x: Any) -> Any:
        b, h, w, c = x.shape
        return (
            x.reshape(b, h, w, c // 4, 2, 2)
            .transpose(0, 1, 4, 2, 5, 3)
            .reshape(b, 2 * h, 2 * w, c // 4)
        )

    def run(batch: Any) -> Any:
        x, skips = jnp.moveaxis(batch, 1, -1), []
        for level, c in enumerate(down):
            x = jax.nn.relu(convolve(pool(x) if level else x, c.kernel) + c.bias)
            skips.append(x)
        if n > 1:
            x = jax.nn.relu(convolve(x, up[0].kernel) + up[0].bias)
        for i, (small, beside) in enumerate(decoders):
            x = (
                enlarge(convolve(x, small))
                + convolve(skips[n - 2 - i], beside)
                + up[i + 1].bias
            )
            x = jax.nn.relu(x) if i < n - 2 else x
        return (x if n > 1 else convolve(x, up[0].kernel) + up[0].bias)[..., 0]

    return run


class OpenVINOEngine:
    """Evaluate the U-Net with OpenVINO on the CPU, in single precision."""

    name = "openvino"

    def __init__(self, unet: UNet) -> None:
        self.unet = unet
        self._compiled: dict[tuple[int, ...], Any] = {}
        # a compiled network computes one batch at a time
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        """Return how another process compiles the network for itself."""
        return type(self), (self.unet,)

    def __call__(self, batch: Array) -> Array:
        """See `Engine`."""
        with self._lock:
            if batch.shape not in self._compiled:
                self._compiled[batch.shape] = self._compile(batch.shape)
            found = self._compiled[batch.shape].infer({0: batch})[0][:, 0]
            return np.array(found)  # a copy: OpenVINO reuses this memory

    def _compile(self, shape: tuple[int, ...]) -> Any:
        openvino = import_openvino()
        options = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
        model = openvino_unet(self.unet, shape)
        return (
            openvino.Core().compile_model(model, "CPU", options).create_infer_request()
        )


def openvino_unet(unet: UNet, shape: tuple[int, ...]) -> Any:
    """Return the U-Net as an OpenVINO model for batches of one shape.

    ``shape`` is (item, context, row, column).
    """
    openvino = import_openvino()
    ops = import_module("openvino.opset13")
    n = unet.n_stacks
    down, up = unet.convolutions[:n], unet.convolutions[n:]

    def convolve(x: Any, kernel: Array) -> Any:
        weights = ops.constant(np.ascontiguousarray(kernel.transpose(3, 2, 0, 1)))
        return ops.convolution(x, weights, [1, 1], [1, 1], [1, 1], [1, 1])

    def add_bias(x: Any, bias: Array) -> Any:
        return ops.add(x, ops.constant(bias.reshape(1, -1, 1, 1)))

    def pool(x: Any) -> Any:
        return ops.max_pool(x, [2, 2], [1, 1], [0, 0], [0, 0], [2, 2]).output(0)

    batch = ops.parameter(list(shape), np.float32)
    x, skips = batch, []
    for level, c in enumerate(down):
        x = ops.relu(add_bias(convolve(pool(x) if level else x, c.kernel), c.bias))
        skips.append(x)
    for i, c in enumerate(up):
        if i == 0:
            x = convolve(x, c.kernel)
        else:
            small, beside = split_decoder(down[n - 1 - i].outputs, c)
            x = ops.add(
                ops.depth_to_space(convolve(x, small), "depth_first", 2),
                convolve(skips[n - 1 - i], beside),
            )
        x = add_bias(x, c.bias)
        x = ops.relu(x) if i < n - 1 else x
    return openvino.Model([x], [batch], "unet")


def pick_engine(wanted: EngineName, unet: UNet | None, model: Any | None) -> Engine:
    """Return the fastest installed engine, or the engine with the given name.

    Parameters
    ----------
    wanted
        Name of the engine. ``auto``: JAX if it has a GPU, else OpenVINO, JAX or Keras,
        whichever is installed first in this order.
    unet
        The network as plain arrays; None for a Keras model of another architecture,
        which only Keras can evaluate.
    model
        The Keras model; None: built from ``unet`` if needed.
    """
    if wanted not in ("auto", "openvino", "jax", "keras"):
        raise InvalidValueError(
            f"engine is {wanted!r}; choose one of auto, openvino, jax, keras"
        )
    if unet is None:
        if wanted not in ("auto", "keras"):
            raise InvalidValueError(
                f"the engine {wanted!r} can only evaluate U-Nets of this package; use"
                " engine='keras' for other models"
            )
        return KerasEngine(model)
    name = _choose_fastest() if wanted == "auto" else wanted
    if name != "keras" and find_spec(name) is None:
        raise MissingExtraError(
            name,
            "openvino" if name == "openvino" else "denoise",
            f"the engine {name!r}",
        )
    logger.info("the network is evaluated by %s", name)
    if name == "openvino":
        return OpenVINOEngine(unet)
    if name == "jax":
        return JaxEngine(unet)
    if model is None:
        from astrocast.denoising.architecture import model_from_unet

        model = model_from_unet(unet)
    return KerasEngine(model)


def _choose_fastest() -> str:
    """Return the name of the fastest installed engine."""
    if find_spec("jax") is not None:
        import jax

        if jax.default_backend() != "cpu":
            return "jax"
    if find_spec("openvino") is not None:
        return "openvino"
    return "jax" if find_spec("jax") is not None else "keras"
