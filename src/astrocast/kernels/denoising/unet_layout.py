"""A U-Net as plain arrays: weights, architecture and field of view."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.errors import InvalidValueError

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Convolution:
    """Weights of one 3 x 3 convolution.

    ``kernel``: float32 (row, column, input, output); ``bias``: float32 (output,).
    """

    kernel: Array
    bias: Array

    @property
    def inputs(self) -> int:
        """Number of input maps."""
        return int(self.kernel.shape[2])

    @property
    def outputs(self) -> int:
        """Number of output maps."""
        return int(self.kernel.shape[3])


@dataclass(frozen=True)
class UNet:
    """A U-Net for frames of any size.

    The encoder has ``n_stacks`` convolutions with 2 x 2 maximum pooling between them,
    the decoder ``n_stacks - 1``, each followed by nearest-neighbour upsampling and
    concatenation with the encoder's map of the same size; the output convolution is
    linear. All convolutions are 3 x 3, all but the last are followed by ReLU.

    Parameters
    ----------
    convolutions
        ``2 * n_stacks`` convolutions in order: encoder, decoder, output.
    """

    convolutions: tuple[Convolution, ...]

    def __post_init__(self) -> None:
        problem = _mismatch(self.convolutions)
        if problem:
            raise InvalidValueError(f"these weights do not form a U-Net: {problem}")

    @property
    def n_stacks(self) -> int:
        """Number of resolutions."""
        return len(self.convolutions) // 2

    @property
    def context(self) -> int:
        """Number of input maps, that is of context frames."""
        return self.convolutions[0].inputs

    @property
    def filters(self) -> int:
        """Number of filters of the first convolution."""
        return self.convolutions[0].outputs

    @property
    def align(self) -> int:
        """Number of pixels of which the sides of a frame must be a multiple."""
        return int(2 ** (self.n_stacks - 1))

    @property
    def halo(self) -> int:
        """Pixels around a tile that its result depends on; a multiple of `align`."""
        return receptive_halo(self.n_stacks)

    def arrays(self) -> list[Array]:
        """Return kernel and bias of every convolution, in order."""
        return [a for c in self.convolutions for a in (c.kernel, c.bias)]


def unet_from_arrays(arrays: Sequence[NDArray[Any]]) -> UNet:
    """Return the U-Net with the weights ``kernel, bias, kernel, bias, ...``.

    The architecture follows from their shapes.
    """
    if len(arrays) < 4 or len(arrays) % 2:
        raise InvalidValueError(
            "expected a kernel and a bias for an even number of convolutions, found"
            f" {len(arrays)} arrays"
        )
    pairs = zip(arrays[::2], arrays[1::2], strict=True)
    return UNet(
        tuple(
            Convolution(np.asarray(k, np.float32), np.asarray(b, np.float32))
            for k, b in pairs
        )
    )


def expected_maps(n_stacks: int, filters: int, context: int) -> list[tuple[int, int]]:
    """Return (input maps, output maps) of every convolution, in order of evaluation."""
    maps = []
    before, width = context, filters
    for level in range(n_stacks):
        width = filters * 2**level
        maps.append((before, width))
        before = width
    for level in range(n_stacks - 1, 0, -1):
        maps.append((before, width))
        before = width + filters * 2 ** (level - 1)
        width //= 2
    return [*maps, (before, 1)]


def _mismatch(convolutions: tuple[Convolution, ...]) -> str:
    """Return what is wrong with the shapes of a U-Net's weights; empty if nothing."""
    n = len(convolutions)
    if n < 2 or n % 2:
        return f"found {n} convolutions, expected an even number (two for each stack)"
    for i, c in enumerate(convolutions):
        if (
            c.kernel.ndim != 4
            or c.kernel.shape[:2] != (3, 3)
            or c.bias.shape != c.kernel.shape[3:]
        ):
            return (
                f"convolution {i} has a kernel of shape {c.kernel.shape} and a bias of"
                f" shape {c.bias.shape}"
            )
        if not (np.isfinite(c.kernel).all() and np.isfinite(c.bias).all()):
            return f"convolution {i} has weights that are not finite"
    expected = expected_maps(n // 2, convolutions[0].outputs, convolutions[0].inputs)
    found = [(c.inputs, c.outputs) for c in convolutions]
    return "" if found == expected else f"convolutions map {found}, expected {expected}"


def receptive_halo(n_stacks: int) -> int:
    """Return the pixels around a tile that its result depends on.

    Found from the output back to the input: a convolution adds one pixel at its
    resolution, upsampling halves the index, pooling doubles it. The result is rounded
    up to a multiple of the alignment: 8 pixels for two stacks, 16 for three.

    Examples
    --------
    >>> [receptive_halo(n) for n in (1, 2, 3)]
    [2, 8, 16]
    """
    first = -1  # the output convolution at pixel 0 of a tile
    for _ in range(n_stacks - 1):
        first = (
            first // 2 - 1
        )  # decoder: the map of half the size, then its convolution
    first -= 1  # the convolution at the lowest resolution
    for _ in range(n_stacks - 1):
        # encoder: pooling of twice the index, then its convolution
        first = first * 2 - 1
    align = 2 ** (n_stacks - 1)
    return -first if n_stacks == 1 else -(first // align) * align
