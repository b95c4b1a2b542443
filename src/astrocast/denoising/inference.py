"""From a recording to a denoised recording: one pass, bounded memory, no seams."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from astrocast.denoising.backend import import_keras
from astrocast.denoising.engines import Engine, EngineName, pick_engine
from astrocast.denoising.items import Window
from astrocast.errors import InvalidConditionError, InvalidTypeError, InvalidValueError
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

#: pixels that are evaluated at once: enough to keep two cores busy, few enough for the
#: caches
_BATCH_PIXELS = 1 << 18
#: for models whose architecture is not known
_GENERIC_HALO, _GENERIC_ALIGN = 32, 16


@dataclass
class PredictFrames:
    """Predict each frame from its neighbours: an operation of `run_blocks`.

    Parameters
    ----------
    engine
        What evaluates the network.
    window
        Which neighbours.
    tiling
        How frames are cut.
    scaling
        What the network's input is normalised by, or ``local``: mean and standard
        deviation of each frame's context.
    rescale
        Undo the scaling afterwards.
    dtype
        Of the result.
    """

    engine: Engine
    window: Window
    tiling: Tiling
    scaling: Scaling | Literal["local"]
    rescale: bool
    dtype: np.dtype[Any]

    @property
    def halo(self) -> tuple[int, int]:
        """Frames around a block that are read."""
        return self.window.halo

    def __call__(self, frames: NDArray[Any], block: Block) -> NDArray[Any]:
        """Return the predicted frames of the block."""
        before, after = self.window.halo
        scaled = (
            self.scaling if isinstance(self.scaling, Scaling) else Scaling()
        ).apply(frames)
        # the ends of the recording, where the halo is missing, are mirrored at the
        # first and the last frame
        scaled = np.pad(
            scaled,
            ((before - block.lead, after - block.trail), (0, 0), (0, 0)),
            mode="reflect",
        )
        out = np.empty((block.stop - block.start, *frames.shape[1:]), np.float32)
        local = self._local(scaled, len(out)) if self.scaling == "local" else None
        self._predict(self.tiling.extend(scaled), local, out)
        if self.rescale:
            out = (
                self.scaling.undo(out)
                if isinstance(self.scaling, Scaling)
                else self._undo_local(out, local)
            )
        return saturate(out, self.dtype)[0]

    def _predict(
        self,
        extended: NDArray[np.float32],
        local: NDArray[np.float32] | None,
        out: NDArray[Any],
    ) -> None:
        jobs = [
            (t, corner) for corner in self.tiling.corners() for t in range(len(out))
        ]
        rows, columns = self.tiling.size
        size = max(1, min(_BATCH_PIXELS // (rows * columns), len(jobs)))
        batch = np.zeros((size, self.window.channels, rows, columns), np.float32)
        for first in range(0, len(jobs), size):
            # the last may be smaller: what the batch then holds besides is not used
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

    def _local(self, frames: NDArray[np.float32], count: int) -> NDArray[np.float32]:
        """Return mean and standard deviation of the context of each frame, (2, frame)."""
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
        assert local is not None
        return out * local[1][:, None, None] + local[0][:, None, None]


def load_model(model: Any) -> tuple[UNet | None, Any]:
    """Return a model as plain arrays and as the Keras model it was given as; either may
    be None.
    """
    if isinstance(model, UNet):
        return model, None
    if isinstance(model, (str, Path)):
        from astrocast.denoising.model_files import read_network

        return read_network(model).unet, None
    if not isinstance(model, import_keras("inference with a Keras model").Model):
        raise InvalidTypeError(
            f"model is a Keras model or the path of one, got {type(model).__name__}"
        )
    from astrocast.denoising.architecture import unet_from_model

    return unet_from_model(model), model


def check_context(found: int | None, window: Window) -> None:
    """Raise when a model takes another number of frames than the window gives."""
    if found is not None and found != window.channels:
        raise InvalidConditionError(
            f"the model takes {found} context frames, the generator gives"
            f" {window.channels} ({window.context[0]} before and {window.context[1]}"
            " after); set pre_post_frame to match the model"
        )


def prediction(
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
    """Return the operation that denoises ``recording`` with ``model``."""
    unet, keras_model = load_model(model)
    check_context(unet.context if unet else keras_model.input_shape[-1], window)
    if recording.shape[0] < window.length:
        raise InvalidConditionError(
            f"the recording has {recording.shape[0]} frames, the window of the model"
            f" needs {window.length}"
        )
    halo, align = (unet.halo, unet.align) if unet else (_GENERIC_HALO, _GENERIC_ALIGN)
    # the halo of an unknown architecture is a guess: its frames stay whole
    largest = max(tile, align) if unet else max(recording.shape[1:]) + align
    tiling = plan_tiles(recording.shape[1:], halo, align, largest)
    chosen = pick_engine(engine, unet, keras_model)
    kind = (
        recording.dtype
        if isinstance(dtype, str) and dtype == "same"
        else as_dtype(dtype)
    )
    return PredictFrames(chosen, window, tiling, scaling, rescale, kind)


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
    """Denoise a recording into ``output`` (an array when None); return it and the name
    of the engine.
    """
    operation = prediction(
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
    return result, operation.engine.name


def _model_name(model: Any) -> str:
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
    """Run an operation over a recording into a file or an array, with the record of
    what was done beside it.
    """
    attributes = None
    if output is not None:
        import json

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
    """Raise at once what writing the result would raise after minutes of training;
    nothing is left behind.
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
    """Return the chunks that were asked for: a shape, a number of frames, or None for
    the choice of the format.
    """
    if chunks is None or chunks == "infer":
        return None
    if isinstance(chunks, int) and chunks > 0:
        return (min(chunks, recording.shape[0]), *recording.shape[1:])
    if isinstance(chunks, (tuple, list)) and len(chunks) == 3:
        return int(chunks[0]), int(chunks[1]), int(chunks[2])
    raise InvalidValueError(
        f"chunk_size is {chunks!r}; use None, 'infer', a number of frames or (frames,"
        " rows, columns)"
    )
