"""From a path to a growing recording."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from astrocast.errors import FormatError, InvalidValueError
from astrocast.io.formats.folder import SUFFIXES
from astrocast.io.growing.raw import GrowingRaw, RawLayout, npy_layout
from astrocast.io.growing.recording import GrowingRecording
from astrocast.io.growing.tiff import GrowingFolder, GrowingTiff
from astrocast.io.growing.zarr_array import GrowingZarr

RAW_SUFFIXES = (".raw", ".bin", ".dat", ".dcimg")


def open_growing(
    path: str | Path,
    *,
    raw: RawLayout | None = None,
    loc: str | None = None,
    sep: str = "_",
    clock: Callable[[], float] = time.monotonic,
    settle: float = 2.0,
) -> GrowingRecording:
    """Open a recording that is still being written.

    Parameters
    ----------
    path
        A folder that gains TIFF files, a TIFF file that gains pages, a zarr array, a
        ``.npy`` file, or a raw binary file. It need not exist yet.
    raw
        How a raw binary file is to be read.
    loc
        Name of the array in a zarr store of several.
    sep
        Files of a folder are sorted by the number after the last ``sep``.
    clock
        Returns the time in seconds.
    settle
        What does not change for this long is taken for complete, seconds.

    Raises
    ------
    FormatError
        The format cannot be read while it is written.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if raw is not None:
        if path.is_dir():
            raise InvalidValueError(
                f"{path} is a folder; a shape is given for a raw binary file only"
            )
        return GrowingRaw(path, raw, clock, settle)
    if suffix == ".zarr" or any((path / n).exists() for n in ("zarr.json", ".zarray")):
        return GrowingZarr(path, clock, settle, loc)
    if path.is_dir() or not suffix:
        return GrowingFolder(path, clock, settle, sep)
    if suffix in SUFFIXES:
        return GrowingTiff(path, clock, settle)
    if suffix == ".npy" and path.exists():
        return GrowingRaw(path, npy_layout(path), clock, settle)
    if suffix in RAW_SUFFIXES:
        raise FormatError(
            f"{path} is a raw binary file: say how it is to be read (rows, columns and"
            " dtype; command line: --rows, --columns, --dtype)"
        )
    raise FormatError(
        f"{path} cannot be read while it is being written; what can: a folder of TIFF"
        f" files, a TIFF file ({', '.join(SUFFIXES)}), a zarr array (.zarr), a .npy"
        " file, and a raw binary file of which rows, columns and dtype are given"
    )
