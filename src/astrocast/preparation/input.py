"""Convert the file of a microscope into one dataset per channel."""

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
from astrocast.io.naming import is_url, last_part
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

#: increase it when the converted values of the same recording change
ALGORITHM_VERSION = 2
logger = logging.getLogger(__name__)

#: formats with one recording per file: several channels become several files
SINGLE = (".tif", ".tiff", ".npy", ".tdb", ".mp4", ".avi")
#: bytes of one chunk of a lazy result: large enough for few tasks, small enough that
#: several fit into memory
LAZY_BYTES = 32 << 20


class Input:
    """Read recordings of many formats, prepare them, and store the result.

    `run` splits channels, subtracts a background, resizes and converts the dtype.

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
        """Return the name of the class: an instance has no state between calls."""
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
        """Convert a recording; return its channels, or write them to a file.

        The steps are, in this order: split the channels, replace invalid pixels,
        subtract the offset, subtract the background, rescale, convert the dtype. Every
        step works frame by frame: the result does not depend on the blocks in which the
        recording is read, and memory does not grow with its length. (`subtract_func`
        gets whole time courses, a few rows at a time.)

        Parameters
        ----------
        input_path
            File or folder: TIFF, a folder of TIFFs, HDF5, zarr, TileDB, NumPy, CZI,
            LIF, ND2, AVI, MP4; or an array.
        output_path
            File to write; the suffix decides the format. An existing HDF5 file or zarr
            store gains datasets. In formats with one recording per file (TIFF, NumPy,
            TileDB, video), several channels become several files,
            ``<stem>_<channel>.<suffix>``. None returns the data.
        sep
            The TIFFs of a folder are sorted by the number after the last ``sep`` in
            their names.
        channels
            Number of interleaved channels: frames ``i, i + k, i + 2 k ...`` of the file
            are channel ``i`` and become ``<loc_out>/ch<i>``. A dict ``{0: "a", 1:
            "b"}`` names the datasets instead, and ``loc_out`` does not apply.
        z_slice
            Frames to convert, ``(first, last + 1)``, counted in the file before the
            channels are split. The position in the file decides the channel of a frame.
        lazy
            Read block by block; False loads the recording into memory first.
        subtract_background
            A number; the name of a channel (``"ch1"``, ``"data/ch1"`` or its name in
            ``channels``), which is then not written; or an array: one frame, or several
            frames, which `subtract_func` reduces to one. The difference is calculated
            in signed floating point.
        subtract_func
            Reduces the frames of the background to one frame: ``mean``, ``max``,
            ``min``, ``std``, or a function that is called as ``f(frames, axis=0)``, for
            example `numpy.median`.
        rescale
            A float (or two: rows, columns) is a factor; an int (or two) is the final
            size in pixels; 1 keeps the size. Anti-aliased, see
            `astrocast.kernels.frames.resample`.
        dtype
            dtype of the result. For an integer type, values are rounded and clipped to
            its range; one warning counts the clipped values. The default is int64.
        in_memory
            Without ``output_path``: return NumPy arrays; otherwise lazy dask arrays.
        loc_in
            Dataset to read, if the file contains several.
        loc_out
            Group of the written datasets.
        chunk_strategy, chunks
            Shape of a chunk, see `astrocast.io.chunks.infer_chunks`.
        compression
            ``gzip``, ``szip``, ``lzf``, ``lz4`` or ``zstd`` for HDF5; the default for
            zarr is lz4.
        offset
            Counts of the camera in the dark, subtracted from every pixel before the
            background. "auto" uses the dark measurement of the microscope if the file
            contains it, otherwise dark frames (shutter closed). Use a float dtype:
            unsigned types cut off the noise below the offset.
        other_files
            Allow an HDF5 file to take pixels from other files (links, virtual datasets,
            external storage); otherwise this is an error.
        missing_chunks
            Read chunks that are missing in a zarr or HDF5 store as its fill value;
            otherwise this is an error.
        plane, position, channel
            Plane, position or channel to read if the file contains several: a number
            from 0, or a name. With ``channel``, only this channel is read; without it,
            all channels, and ``channels`` must be their number. Not for a `Recording`
            as input: choose when you open it.
        axes
            Names of the axes of an array if the file does not name them, for example
            ``"TZYX"``, see `astrocast.io.open_recording`.
        missing
            What to do if the numbers in the file names of a folder show that frames are
            missing: ``"refuse"`` raises an error, ``"blank"`` inserts frames of 0
            (marked as missing in the table of frames), ``"close"`` closes the gap.
        nan_border
            What to do with NaN pixels, for example at the border of a registered
            recording: ``"keep"`` (float types only), ``"crop"`` to the largest
            rectangle without NaN in any frame, or ``"fill"`` with the mean of their
            frame.
        check_channels
            Raise an error if the even and odd frames of a recording that is read as one
            channel look like two channels.

        Returns
        -------
        dict
            Dataset name -> array, or path of the written file.

        Raises
        ------
        RecordingNotFoundError, FormatError, DatasetNotFoundError, InvalidValueError
            The input does not exist, is damaged, or does not fit the parameters.
        OutputExistsError, OutputError
            The output exists already, or cannot be written.
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
    """Open the recording in ``source`` that the settings choose.

    An open `Recording` is used unchanged: the choice was made when it was opened.
    """
    count = channel_count(settings.channels)
    if isinstance(source, Recording):
        return open_interleaved(source, channels=count)
    return open_interleaved(source, channels=count, **choices_of(settings))


def choices_of(settings: ConversionSettings) -> dict[str, Any]:
    """Return the arguments of `open_interleaved` that choose a part of a file."""
    names = ("sep", "plane", "position", "channel", "axes", "missing")
    return {"loc": settings.loc_in} | {name: getattr(settings, name) for name in names}


def store_frame_quality(
    measured: MeasuredCopy,
    recording: Recording,
    target: Path | str,
    name: str,
    logger: logging.Logger,
) -> None:
    """Write the table of bad frames beside the recording that was written.

    If no frame is bad, the table is empty: later stages then do not measure again.
    Frames that are missing in the input are marked as missing.
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
        logger.warning("%s: bad frames: %s", name, listed)


def channel_count(channels: int | dict[int, str]) -> int:
    """Return the number of interleaved channels."""
    return channels if isinstance(channels, int) else len(channels)


def prepare(source: Recording, settings: ConversionSettings) -> list[Conversion]:
    """Return the channels to write, each as a lazy recording."""
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
    """Return the path for one of several channels: the store, or a separate file."""
    if path.suffix.lower() not in SINGLE:
        return path
    return path.with_name(f"{path.stem}_{last_part(name)}{path.suffix}")


def provenance(settings: ConversionSettings, recording: Recording) -> dict[str, Any]:
    """Return the input file and the settings as values that JSON can store."""
    values = {name: getattr(settings, name) for name in type(settings).model_fields}
    if isinstance(values["subtract_background"], np.ndarray):
        values["subtract_background"] = (
            f"array of shape {values['subtract_background'].shape}"
        )
    return {"input": str(recording.path) if recording.path else None, **plain(values)}
