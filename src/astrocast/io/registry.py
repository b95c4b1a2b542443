"""From a path or an array to a recording, and from a path to a writer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from astrocast.errors import FormatError, InvalidTypeError, OutputError, RecordingNotFoundError
from astrocast.io.chunks import ChunkStrategy, check_chunks, infer_chunks
from astrocast.io.memory import ArrayRecording, ArrayWriter, DaskRecording
from astrocast.io.recording import Metadata, Recording, RecordingWriter, as_dtype

HDF5_SUFFIXES = (".h5", ".hdf5")
TIFF_SUFFIXES = (".tif", ".tiff")


def open_recording(source: Any, loc: str | None = None) -> Recording:
    """Open a recording for reading, lazily.

    Parameters
    ----------
    source
        Path of a file or folder, a NumPy or dask array (frame, row, column), or a `Recording`, returned as it is.
    loc
        Name of the dataset in formats that hold several (HDF5, zarr).
    """
    if isinstance(source, Recording):
        return source
    if isinstance(source, np.ndarray):
        return ArrayRecording(source)
    if hasattr(source, "dask") and hasattr(source, "chunks"):
        return DaskRecording(source)
    if not isinstance(source, (str, Path)):
        raise InvalidTypeError(f"a recording is a path or an array, got {type(source).__name__}")
    path = Path(source)
    if not path.exists():
        raise RecordingNotFoundError(f"there is no file or folder {path}; check the path")
    suffix = path.suffix.lower()
    if suffix in HDF5_SUFFIXES:
        from astrocast.io.hdf5 import HDF5Recording

        return HDF5Recording(path, loc)
    if suffix in TIFF_SUFFIXES:
        from astrocast.io.tiff import TiffRecording

        return TiffRecording(path)
    raise FormatError(f"{path} is of no format that can be read; known are {', '.join(HDF5_SUFFIXES + TIFF_SUFFIXES)}")


def open_interleaved(source: Any, loc: str | None = None, *, sep: str = "_", channels: int = 1) -> Recording:
    """Open a recording of which the frames of ``channels`` channels alternate."""
    return open_recording(source, loc)


def create_recording(
    path: str | Path | None,
    loc: str | None,
    shape: tuple[int, int, int],
    dtype: DTypeLike,
    *,
    chunk_strategy: ChunkStrategy = "balanced",
    chunks: tuple[int, int, int] | None = None,
    compression: str | None = None,
    metadata: Metadata | None = None,
    attributes: dict[str, Any] | None = None,
    overwrite: bool = False,
) -> RecordingWriter:
    """Create a writer for a recording; the suffix of ``path`` decides the format, None writes to memory."""
    kind = as_dtype(dtype)
    if path is None:
        return ArrayWriter(shape, kind)
    path = Path(path)
    if not path.parent.is_dir():
        raise OutputError(f"the folder {path.parent} does not exist; create it first")
    cut = check_chunks(chunks, shape) if chunks else infer_chunks(shape, kind, chunk_strategy)
    if path.suffix.lower() in HDF5_SUFFIXES:
        from astrocast.io.hdf5 import HDF5Writer

        return HDF5Writer(path, loc or "", shape, kind, cut, compression, metadata, attributes, overwrite)
    raise FormatError(f"{path} is of no format that can be written; known are {', '.join(HDF5_SUFFIXES)}")
