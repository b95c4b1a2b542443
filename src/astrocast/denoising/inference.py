"""Denoise a recording with a network: in one pass, in bounded memory, without seams."""

from __future__ import annotations

import json
import logging
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from astrocast.denoising.backend import import_keras
from astrocast.denoising.engines import BATCH_PIXELS, Engine, EngineName, pick_engine
from astrocast.denoising.items import Window
from astrocast.errors import (
    AstrocastWarning,
    InvalidConditionError,
    InvalidTypeError,
    InvalidValueError,
    stack_level,
)
from astrocast.io import Recording, create_recording
from astrocast.io.memory import ArrayWriter
from astrocast.io.recording import as_dtype
from astrocast.kernels.denoising.scaling import Scaling
from astrocast.kernels.denoising.tiles import Tiling, plan_tiles
from astrocast.kernels.denoising.unet_layout import UNet
from astrocast.kernels.frames.convert import saturate
from astrocast.runtime.blocks import Block, run_blocks
from astrocast.runtime.progress import track
from astrocast.runtime.provenance import describe_input, plain, record

logger = logging.getLogger("astrocast.denoising")

#: halo and alignment of tiles for a model that is not a known U-Net
_GENERIC_HALO, _GENERIC_ALIGN = 32, 16


@dataclass
class PredictFrames:
    """Predict each frame from its neighbours; an operation for `run_blocks`.

    Parameters
    ----------
    engine
        Evaluates the network.
    window
        Context frames of a target.
    tiling
        Division of frames into tiles.
    scaling
        Normalisation of the network's input, or ``local``: mean and standard deviation
        of each frame's context.
    rescale
        Convert back to grey values afterwards.
    dtype
        dtype of the result.

    Attributes
    ----------
    tally : int
        Number of values that were outside the range of ``dtype`` so far.
    """

    engine: Engine
    window: Window
    tiling: Tiling
    scaling: Scaling | Literal["local"]
    rescale: bool
    dtype: np.dtype[Any]
    tally: int = 0

    @property
    def halo(self) -> tuple[int, int]:
        """Frames to read before and after a block."""
        return self.window.halo

    def __call__(self, frames: NDArray[Any], block: Block) -> NDArray[Any]:
        """Return the predicted frames of the block."""
        before, after = self.window.halo
        scaled = (
            self.scaling if isinstance(self.scaling, Scaling) else Scaling()
        ).apply(frames)
        # the halo is incomplete at the ends of the recording: mirror at the end frames
        scaled = np.pad(
            scaled,
            ((before - block.lead, after - block.trail), (0, 0), (0, 0)),
            mode="reflect",
        )
        out = np.empty((block.stop - block.start, *frames.shape[1:]), np.float32)
        is_local = self.scaling == "local"
        local = self._measure_local(scaled, len(out)) if is_local else None
        self._predict(self.tiling.extend(scaled), local, out)
        if self.rescale:
            out = (
                self.scaling.undo(out)
                if isinstance(self.scaling, Scaling)
                else self._undo_local(out, local)
            )
        result, clipped = saturate(out, self.dtype)
        self.tally += clipped
        return result

    def _predict(
        self,
        extended: NDArray[np.float32],
        local: NDArray[np.float32] | None,
        out: NDArray[Any],
    ) -> None:
        """Write the prediction of each frame into ``out``, tile by tile."""
        jobs = [
            (t, corner) for corner in self.tiling.corners() for t in range(len(out))
        ]
        rows, columns = self.tiling.size
        pixels = getattr(self.engine, "batch_pixels", BATCH_PIXELS)
        size = max(1, min(pixels // (rows * columns), len(jobs)))
        batch = np.zeros((size, self.window.channels, rows, columns), np.float32)
        for first in range(0, len(jobs), size):
            # the last batch may be filled only in part; the rest is ignored
            part = jobs[first : first + size]
            for place, (t, (y, x)) in zip(batch, part, strict=False):
                np.take(
                    extended[:, y : y + rows, x : x + columns],
                    t + self.window.offsets,
                    axis=0,
                    out=place,
                )
                if local is not None:
                    place -= local[0, t]
                    place /= local[1, t]
            for result, (t, corner) in zip(self.engine(batch), part, strict=False):
                self.tiling.place(out[t], corner, result)

    def _measure_local(
        self, frames: NDArray[np.float32], count: int
    ) -> NDArray[np.float32]:
        """Return mean and standard deviation of each frame's context, (2, frame)."""
        means = frames.mean((1, 2), dtype=np.float64)
        squares = np.square(frames - means.mean(), dtype=np.float64).mean((1, 2))
        out = np.empty((2, count), np.float32)
        for t in range(count):
            own = t + self.window.offsets
            mean = means[own].mean()
            variance = squares[own].mean() - (mean - means.mean()) ** 2
            out[:, t] = mean, np.sqrt(variance) if variance > 0 else 1
        return out

    def _undo_local(
        self, out: NDArray[np.float32], local: NDArray[np.float32] | None
    ) -> NDArray[np.float32]:
        """Return the frames in grey values; ``local``: from `_measure_local`."""
        assert local is not None
        return out * local[1][:, None, None] + local[0][:, None, None]


def load_model(model: Any) -> tuple[UNet | None, Any]:
    """Return a model as plain arrays and as a Keras model; one of them may be None."""
    if isinstance(model, UNet):
        return model, None
    if isinstance(model, (str, Path)):
        from astrocast.denoising.model_files import read_network

        return read_network(model).unet, None
    if not isinstance(model, import_keras("inference with a Keras model").Model):
        raise InvalidTypeError(
            "model must be a Keras model or the path of one, found"
            f" {type(model).__name__}"
        )
    from astrocast.denoising.architecture import unet_from_model

    return unet_from_model(model), model


def prepare_prediction(
    recording: Recording,
    model: Any,
    window: Window,
    scaling: Scaling | Literal["local"],
    *,
    rescale: bool,
    dtype: Any,
    engine: EngineName,
    tile: int = 256,
) -> PredictFrames:
    """Return the operation that denoises ``recording`` with ``model``.

    ``dtype`` "same" is the dtype of the recording. Without ``rescale`` it is float32
    for an integer recording: integers cannot represent a normalised signal.
    """
    unet, keras_model = load_model(model)
    window.check_model(unet.context if unet else keras_model.input_shape[-1])
    if recording.shape[0] < window.length:
        raise InvalidConditionError(
            f"the recording has {recording.shape[0]} frames, but the model needs at"
            f" least {window.length}"
        )
    halo, align = (unet.halo, unet.align) if unet else (_GENERIC_HALO, _GENERIC_ALIGN)
    # the halo of an unknown architecture is a guess, so its frames are not divided
    largest = max(tile, align) if unet else max(recording.shape[1:]) + align
    tiling = plan_tiles(recording.shape[1:], halo, align, largest)
    chosen = pick_engine(engine, unet, keras_model)
    return PredictFrames(
        chosen,
        window,
        tiling,
        scaling,
        rescale,
        _result_dtype(recording, dtype, rescale),
    )


def _result_dtype(recording: Recording, dtype: Any, rescale: bool) -> np.dtype[Any]:
    """Return the dtype of the output, see `prepare_prediction`."""
    if not (isinstance(dtype, str) and dtype == "same"):
        return as_dtype(dtype)
    if not rescale and recording.dtype.kind in "iub":
        return np.dtype(np.float32)
    return recording.dtype


def infer_recording(
    recording: Recording,
    model: Any,
    window: Window,
    scaling: Scaling | Literal["local"],
    *,
    output: str | Path | None,
    loc: str | None,
    dtype: Any,
    chunks: Any,
    rescale: bool,
    engine: EngineName,
    tile: int,
    overwrite: bool,
    parameters: dict[str, Any],
) -> tuple[NDArray[Any] | Path, str]:
    """Denoise a recording into a file, or into an array if ``output`` is None.

    Returns the path or array, and the name of the engine.
    """
    operation = prepare_prediction(
        recording,
        model,
        window,
        scaling,
        rescale=rescale,
        dtype=dtype,
        engine=engine,
        tile=tile,
    )
    used = {
        **parameters,
        "engine": operation.engine.name,
        "rescale": rescale,
        "model": _model_name(model),
    }
    result = write_result(
        recording, operation, output, loc, operation.dtype, chunks, overwrite, used
    )
    if operation.tally:
        warnings.warn(
            f"{operation.tally} values are outside the range of {operation.dtype} and"
            " were clipped; dtype='float32' keeps them",
            AstrocastWarning,
            stacklevel=stack_level(),
        )
    return result, operation.engine.name


def _model_name(model: Any) -> str:
    """Return the path of a model, or the class of a model in memory."""
    return str(model) if isinstance(model, (str, Path)) else type(model).__name__


def write_result(
    recording: Recording,
    operation: Any,
    output: str | Path | None,
    loc: str | None,
    dtype: np.dtype[Any],
    chunks: Any,
    overwrite: bool,
    parameters: dict[str, Any],
) -> NDArray[Any] | Path:
    """Apply an operation to a recording; write a file with provenance, or an array."""
    attributes = None
    if output is not None:
        attributes = {
            "provenance": json.dumps(
                plain(record(plain(parameters), describe_input(recording)))
            )
        }
    writer = create_recording(
        output,
        loc,
        recording.shape,
        dtype,
        chunks=chunk_shape(chunks, recording),
        metadata=recording.metadata,
        attributes=attributes,
        overwrite=overwrite,
    )
    with writer, track("denoise", recording.shape[0]) as advance:
        run_blocks(recording, writer, operation, advance=advance)
    return writer.array if isinstance(writer, ArrayWriter) else Path(str(output))


def check_output(
    recording: Recording,
    output: str | Path,
    loc: str | None,
    dtype: np.dtype[Any],
    chunks: Any,
    overwrite: bool,
) -> None:
    """Raise an error now if the output cannot be written, before minutes of training.

    The output is not changed.
    """
    create_recording(
        output,
        loc,
        recording.shape,
        dtype,
        chunks=chunk_shape(chunks, recording),
        overwrite=overwrite,
    ).discard()


def chunk_shape(chunks: Any, recording: Recording) -> tuple[int, int, int] | None:
    """Return the shape of chunks; None leaves the choice to the format."""
    if chunks is None or chunks == "infer":
        return None
    if isinstance(chunks, int) and chunks > 0:
        return (min(chunks, recording.shape[0]), *recording.shape[1:])
    if isinstance(chunks, (tuple, list)) and len(chunks) == 3:
        return int(chunks[0]), int(chunks[1]), int(chunks[2])
    raise InvalidValueError(
        f"chunk_size is {chunks!r}; expected None, 'infer', a number of frames, or"
        " (frames, rows, columns)"
    )
