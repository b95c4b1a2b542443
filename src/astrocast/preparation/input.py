"""From the file of a microscope to one dataset per channel."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from astrocast.errors import AstrocastWarning, stack_level
from astrocast.io.access import allowing
from astrocast.io.chunks import check_chunks, infer_chunks
from astrocast.io.naming import is_url
from astrocast.io.recording import Recording
from astrocast.io.registry import (
    create_recording,
    open_interleaved,
    open_recording,
)
from astrocast.io.selection import Missing
from astrocast.io.stores.frame_quality import write_frame_quality
from astrocast.io.views import as_dask
from astrocast.preparation.channels import (
    Conversion,
    interleave,
    subtract,
    subtract_offset,
    transform,
)
from astrocast.preparation.invalid_border import replace_invalid
from astrocast.runtime.blocks import copy_blocks
from astrocast.runtime.frame_quality import (
    MeasuredCopy,
    find_frame_quality,
    with_missing,
)
from astrocast.runtime.instance_logger import instance_logger
from astrocast.runtime.progress import track
from astrocast.runtime.provenance import plain
from astrocast.runtime.stage_input import refuse_alternation
from astrocast.settings.conversion import ConversionSettings

#: raise it when the conversion of the same recording gives other values
ALGORITHM_VERSION = 2
logger = logging.getLogger(__name__)

#: formats of which a file holds one recording: several channels become several files
SINGLE = (".tif", ".tiff", ".npy", ".tdb", ".mp4", ".avi")
#: bytes of one chunk of a lazy result in memory: few enough tasks, small enough to hold
#: several
LAZY_BYTES = 32 << 20


class Input:
    """Read recordings of many formats, prepare them, and store the result.

    Splits channels, subtracts a background, resizes and converts.

    Parameters
    ----------
    logging_level
        Level of the messages of this class, as in `logging`.

    Examples
    --------
    >>> import numpy as np
    >>> movie = np.arange(8 * 4 * 4, dtype=np.uint16).reshape(8, 4, 4)
    >>> channels = Input().run(movie, channels=2, dtype="uint16", in_memory=True)
    >>> {name: frames.shape for name, frames in channels.items()}
    {'data/ch0': (4, 4, 4), 'data/ch1': (4, 4, 4)}
    """

    def __init__(self, logging_level: int = 20) -> None:
        self.logger = instance_logger(__name__, logging_level)

    def __repr__(self) -> str:
        """Return the name of the class; it holds nothing between calls."""
        return "<Input: run(path) reads and converts a recording>"

    def run(
        self,
        input_path: str | Path | NDArray[Any] | Recording,
        output_path: str | Path | None = None,
        sep: str = "_",
        channels: int | dict[int, str] = 1,
        z_slice: tuple[int, int] | None = None,
        lazy: bool = True,
        subtract_background: str | float | NDArray[Any] | None = None,
        subtract_func: (
            Literal["mean", "max", "min", "std"] | Callable[..., Any] | None
        ) = "mean",
        rescale: float | int | tuple[float, float] | tuple[int, int] | None = None,
        dtype: Any = int,
        in_memory: bool = False,
        loc_in: str | None = None,
        loc_out: str = "data",
        chunk_strategy: Literal["balanced", "XY", "Z"] = "balanced",
        chunks: tuple[int, int, int] | None = None,
        compression: Literal["gzip", "szip", "lz4", "lzf", "zstd"] | None = None,
        *,
        offset: float | Literal["auto"] | None = None,
        other_files: bool = False,
        missing_chunks: bool = False,
        plane: int | str | None = None,
        position: int | str | None = None,
        channel: int | str | None = None,
        axes: str | None = None,
        missing: Missing = "refuse",
        nan_border: Literal["keep", "crop", "fill"] = "keep",
        check_channels: bool = True,
    ) -> dict[str, Any]:
        """Convert a recording; returns its channels, or writes them and returns where.

        The steps are, in this order: split the channels, subtract the background,
        rescale, convert the dtype. Every step works frame by frame, so the result does
        not depend on how the recording is cut into blocks, and memory does not grow
        with its length (a `subtract_func` sees whole time courses of a few rows at a
        time).

        Parameters
        ----------
        input_path
            File or folder: TIFF, a folder of TIFFs, HDF5, zarr, TileDB, NumPy, CZI,
            LIF, ND2, AVI, MP4; or an array.
        output_path
            File to write, its suffix decides the format; an existing HDF5 file or zarr
            store gains datasets. Formats of one recording per file (TIFF, NumPy,
            TileDB, video) get one file per channel, ``<stem>_<channel>.<suffix>``, when
            there are several. None returns the data.
        sep
            The TIFFs of a folder are sorted by the number after the last ``sep`` in
            their names.
        channels
            Number of interleaved channels: frames ``i, i + k, i + 2 k ...`` of the file
            are channel ``i`` and become ``<loc_out>/ch<i>``. A dict ``{0: "a", 1:
            "b"}`` names the datasets instead, and ``loc_out`` does not apply.
        z_slice
            Frames of the file to convert, ``(first, last + 1)``, counted before
            channels are split: the channel of a frame is decided by its place in the
            file.
        lazy
            Read block by block; False loads the recording into memory first.
        subtract_background
            A number; the name of a channel (``"ch1"``, ``"data/ch1"`` or its name in
            ``channels``), which is then not written; or an array: one frame, or several
            that are reduced as well. Calculated in signed floating point.
        subtract_func
            How the background's frames become one frame: ``mean``, ``max``, ``min``,
            ``std``, or a function that is called as ``f(frames, axis=0)``, for example
            `numpy.median`.
        rescale
            A float (or two, row and column) is a factor; an int (or two) the final size
            in pixels; 1 leaves the size as it is. Anti-aliased, see
            `astrocast.kernels.frames.resample`.
        dtype
            dtype of the result. Values are rounded and saturate at the limits of an
            integer type, with one warning that counts them. The default gives int64.
        in_memory
            Without ``output_path``: return NumPy arrays; otherwise lazy dask arrays.
        loc_in
            Dataset to read, where the file holds several.
        loc_out
            Group of the written datasets.
        chunk_strategy, chunks
            Shape of a chunk, see `astrocast.io.chunks.infer_chunks`.
        compression
            ``gzip``, ``szip``, ``lzf``, ``lz4`` or ``zstd`` for HDF5; zarr stores with
            lz4 unless another is named.
        offset
            Counts of the camera in the dark, subtracted from every pixel before
            anything else; "auto" takes it from what the microscope measured, where the
            file says it, otherwise from dark frames (shutter closed). Use a float
            dtype, or noise below the offset is cut off.
        other_files
            Read pixels that an HDF5 file takes from other files (links, virtual
            datasets, external storage); refused otherwise.
        missing_chunks
            Read chunks that are not in a zarr or HDF5 store as its fill value; refused
            otherwise.
        plane, position, channel
            Which to read of a file that holds several: numbers counted from 0, or
            names. With ``channel`` it becomes the only one; without, all are read, as
            many as ``channels``. A `Recording` as input was chosen when it was opened.
        axes
            Names of the axes of an array where the file does not name them, for example
            ``"TZYX"``, see `astrocast.io.open_recording`.
        missing
            What becomes of frames that the numbers in the names of a folder's files
            show to be missing: ``"refuse"``, ``"blank"`` (frames of 0, marked as
            missing in the table of frames) or ``"close"``.
        nan_border
            What becomes of pixels that are not numbers, as at the border of a
            registered recording: ``"keep"`` them (float types only), ``"crop"`` to the
            largest rectangle of pixels that are numbers in all frames, or ``"fill"``
            with the mean of their frame.
        check_channels
            Refuse a recording of which even and odd frames look like two channels when
            it is read as one.

        Returns
        -------
        dict
            Dataset name to array, or to the path that was written.

        Raises
        ------
        RecordingNotFoundError, FormatError, DatasetNotFoundError, InvalidValueError
            The input is not there, is damaged, or does not fit the parameters.
        OutputExistsError, OutputError
            The output is there already, or cannot be written.
        """
        settings: ConversionSettings = ConversionSettings.checked(
            sep=sep,
            channels=channels,
            z_slice=z_slice,
            lazy=lazy,
            subtract_background=subtract_background,
            subtract_func=subtract_func,
            rescale=rescale,
            dtype=dtype,
            in_memory=in_memory,
            loc_in=loc_in,
            loc_out=loc_out,
            chunk_strategy=chunk_strategy,
            chunks=chunks,
            compression=compression,
            offset=offset,
            other_files=other_files,
            missing_chunks=missing_chunks,
            plane=plane,
            position=position,
            channel=channel,
            axes=axes,
            missing=missing,
            nan_border=nan_border,
            check_channels=check_channels,
        )
        if settings.dtype is int:
            warnings.warn(
                "dtype=int stores 8 bytes per pixel; dtype='float32' or the unsigned"
                " type of the camera is smaller",
                AstrocastWarning,
                stacklevel=stack_level(),
            )
        with allowing(other_files=other_files, missing_chunks=missing_chunks):
            source = open_chosen(input_path, settings)
        keep_open = False
        try:
            if settings.check_channels and channel_count(settings.channels) == 1:
                refuse_alternation(source)
            if not settings.lazy:
                source = in_memory_copy(source)
            prepared = prepare(source, settings)
            if output_path is not None:
                where = output_path if is_url(output_path) else Path(output_path)
                return self._write(prepared, where, settings)
            if settings.in_memory:
                return {c.name: read_whole(c) for c in prepared}
            keep_open = True
            return {
                c.name: as_dask(c.recording, lazy_chunks(c.recording, settings))
                for c in prepared
            }
        finally:
            if not keep_open:
                source.close()

    def _write(
        self,
        prepared: list[Conversion],
        path: Path | str,
        settings: ConversionSettings,
    ) -> dict[str, Path | str]:
        written: dict[str, Path | str] = {}
        for channel in prepared:
            target = path
            if len(prepared) > 1 and isinstance(path, Path):
                target = channel_path(path, channel.name)
            recording = channel.recording
            with (
                create_recording(
                    target,
                    channel.name,
                    recording.shape,
                    recording.dtype,
                    chunk_strategy=settings.chunk_strategy,
                    chunks=settings.chunks,
                    compression=settings.compression,
                    metadata=recording.metadata,
                    attributes={
                        "conversion": json.dumps(provenance(settings, recording))
                    },
                ) as writer,
                track(f"convert {channel.name}", len(recording)) as advance,
            ):
                measured = MeasuredCopy()
                copy_blocks(recording, writer, advance=advance, operation=measured)
            channel.report(self.logger)
            store_frame_quality(measured, recording, target, channel.name, self.logger)
            written[channel.name] = target
            self.logger.info(
                "%s: %s %s in %s",
                channel.name,
                recording.shape,
                recording.dtype,
                target,
            )
        return written


def open_chosen(source: Any, settings: ConversionSettings) -> Recording:
    """Return the recording that the settings choose of a source.

    A `Recording` is taken as it is: it was chosen when it was opened.
    """
    count = channel_count(settings.channels)
    if isinstance(source, Recording):
        return open_interleaved(source, channels=count)
    return open_interleaved(
        source,
        settings.loc_in,
        sep=settings.sep,
        channels=count,
        plane=settings.plane,
        position=settings.position,
        channel=settings.channel,
        axes=settings.axes,
        missing=settings.missing,
    )


def store_frame_quality(
    measured: MeasuredCopy,
    recording: Recording,
    target: Path | str,
    name: str,
    logger: logging.Logger,
) -> None:
    """Store which frames are not pictures beside the recording that was written.

    The table is empty where all are: later stages then do not measure again. Frames
    that the input lacks are marked as missing.
    """
    single = isinstance(target, Path) and target.suffix.lower() in SINGLE
    loc = None if single else name
    table = measured.table(len(recording), recording.missing)
    if table is None:  # workers of a cluster copied the blocks
        with open_recording(target, loc or name) as written:
            found = find_frame_quality(written)
        table = with_missing(found, len(recording), recording.missing)
    write_frame_quality(target, loc, table)
    counts = table["kind"].value_counts()
    if len(counts):
        listed = ", ".join(f"{n} {kind}" for kind, n in counts.items())
        logger.warning("%s: frames that are not pictures: %s", name, listed)


def channel_count(channels: int | dict[int, str]) -> int:
    """Return how many channels are interleaved."""
    return channels if isinstance(channels, int) else len(channels)


def prepare(source: Recording, settings: ConversionSettings) -> list[Conversion]:
    """Return the channels that will be written, each a lazy recording."""
    first, stop = settings.z_slice or (0, len(source))
    channels = interleave(source, settings.channels, settings.loc_out, first, stop)
    channels = [replace_invalid(c, settings.nan_border) for c in channels]
    channels = subtract_offset(channels, settings.offset)
    channels = subtract(channels, settings.subtract_background, settings.subtract_func)
    return [transform(c, settings.rescale, settings.dtype) for c in channels]


def read_whole(channel: Conversion) -> NDArray[Any]:
    """Return one channel in memory, read block by block to avoid a second copy."""
    writer = create_recording(
        None, None, channel.recording.shape, channel.recording.dtype
    )
    with track(f"convert {channel.name}", len(channel.recording)) as advance:
        copy_blocks(channel.recording, writer, advance=advance)
    channel.report(logger)
    return writer.array  # type: ignore[attr-defined] # a writer to memory has it


def in_memory_copy(source: Recording) -> Recording:
    """Return the recording loaded into memory, and close the source."""
    from astrocast.io.memory import ArrayRecording

    loaded = ArrayRecording(source.to_array(), source.metadata, source.path)
    source.close()
    return loaded


def lazy_chunks(
    recording: Recording, settings: ConversionSettings
) -> tuple[int, int, int]:
    """Return the chunks of a lazy result."""
    if settings.chunks:
        return check_chunks(settings.chunks, recording.shape)
    return infer_chunks(
        recording.shape, recording.dtype, settings.chunk_strategy, LAZY_BYTES
    )


def channel_path(path: Path, name: str) -> Path:
    """Return the path of one of several channels: the store, or a separate file."""
    if path.suffix.lower() not in SINGLE:
        return path
    return path.with_name(f"{path.stem}_{name.split('/')[-1]}{path.suffix}")


def provenance(settings: ConversionSettings, recording: Recording) -> dict[str, Any]:
    """Return file and processing steps as plain values."""
    values = {name: getattr(settings, name) for name in type(settings).model_fields}
    if isinstance(values["subtract_background"], np.ndarray):
        values["subtract_background"] = (
            f"array of shape {values['subtract_background'].shape}"
        )
    return {"input": str(recording.path) if recording.path else None, **plain(values)}
