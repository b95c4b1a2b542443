"""Motion correction: estimate the shift of every frame and move the frames back."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from astrocast.errors import AstrocastWarning, InvalidValueError, stack_level
from astrocast.io import create_recording, open_recording
from astrocast.io.chunks import ChunkStrategy
from astrocast.io.memory import ArrayWriter
from astrocast.io.recording import as_dtype
from astrocast.kernels.registration.engine import OutputConversion
from astrocast.preparation.line_offset import align_lines
from astrocast.preparation.motion_channels import (
    check_same_shape,
    open_reference,
    transfer_motion,
)
from astrocast.preparation.motion_estimate import Motion, estimate_motion
from astrocast.preparation.motion_moving import (
    MoveBack,
    choose_engine,
    frames_moved,
    open_in_stack,
    open_journal,
    store_beside,
)
from astrocast.preparation.motion_results import MotionResults
from astrocast.runtime.blocks import run_blocks
from astrocast.runtime.instance_logger import instance_logger
from astrocast.runtime.progress import track
from astrocast.runtime.stage_input import open_stage_input
from astrocast.runtime.threads import worker_threads
from astrocast.settings.motion import MotionSettings


class MotionCorrection(MotionResults):
    """Estimate the shift of every frame of a recording, and move the frames back.

    `run` estimates the motion in one pass; `save` reads the recording again, moves
    every frame back and writes it. Peak memory does not grow with the length of the
    recording.

    Parameters
    ----------
    working_directory
        Folder for intermediate results. `run` stores every finished block there, and an
        interrupted run with the same input and parameters continues where it stopped;
        so does `save` to zarr, and to HDF5 without compression. None stores nothing.
    logging_level
        Level of the messages of this class (10 debug ... 50 critical).

    Attributes
    ----------
    shifts : numpy.ndarray
        (frame, 2), pixels, row then column, positive where the frame moved down or
        right: ``corrected[p] = frame[p + shift]``. Bad frames have the shift
        interpolated between their good neighbours.
    fields : numpy.ndarray
        float32 (frame, 2, patch row, patch column), pixels: shifts of the patches of a
        piecewise-rigid correction.
    template : numpy.ndarray
        float32 (row, column): mean of the aligned sample; its position is the median
        position of the sample.
    quality : dict
        Per frame: ``correlation_before`` and ``correlation_after`` (with the template),
        ``residual`` (remaining shift between frame and template in pixels, by least
        squares; mostly noise in dim recordings), ``bad_frame``.
    bad_frames : numpy.ndarray
        bool (frame,): frames that are left out, see ``frame_quality``.
    frame_quality : pandas.DataFrame
        Frames without a usable image (black, repeated, a flash ...), frames that agree
        too little with the template, and frames that reached `max_shifts`. Frames with
        ``severity`` >= 0.5 are left out. See `astrocast.io.stores.frame_quality`.
    crispness : tuple of float
        Crispness (root mean square of the gradient) of the mean image before and after
        the correction.
    line_offset : float
        Corrected displacement of the odd lines in pixels, positive to the right; 0 if
        none is corrected.
    border : tuple of int
        Pixels at (top, bottom, left, right) of the corrected movie that lie outside the
        raw frame in at least one good frame.

    Notes
    -----
    After Pnevmatikakis & Giovannucci 2017 (NoRMCorre,
    doi:10.1016/j.jneumeth.2017.07.031); differences are described in
    ``docs/algorithms/motion.md``.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy import ndimage
    >>> from astrocast.preparation import MotionCorrection
    >>> scene = (
    ...     ndimage.gaussian_filter(np.random.default_rng(0).random((80, 80)), 1.5)
    ...     * 100
    ... )
    >>> movie = np.stack([scene[8 + d : 72 + d, 8:72] for d in (0, 0, 0, 3, 0)])
    >>> mc = MotionCorrection()
    >>> mc.run(movie, max_shifts=(6, 6))
    >>> [round(float(row)) for row, _ in mc.shifts]
    [0, 0, 0, -3, 0]
    >>> mc.save().shape
    (5, 64, 64)
    """

    def __init__(
        self, working_directory: str | Path | None = None, logging_level: int = 20
    ) -> None:
        self.working_directory = (
            Path(working_directory) if working_directory is not None else None
        )
        self.logger = instance_logger(__name__, logging_level)
        self._source: tuple[Any, str | None] | None = None
        self._motion: Motion | None = None
        self._line_offset = 0.0

    def __repr__(self) -> str:
        """Return the number of frames and the largest shift as text."""
        if self._motion is None:
            return "<MotionCorrection, not run yet>"
        frames, largest = len(self.shifts), float(abs(self.shifts).max())
        return f"<MotionCorrection: {frames} frames, shifts up to {largest:.1f} px>"

    def run(
        self,
        path: Any,
        loc: str = "",
        max_shifts: tuple[int, int] = (50, 50),
        niter_rig: int = 3,
        splits_rig: int = 14,
        num_splits_to_process_rig: int | None = None,
        strides: tuple[int, int] = (48, 48),
        overlaps: tuple[int, int] = (24, 24),
        pw_rigid: bool = False,
        splits_els: int = 14,
        num_splits_to_process_els: int | None = None,
        upsample_factor_grid: int = 4,
        max_deviation_rigid: int = 3,
        nonneg_movie: bool = True,
        # the published name of this parameter
        gSig_filt: tuple[int, int] | None = (20, 20),  # noqa: N803
        bigtiff: bool = True,
        *,
        engine: str = "auto",
        bidi: float | str = "auto",
        reference_channel: str | None = None,
        line_bands: int = 1,
        also: Sequence[Any] = (),
        check_channels: bool = True,
    ) -> None:
        """Estimate the motion of a recording.

        Parameters
        ----------
        path
            Recording: a path of any supported format, a NumPy or dask array (frame,
            row, column), or a `Recording`; any integer or float type, at least 8 x 8
            pixels. The comparison leaves out NaN and infinity.
        loc
            Dataset, in formats that contain several.
        max_shifts
            Largest shift along rows and columns, in pixels. Shifts above half of the
            frame are not searched: they look the same as the opposite shift.
        niter_rig
            Number of rounds that align and average the sample to make the template.
        splits_rig
            Number of parts in which the recording is processed. This only sets the size
            of blocks, as far as memory allows.
        num_splits_to_process_rig
            Number of evenly spread parts that the sample is taken from; None: all.
        strides, overlaps
            A patch is stride + overlap pixels long; the next patch begins one stride
            further.
        pw_rigid
            Estimate a shift for every patch instead of one per frame.
        splits_els, num_splits_to_process_els
            As `splits_rig` and `num_splits_to_process_rig`, for piecewise-rigid
            correction.
        upsample_factor_grid
            Nodes per patch of the smooth field (a cubic spline through the patches); 1
            is linear interpolation between the patches.
        max_deviation_rigid
            Largest difference between the shift of a patch and that of its frame,
            in pixels.
        nonneg_movie
            Make all values of the corrected movie >= 0: if the recording has negative
            values, its minimum is subtracted; negative values that the interpolation
            causes become zero.
        gSig_filt
            Sigma in pixels of the high-pass filter (image minus its Gaussian blur) of
            the fine comparison. None: no filter.
        bigtiff
            Has no effect: large TIFF files are always written as BigTIFF.
        engine
            ``'cpu'``, ``'jax'``, or ``'auto'``: JAX if it is installed and finds a GPU.
        bidi
            Displacement of the odd lines (1, 3, ...) of a bidirectional scan, in pixels
            to the right: a number, ``'off'``, or ``'auto'``, which estimates it and
            corrects it only if it is significant. It is corrected before the motion is
            estimated, and by `save`.
        reference_channel
            Dataset (or recording) to estimate the motion on, for example a structural
            dye; `save` applies the motion to the recording of `path`.
        line_bands
            Number of bands of lines that move independently, for motion during the scan
            of a frame; 1: all lines of a frame move together. Not with `pw_rigid`.
        also
            Further channels that moved together with this one (names of datasets in the
            same file, paths, or arrays): the motion is estimated on their sum. `save`
            can apply it to each of them.
        check_channels
            Raise an error if the even and odd frames of a file look like two channels.
            Results of this package, arrays and opened recordings are not checked.

        Raises
        ------
        InvalidValueError
            A parameter or the shape of the recording is invalid.
        """
        self.settings: MotionSettings = MotionSettings.checked(
            max_shifts=max_shifts,
            niter_rig=niter_rig,
            splits_rig=splits_rig,
            num_splits_to_process_rig=num_splits_to_process_rig,
            strides=strides,
            overlaps=overlaps,
            pw_rigid=pw_rigid,
            splits_els=splits_els,
            num_splits_to_process_els=num_splits_to_process_els,
            upsample_factor_grid=upsample_factor_grid,
            max_deviation_rigid=max_deviation_rigid,
            nonneg_movie=nonneg_movie,
            gSig_filt=gSig_filt,
            bigtiff=bigtiff,
            engine=engine,
            bidi=bidi,
            reference_channel=reference_channel,
            line_bands=line_bands,
        )
        for name, reason in self.settings.without_effect().items():
            warnings.warn(
                f"{name} {reason}", AstrocastWarning, stacklevel=stack_level()
            )
        compute = choose_engine(self.settings.engine)
        with ExitStack() as stack:
            own = open_stage_input(path, loc or None, check_channels=check_channels)
            if own is not path:
                stack.callback(own.close)
            sources = open_reference(stack, own, path, self.settings, also)
            recording, line_offset = sources
            pool = stack.enter_context(worker_threads("motion"))
            motion = estimate_motion(
                recording, self.settings, pool, compute, self.working_directory
            )
            if reference_channel is not None:
                motion = transfer_motion(motion, own, self.settings.nonneg_movie)
            self._motion, self._line_offset = motion, line_offset
        self._source = (path, loc or None)
        self.logger.info("motion: %s", self.summary())

    def for_channel(self, loc: str, reference: str) -> MotionCorrection:
        """Return a copy that applies the same motion to another dataset of the file.

        ``reference`` is the dataset that the motion was estimated on. The lowest value
        and the bad frames are measured in ``loc``.
        """
        assert self._source is not None
        motion, file = self._computed_motion(), self._source[0]
        other = copy(self)
        with open_recording(file, loc) as own, open_recording(file, reference) as first:
            check_same_shape(own, first, reference)
            other._motion = transfer_motion(motion, own, self.settings.nonneg_movie)
        other._source = (file, loc)
        changed = {"reference_channel": reference}
        other.settings = self.settings.model_copy(update=changed)
        return other

    def save(
        self,
        output: str | Path | None = None,
        loc: str = "mc/ch0",
        chunk_strategy: ChunkStrategy = "balanced",
        chunks: tuple[int, int, int] | None = None,
        compression: str | None = None,
        remove_intermediate: bool = True,
        *,
        dtype: DTypeLike = np.float32,
        source: Any = None,
        source_loc: str | None = None,
        overwrite: bool = False,
    ) -> NDArray[Any] | None:
        """Move every frame back and write the movie, or return it.

        Parameters
        ----------
        output
            Path of the corrected movie; the suffix decides the format. Shifts and
            quality are written beside it (`astrocast.io.stores.registration_store`).
            None returns the movie in memory.
        loc
            Dataset, in formats that contain several.
        chunk_strategy, chunks, compression
            Storage of the movie, see `astrocast.io.create_recording`.
        remove_intermediate
            Remove the intermediate results of `run` for this recording from the working
            directory (never the directory itself).
        dtype
            dtype of the corrected movie: float32, or an integer type (rounded and
            clipped to its range).
        source, source_loc
            Another channel of the same shape to correct by the same motion; None: the
            recording of `run`. ``source_loc`` alone names a dataset in the file of
            `run`.
        overwrite
            Replace an existing dataset.

        Returns
        -------
        numpy.ndarray or None
            The corrected movie (frame, row, column) if ``output`` is None.
        """
        motion = self._computed_motion()
        assert self._source is not None
        where = self._source
        if source is not None:
            where = (source, source_loc)
        elif source_loc is not None:
            where = (self._source[0], source_loc)
        with ExitStack() as stack:
            recording = align_lines(open_in_stack(stack, *where), self._line_offset)
            expected = (len(motion.shifts), *motion.template.shape)
            if recording.shape != expected:
                raise InvalidValueError(
                    f"the recording to correct has the shape {recording.shape}, but the"
                    f" motion was estimated for the shape {expected}; channels that"
                    " moved together have the same shape (frame, row, column)"
                )
            pool = stack.enter_context(worker_threads("motion"))
            resume = None
            if output is not None and motion.block_folder is not None:
                resume = open_journal(
                    motion,
                    recording,
                    f"{Path(output).resolve()} {loc} {np.dtype(dtype)}",
                )
            writer = create_recording(
                output,
                loc,
                recording.shape,
                as_dtype(dtype),
                chunk_strategy=chunk_strategy,
                chunks=chunks,
                compression=compression,
                metadata=recording.metadata,
                attributes={"border": list(motion.border)},
                overwrite=overwrite,
                resume=resume,
            )
            finish = OutputConversion(
                writer.dtype, motion.offset, self.settings.nonneg_movie
            )
            with (
                writer,
                track("motion correction: movie", recording.shape[0]) as advance,
            ):
                operation, frames = (
                    MoveBack(motion, finish, pool),
                    frames_moved(recording, writer.chunk_frames),
                )
                run_blocks(
                    recording, writer, operation, block_frames=frames, advance=advance
                )
                if output is not None:
                    store_beside(output, loc, self.registration, motion.frame_table)
        if remove_intermediate and motion.block_folder is not None:
            shutil.rmtree(motion.block_folder, ignore_errors=True)
        return writer.array if isinstance(writer, ArrayWriter) else None
