"""Open a growing recording by its path."""

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
        A folder of TIFF files, a TIFF file, a zarr array, a ``.npy`` file, or a raw
        binary file. It may not exist yet.
    raw
        Layout of a raw binary file.
    loc
        Name of the array, for a zarr store with several.
    sep
        Files of a folder are sorted by the number after the last ``sep``.
    clock
        Function that returns the time in seconds.
    settle
        A file is complete if it has not changed for this time, seconds.

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
                f"{path} is a folder, but rows, columns and dtype are only for a raw"
                " binary file; leave them out"
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
            f"{path} is a raw binary file: give its rows, columns and dtype (command"
            " line: --rows, --columns, --dtype)"
        )
    raise FormatError(
        f"{path} cannot be read while it is being written. Possible are: a folder of"
        f" TIFF files, a TIFF file ({', '.join(SUFFIXES)}), a zarr array (.zarr), a"
        " .npy file, and a raw binary file with given rows, columns and dtype"
    )
