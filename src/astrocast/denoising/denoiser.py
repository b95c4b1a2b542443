"""Denoise one recording, with a network trained on it or by SVD of patches."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray

from astrocast.denoising.inference import (
    PredictFrames,
    check_output,
    prepare_prediction,
    write_result,
)
from astrocast.denoising.items import Window
from astrocast.denoising.patterns import ProjectFrames, learn_patterns
from astrocast.denoising.sources import pixel_scaling
from astrocast.denoising.training_pool import load_pool
from astrocast.errors import (
    AstrocastWarning,
    InvalidConditionError,
    NotRunError,
    stack_level,
)
from astrocast.io import Recording, open_recording
from astrocast.io.recording import as_dtype
from astrocast.kernels.denoising.denoise_quality import Quality, assess, hold_out
from astrocast.kernels.denoising.unet_layout import UNet
from astrocast.runtime.blocks import Block
from astrocast.runtime.provenance import describe_input, record
from astrocast.runtime.threads import one_blas_thread
from astrocast.settings.denoising import DenoiserSettings

#: increase it when the denoised movie of the same recording and seed changes
ALGORITHM_VERSION = 1
logger = logging.getLogger("astrocast.denoising")

#: number of frames, and pixels along each side, in which the quality is measured
_ASSESSED_FRAMES, _ASSESSED_SIDE = 240, 256

Operation = PredictFrames | ProjectFrames


class Denoiser:
    """Denoise a recording without any other data.

    ``method="train"`` trains a small U-Net for some minutes to predict each frame from
    its neighbours. The settings gave the best results on simulated recordings (mean
    image subtracted, mean squared error, step size decaying to 0). ``method="svd"``
    takes seconds and needs no training and no Keras: in small patches it keeps only the
    spatial patterns whose variance is larger than noise can explain. The loss of event
    amplitude is measured in the recording itself, see `quality`.

    Do not denoise before the detection with ``method="calibrated"``: it needs the noise
    of the raw recording.

    Parameters
    ----------
    method
        ``train`` or ``svd``.
    minutes
        Time for training.
    steps
        Number of training steps, instead of ``minutes``: the same seed then gives the
        same result.
    n_stacks, kernel
        Number of resolutions of the U-Net, and of filters of its first convolution.
    pre_post_frame
        Context frames before and after each frame, one number or (before, after).
    patch_size, batch_size
        Side of the training patches in pixels, and number of patches per step.
    learning_rate
        Largest step size of Adam.
    pretrained_weights
        Model to start from; its architecture replaces ``n_stacks`` and ``kernel``.
    svd_patch, svd_bin
        Side of the patches in pixels, and number of frames averaged before the SVD.
    engine
        Library that evaluates the network; ``auto``: the fastest that is installed.
    assess
        Measure the quality after denoising.
    seed
        Seed of all random choices.
    clock
        Returns seconds, for ``minutes``; `time.process_time` counts processor time.

    Attributes
    ----------
    quality
        `Quality` of the last run, or None.
    engine_used
        Name of the library that evaluated the network, or ``svd``.
    training
        Steps and losses of the training, or None.

    Raises
    ------
    InvalidConditionError
        The recording has fewer frames than the context needs.
    OutputExistsError, OutputError
        The output exists or cannot be written; raised before the computation.
    MissingExtraError
        Keras is needed but not installed.

    Warns
    -----
    AstrocastWarning
        The measured quality is poor (with numbers), or the training diverged.

    Examples
    --------
    >>> import numpy as np
    >>> from astrocast.denoising import Denoiser
    >>> movie = np.random.default_rng(0).poisson(20, (64, 32, 32)).astype("uint16")
    >>> denoiser = Denoiser("svd")
    >>> clean = denoiser.run(movie)
    >>> clean.shape, clean.dtype, bool(clean.std() < movie.std())
    ((64, 32, 32), dtype('float32'), True)
    """

    def __init__(
        self,
        method: Literal["train", "svd"] = "train",
        *,
        minutes: float = 5.0,
        steps: int | None = None,
        n_stacks: int = 2,
        kernel: int = 32,
        pre_post_frame: int | tuple[int, int] = 5,
        patch_size: int = 64,
        batch_size: int = 8,
        learning_rate: float = 0.004,
        pretrained_weights: str | Path | None = None,
        svd_patch: int = 16,
        svd_bin: int = 4,
        engine: Literal["auto", "openvino", "jax", "keras"] = "auto",
        assess: bool = True,
        seed: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings: DenoiserSettings = DenoiserSettings.checked(
            method=method,
            minutes=minutes,
            steps=steps,
            n_stacks=n_stacks,
            kernel=kernel,
            pre_post_frame=pre_post_frame,
            patch_size=patch_size,
            batch_size=batch_size,
            learning_rate=learning_rate,
            pretrained_weights=pretrained_weights,
            svd_patch=svd_patch,
            svd_bin=svd_bin,
            engine=engine,
            assess=assess,
            seed=seed,
        )
        self.clock = clock
        self.quality: Quality | None = None
        self.engine_used: str | None = None
        self.training: Any = None

    def __repr__(self) -> str:
        """Return the method, and the length of the training or the size of patches."""
        chosen = self.settings
        if chosen.method == "svd":
            how = f"patches of {chosen.svd_patch} pixels"
        elif chosen.steps is not None:
            how = f"{chosen.steps} steps"
        else:
            how = f"{chosen.minutes:g} minutes"
        return f"<Denoiser: {chosen.method}, {how}>"

    def run(
        self,
        source: Any,
        loc: str | None = None,
        output: str | Path | None = None,
        out_loc: str | None = None,
        dtype: Literal["same"] | DTypeLike = "float32",
        chunks: tuple[int, int, int] | None = None,
        overwrite: bool = False,
    ) -> NDArray[Any] | Path:
        """Denoise a recording.

        Parameters
        ----------
        source
            Path, array or `Recording`, (frame, row, column).
        loc
            Dataset, in formats that contain several.
        output
            File to write; None returns an array.
        out_loc
            Dataset in the output; None: the name of the input dataset.
        dtype
            dtype of the output. ``same``: that of the recording; values outside its
            range are clipped. Do not use it if the noise is only a few grey values:
            rounding then undoes the denoising.
        chunks
            Chunks of the output.
        overwrite
            Replace an output that exists.

        Returns
        -------
        numpy.ndarray or pathlib.Path
            The denoised recording (frame, row, column), or the path of the output.
        """
        recording = open_recording(source, loc)
        with ExitStack() as stack:
            if recording is not source:
                stack.callback(recording.close)
            if self.settings.method == "svd":
                stack.enter_context(one_blas_thread())
            kind = (
                recording.dtype
                if isinstance(dtype, str) and dtype == "same"
                else as_dtype(dtype)
            )
            target = out_loc or recording.loc or "data/denoised"
            if output is not None:
                check_output(recording, output, target, kind, chunks, overwrite)
            operation = self._prepare(recording, kind)
            if self.settings.assess:
                self.quality = self._assess(recording, operation)
            return write_result(
                recording,
                operation,
                output,
                target,
                kind,
                chunks,
                overwrite,
                self._parameters(),
            )

    def save_model(self, folder: str | Path, prefix: str = "denoiser") -> Path:
        """Save the trained network and return its path.

        `SubFrameGenerator.infer` and ``pretrained_weights`` accept this path.
        """
        if self.training is None:
            raise NotRunError(
                "no network was trained; call run with method='train' before save_model"
            )
        from astrocast.denoising.model_files import write_network

        kind = {
            "kind": "pixel",
            "meaning": (
                "the mean of each pixel is subtracted; then all values are divided by"
                " their standard deviation"
            ),
        }
        made_from = {
            "normalisation": kind,
            "provenance": record(self._parameters(), self._source),
        }
        return write_network(Path(folder), prefix, self.training.unet, made_from)

    def _prepare(self, recording: Recording, dtype: np.dtype[Any]) -> Operation:
        """Train the network or compute the SVD; return the operation that denoises."""
        settings = self.settings
        self._source = describe_input(recording)
        if settings.method == "svd":
            self.engine_used = "svd"
            return ProjectFrames(
                learn_patterns(
                    recording, settings.svd_patch, settings.svd_bin, settings.seed
                ),
                dtype,
            )
        window = Window.of(settings)
        scaling = pixel_scaling(recording)
        unet = self._train(recording, scaling, window)
        operation = prepare_prediction(
            recording,
            unet,
            window,
            scaling,
            rescale=True,
            dtype=dtype,
            engine=settings.engine,
        )
        self.engine_used = operation.engine.name
        return operation

    def _train(self, recording: Recording, scaling: Any, window: Window) -> UNet:
        """Train a network on the recording."""
        from astrocast.denoising.callbacks import Schedule
        from astrocast.denoising.self_training import start_model, train

        settings = self.settings
        if recording.shape[0] < window.length:
            raise InvalidConditionError(
                f"the recording has {recording.shape[0]} frames, but this"
                f" pre_post_frame needs {window.length}; use a smaller one, or"
                " method='svd'"
            )
        # `minutes` includes the time to import and compile Keras
        schedule = Schedule(
            settings.learning_rate, settings.steps, 60 * settings.minutes, self.clock
        )
        model, align = start_model(
            settings, window, (recording.shape[1], recording.shape[2])
        )
        pool = load_pool(recording, scaling, window, settings.patch_size, align)
        self.training = train(model, pool, settings, schedule)
        logger.info(
            "trained for %d steps, losses %s",
            self.training.steps,
            self.training.losses[-3:],
        )
        return self.training.unet

    def _assess(self, recording: Recording, operation: Operation) -> Quality:
        """Measure the quality in the middle of the recording; warn if it is poor."""
        count = min(recording.shape[0], _ASSESSED_FRAMES)
        start = (recording.shape[0] - count) // 2
        raw = recording.read(start, start + count).astype(np.float32)
        given, held = hold_out(raw)
        # denoise whole frames, as in the run, then measure in their middle
        results = [self._apply(operation, frames) for frames in (raw, given)]
        cut = tuple(
            slice((n - min(n, _ASSESSED_SIDE)) // 2, (n + min(n, _ASSESSED_SIDE)) // 2)
            for n in recording.shape[1:]
        )
        inner = (slice(None), *cut)
        quality = assess(
            raw[inner], results[0][inner], given[inner], results[1][inner], held
        )
        for remark in quality.remarks():
            warnings.warn(remark, AstrocastWarning, stacklevel=stack_level())
        return quality

    def _apply(
        self, operation: Operation, frames: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Return the denoised frames as float32, whatever the dtype of the output."""
        output_dtype, operation.dtype = operation.dtype, np.dtype(np.float32)
        try:
            return operation(frames, Block(0, len(frames), 0, 0))
        finally:
            operation.dtype = output_dtype

    def measurements(self) -> dict[str, Any]:
        """Return engine, training and quality of the last run as plain values."""
        values: dict[str, Any] = {"engine_used": self.engine_used}
        if self.training is not None:
            values |= {
                "training_steps": self.training.steps,
                "training_losses": self.training.losses,
            }
        if self.quality is not None:
            values["quality"] = asdict(self.quality)
        return values

    def _parameters(self) -> dict[str, Any]:
        return {**self.settings.model_dump(), **self.measurements()}
