"""Motion correction: where every frame has moved, and the movie with that undone."""

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
    applied_to,
    check_same_shape,
    open_reference,
)
from astrocast.preparation.motion_estimate import Motion, estimate_motion
from astrocast.preparation.motion_moving import (
    MoveBack,
    choose_engine,
    frames_moved,
    journal,
    open_in_stack,
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
    """Finds how far every frame of a recording has moved, and undoes it.

    `run` estimates the motion in one pass; `save` reads the recording again, moves
    every frame back and writes it. The recording is never held in memory: peak memory
    does not grow with its length.

    Parameters
    ----------
    working_directory
        Folder for intermediate results. When it is given, every finished block of `run`
        is kept there, and a run with the same input and parameters that was interrupted
        goes on where it stopped; so does `save` to zarr, and to HDF5 without
        compression. Without it nothing is kept.
    logging_level
        Level of this module's log lines (10 debug ... 50 critical).

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
        ``residual`` (pixels that are left between frame and template, by least squares;
        mostly noise in dim recordings), ``bad_frame``.
    bad_frames : numpy.ndarray
        bool (frame,): frames that are left out, see ``frame_quality``.
    frame_quality : pandas.DataFrame
        Frames that are not pictures (black, repeated, a flash ...), agree too little
        with the template, or reached `max_shifts`; from ``severity`` 0.5 on they are
        left out. See `astrocast.io.stores.frame_quality`.
    crispness : tuple of float
        Crispness of the mean image before and after: root mean square of its gradient.
    line_offset : float
        Displacement of the odd lines that is taken out, pixels, positive to the right;
        0 for none.
    border : tuple of int
        Pixels at (top, bottom, left, right) of the corrected movie that lie outside the
        raw frame in some good frame.

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
        """Return what was registered, and how far it had moved."""
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
        # caiman's spelling is the contract
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
            Recording: a path of any format that is read, a NumPy or dask array (frame,
            row, column), or a `Recording`; integer or float of any width, at least 8 x
            8 pixels. NaN and infinity are left out of the comparison.
        loc
            Dataset, in formats that hold several.
        max_shifts
            Largest shift along rows and columns, pixels; more than half of the frame
            cannot be told from its opposite and is not searched.
        niter_rig
            Rounds of aligning and averaging the sample that the template is made from.
        splits_rig
            Parts the recording is worked on in; steers the size of blocks only, within
            what memory allows.
        num_splits_to_process_rig
            Parts, spread evenly, that the sample comes from; None for all.
        strides, overlaps
            A patch is stride + overlap pixels long, and the next begins a stride
            further.
        pw_rigid
            Estimate the shift of every patch instead of one per frame.
        splits_els, num_splits_to_process_els
            The same as for the rigid correction, in a piecewise-rigid one.
        upsample_factor_grid
            Nodes of the smooth field (a cubic spline through the patches) per patch; 1
            is linear between the patches.
        max_deviation_rigid
            Largest distance of a patch's shift from the frame's, pixels.
        nonneg_movie
            Keep the corrected movie at or above zero: a recording with negative values
            is lifted by its lowest, and what the interpolation undershoots becomes
            zero.
        gSig_filt
            Sigma of the high-pass of the fine comparison, pixels: image minus its
            Gaussian blur. None for none.
        bigtiff
            Without effect: TIFF files that need it are written as BigTIFF by
            themselves.
        engine
            ``'cpu'``, ``'jax'``, or ``'auto'``: JAX where it is installed and sees a
            GPU.
        bidi
            Displacement of the odd lines (1, 3, ...) of a bidirectional scan, pixels to
            the right: a number, ``'off'``, or ``'auto'``, which estimates it and
            corrects it only where it is significant. It is taken out before the motion
            is estimated, and by `save`.
        reference_channel
            Dataset (or recording) that the motion is estimated on instead, for example
            that of a structural dye; `save` moves the recording of `path` by it.
        line_bands
            Bands of lines that move on their own, for motion within the scan of a
            frame; 1: all lines of a frame move together. Not with `pw_rigid`.
        also
            Further channels that moved along (names of datasets in the same file,
            paths, or arrays): the motion is estimated on all of them together. `save`
            applies it to any.
        check_channels
            Refuse a file of which even and odd frames look like two channels. Results
            of this package, arrays and opened recordings are not looked at.

        Raises
        ------
        InvalidValueError
            A parameter, or the shape of the recording, cannot be worked with.
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
                motion = applied_to(motion, own, self.settings.nonneg_movie)
            self._motion, self._line_offset = motion, line_offset
        self._source = (path, loc or None)
        self.logger.info("motion: %s", self.summary())

    def for_channel(self, loc: str, reference: str) -> MotionCorrection:
        """Return the same motion for another dataset of the file, to `save` it.

        The lowest value and the frames that are not pictures are those of ``loc``;
        ``reference`` is the dataset that this motion was estimated on.
        """
        assert self._source is not None
        motion, file = self._computed_motion(), self._source[0]
        other = copy(self)
        with open_recording(file, loc) as own, open_recording(file, reference) as first:
            check_same_shape(own, first, reference)
            other._motion = applied_to(motion, own, self.settings.nonneg_movie)
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
            Path of the corrected movie, its suffix decides the format; None returns the
            movie in memory. Shifts and quality are written beside it
            (`astrocast.io.stores.registration_store`).
        loc
            Dataset, in formats that hold several.
        chunk_strategy, chunks, compression
            How it is stored, see `astrocast.io.create_recording`.
        remove_intermediate
            Remove what `run` kept in the working directory for this recording (never
            the directory itself).
        dtype
            Of the corrected movie: float32, or an integer type (rounded and clipped to
            its range).
        source, source_loc
            Another channel of the same number of frames to correct by the same motion;
            the one of `run` when None. A name in ``source_loc`` alone is a dataset in
            the file of `run`.
        overwrite
            Replace a dataset that is already there.

        Returns
        -------
        numpy.ndarray or None
            The corrected movie (frame, row, column) where there is no output.
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
                    f"a recording of shape {recording.shape} is to be corrected, the"
                    f" motion is known of {expected}; channels that moved together have"
                    " the same shape"
                )
            pool = stack.enter_context(worker_threads("motion"))
            resume = None
            if output is not None and motion.kept is not None:
                resume = journal(
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
        if remove_intermediate and motion.kept is not None:
            shutil.rmtree(motion.kept, ignore_errors=True)
        return writer.array if isinstance(writer, ArrayWriter) else None
