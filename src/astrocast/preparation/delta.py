"""Bleach correction: the signal above a slowly changing background."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from astrocast.errors import (
    AstrocastWarning,
    InvalidTypeError,
    InvalidValueError,
    NotRunError,
    stack_level,
)
from astrocast.io.chunks import check_chunks, infer_chunks
from astrocast.io.recording import Recording
from astrocast.io.registry import create_recording, open_recording
from astrocast.io.views import as_dask
from astrocast.preparation.baseline_kinds import baseline_recording
from astrocast.preparation.baselines import BaselineRecording
from astrocast.preparation.bridged_frames import bridge_bad_frames
from astrocast.runtime.blocks import copy_blocks
from astrocast.runtime.progress import track
from astrocast.runtime.provenance import plain
from astrocast.runtime.stage_input import open_stage_input
from astrocast.settings.delta import DeltaSettings

Baseline = Literal[
    "minimum", "percentile", "corrected_minimum", "exponential", "double_exponential"
]
#: bytes of one chunk of a lazy result
LAZY_BYTES = 32 << 20

#: increase it when dF or dF/F of the same recording changes
ALGORITHM_VERSION = 2


class Delta:
    """Estimate the background of each pixel; return the signal above it.

    Parameters
    ----------
    data
        Path of a recording, a NumPy array or a dask array (frame, row, column), any
        real dtype, without NaN.
    loc
        Dataset in formats that hold several.

    Attributes
    ----------
    result : array
        The result of `run`; None before.
    floored : int
        Number of voxels whose background was below `floor`, so that ``dFF`` divided by
        `floor` instead. Counted while the result is computed or saved.

    Examples
    --------
    >>> import numpy as np
    >>> movie = np.array([5, 5, 9, 5, 5], dtype=np.uint16).reshape(-1, 1, 1)
    >>> Delta(movie).run(window=2, method="dF").ravel().tolist()
    [0.0, 0.0, 4.0, 0.0, 0.0]
    """

    def __init__(self, data: str | Path | NDArray[Any] | Any, loc: str = "") -> None:
        self.data, self.loc = data, loc
        self.result: Any = None
        self._signal: BaselineRecording | None = None
        self._stored: Recording | None = None
        self._settings: DeltaSettings | None = None

    def __repr__(self) -> str:
        """Return the input, the method and the window as text."""
        name = (
            f"array of shape {self.data.shape}"
            if hasattr(self.data, "shape")
            else str(self.data)
        )
        place = f" {self.loc}" if self.loc else ""
        if self._settings is None:
            return f"<Delta of {name}{place}, not run yet>"
        done = f"{self._settings.method}, window of {self._settings.window} frames"
        return f"<Delta of {name}{place}: {done}>"

    @property
    def floored(self) -> int:
        """Number of voxels for which ``dFF`` divided by `floor`."""
        return self._signal.tally if self._signal else 0

    def run(
        self,
        window: int,
        method: Literal["background", "dF", "dFF"] = "dF",
        chunk_strategy: Literal["balanced", "XY", "Z"] = "Z",
        chunks: tuple[int, int, int] | None = None,
        overwrite_first_frame: bool = True,
        *,
        baseline: Baseline = "minimum",
        percentile: float = 10.0,
        smooth: int = 9,
        floor: float = 1.0,
        check_channels: bool = True,
    ) -> Any:
        """Return the corrected recording, as an array or lazily (see Returns).

        Parameters
        ----------
        window
            The background of a frame is estimated from this many frames on each side.
        method
            ``background``, ``dF`` = F - background, or ``dFF`` = (F - background) /
            background.
        chunk_strategy, chunks
            Chunks of a lazy result, see `astrocast.io.chunks.infer_chunks`.
        overwrite_first_frame
            Replace frame 0 of the result by frame 1.
        baseline
            ``minimum``: the two-sided rolling minimum; ``percentile``: a running
            percentile of the frames ``t - window`` to ``t + window``;
            ``corrected_minimum``: the minimum of a moving average, corrected for the
            bias that noise causes; ``exponential``, ``double_exponential``: a decay
            fitted to the mean trace and scaled to each pixel (``window`` has no
            effect). ``docs/algorithms/baseline.md`` says when to use which.
        percentile
            0 to 100, for ``baseline="percentile"``.
        smooth
            Length of the moving average, an odd number of frames, for
            ``baseline="corrected_minimum"``.
        floor
            ``dFF`` divides by at least this background.
        check_channels
            Raise an error if the even and odd frames of a file look like two channels.
            Results of this package, arrays and opened recordings are not checked.

        Returns
        -------
        ndarray or dask array
            float32 (frame, row, column). If the input is a NumPy array, an array in
            memory; if it is a dask array or a path, a lazy dask array, which `save`
            writes block by block.

        Raises
        ------
        InvalidValueError
            A parameter is invalid; the recording has one frame, or contains NaN or
            infinity.
        """
        self._settings = DeltaSettings.checked(
            window=window,
            method=method,
            chunk_strategy=chunk_strategy,
            chunks=chunks,
            overwrite_first_frame=overwrite_first_frame,
            baseline=baseline,
            percentile=percentile,
            smooth=smooth,
            floor=floor,
            check_channels=check_channels,
        )
        try:
            recording = open_stage_input(
                self.data,
                self.loc or None,
                check_channels=self._settings.check_channels,
            )
        except InvalidTypeError as error:  # this class documents a ValueError
            raise InvalidValueError(str(error)) from error
        if len(recording) < 2:
            raise InvalidValueError(
                "the recording has one frame; a background over time needs at least two"
            )
        self._signal = baseline_recording(bridge_bad_frames(recording), self._settings)
        if isinstance(self.data, np.ndarray):
            self.result = self._compute(self._signal)
        elif recording.path is not None and recording.path.suffix.lower() == ".tdb":
            self.result = self._overwrite(recording.path, self._signal)
        else:
            cut = self._settings.chunks or infer_chunks(
                recording.shape,
                np.dtype(np.float32),
                self._settings.chunk_strategy,
                LAZY_BYTES,
            )
            self.result = as_dask(self._signal, check_chunks(cut, recording.shape))
        return self.result

    def _overwrite(self, path: Path, signal: BaselineRecording) -> Any:
        """Replace a TileDB recording by its correction (new file, then rename)."""
        warnings.warn(
            f"{path} is overwritten with its {signal.settings.method}, as documented"
            " for .tdb files. To keep the recording, copy or convert it (.h5) first",
            AstrocastWarning,
            stacklevel=stack_level(),
        )
        chunks = infer_chunks(
            signal.shape, signal.dtype, signal.settings.chunk_strategy
        )
        with (
            create_recording(
                path,
                None,
                signal.shape,
                np.float32,
                chunks=signal.settings.chunks or chunks,
                metadata=signal.metadata,
                attributes=self._attributes(),
                overwrite=True,
            ) as writer,
            track("delta", len(signal)) as advance,
        ):
            signal.stream(writer, advance)
            signal.close()
        self._report()
        self._stored = open_recording(path)
        return as_dask(self._stored, check_chunks(chunks, signal.shape))

    def _attributes(self) -> dict[str, str]:
        assert self._settings is not None
        return {"delta": json.dumps(plain(self._settings.model_dump()))}

    def _compute(self, signal: BaselineRecording) -> NDArray[np.float32]:
        with track("delta", len(signal)) as advance:
            writer = create_recording(None, None, signal.shape, np.float32)
            signal.stream(writer, advance)
        self._report()
        return writer.array  # type: ignore[attr-defined] # a writer to memory has it

    def save(
        self,
        output_path: str | Path,
        loc: str = "df",
        chunk_strategy: Literal["balanced", "XY", "Z"] = "balanced",
        chunks: tuple[int, int, int] | None = None,
        compression: Literal["gzip", "szip", "lz4", "lzf", "zstd"] | None = None,
        overwrite: bool = False,
    ) -> None:
        """Write the result, block by block unless it is in memory already.

        Parameters
        ----------
        output_path
            File to write; the suffix decides the format. An existing HDF5 file or zarr
            store, also that of the input, gains a dataset.
        loc
            Name of the dataset.
        chunk_strategy, chunks
            Shape of a chunk, see `astrocast.io.chunks.infer_chunks`.
        compression
            ``gzip``, ``szip``, ``lzf``, ``lz4`` or ``zstd``.
        overwrite
            Replace an existing dataset of this name.

        Raises
        ------
        NotRunError
            `run` has not been called.
        OutputExistsError, OutputError
            The output exists already, or cannot be written.
        """
        if self._signal is None or self._settings is None:
            raise NotRunError("no result to save yet: call run(window=...) first")
        signal = self._signal
        with (
            create_recording(
                output_path,
                loc,
                signal.shape,
                np.float32,
                chunk_strategy=chunk_strategy,
                chunks=chunks,
                compression=compression,
                metadata=signal.metadata,
                overwrite=overwrite,
                attributes=self._attributes(),
            ) as writer,
            track("delta", len(signal)) as advance,
        ):
            if isinstance(self.result, np.ndarray):
                writer.write(0, self.result)
                advance(len(signal))
            elif self._stored is not None:
                copy_blocks(self._stored, writer, advance=advance)
            else:
                signal.stream(writer, advance)
        signal.release()
        if not isinstance(self.result, np.ndarray) and self._stored is None:
            self._report()

    def _report(self) -> None:
        if self.floored and self._settings is not None:
            warnings.warn(
                f"{self.floored} voxels have a background below"
                f" {self._settings.floor:g}; for them dFF divided by"
                f" {self._settings.floor:g}. Check the offset that was subtracted, or"
                " use method='dF'",
                AstrocastWarning,
                stacklevel=stack_level(),
            )
