"""The known file formats: suffixes, readers, writers; other packages can add more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from astrocast.errors import InvalidTypeError


@dataclass(frozen=True)
class Format:
    """A file format: its suffixes, reader and writer.

    Another package can add formats with an entry point of the group
    ``astrocast.formats`` that refers to a `Format` or a list of formats.

    Parameters
    ----------
    name
        Name of the format in messages.
    suffixes
        Suffixes of its files, lower case.
    reader, writer
        ``module:callable``, imported when it is needed; the writer may be None. The
        reader is called with (path, loc), or (path, loc, `Selection`) if ``selects`` is
        true, and returns a `Recording`. The writer is called with (path, loc, shape,
        dtype, **options) and returns a `RecordingWriter`.
    folder
        Whether the format is a folder, not a file.
    several
        Whether a file can contain several recordings, named by ``loc``.
    selects
        Whether the reader supports the choice of planes and positions.
    """

    name: str
    suffixes: tuple[str, ...]
    reader: str
    writer: str | None = None
    folder: bool = False
    several: bool = False
    selects: bool = False


_OWN = "astrocast.io.formats"
FORMATS = (
    Format(
        "HDF5",
        (".h5", ".hdf5"),
        f"{_OWN}.hdf5:HDF5Recording",
        f"{_OWN}.hdf5_writer:HDF5Writer",
        several=True,
        selects=True,
    ),
    Format(
        "TIFF",
        (".tif", ".tiff", ".btf", ".tf8"),
        f"{_OWN}.tiff:TiffRecording",
        f"{_OWN}.tiff:TiffWriter",
        selects=True,
    ),
    Format(
        "zarr",
        (".zarr",),
        f"{_OWN}.zarr_store:ZarrRecording",
        f"{_OWN}.zarr_writer:ZarrWriter",
        folder=True,
        several=True,
        selects=True,
    ),
    Format(
        "NumPy",
        (".npy",),
        f"{_OWN}.npy:open_npy",
        f"{_OWN}.npy:NpyWriter",
        selects=True,
    ),
    Format(
        "TileDB",
        (".tdb",),
        f"{_OWN}.tiledb_array:TileDBRecording",
        f"{_OWN}.tiledb_array:TileDBWriter",
        folder=True,
    ),
    Format(
        "video",
        (".mp4", ".avi"),
        f"{_OWN}.video:VideoRecording",
        f"{_OWN}.video:VideoWriter",
    ),
    Format("OME companion", (".ome",), f"{_OWN}.tiff:TiffRecording", selects=True),
    Format("Zeiss CZI", (".czi",), f"{_OWN}.czi:CziRecording", selects=True),
    Format(
        "Leica LIF", (".lif",), f"{_OWN}.lif:LifRecording", several=True, selects=True
    ),
    Format("Nikon ND2", (".nd2",), f"{_OWN}.nd2_file:ND2Recording", selects=True),
    Format(
        "NWB",
        (".nwb",),
        f"{_OWN}.nwb_series:NwbRecording",
        several=True,
        selects=True,
    ),
    Format(
        "MATLAB 7.3",
        (".mat",),
        f"{_OWN}.matlab:MatRecording",
        several=True,
        selects=True,
    ),
    Format("suite2p", (".bin",), f"{_OWN}.pipelines:open_suite2p"),
    Format("CaImAn", (".mmap",), f"{_OWN}.pipelines:open_caiman", selects=True),
)


@cache
def registered_formats() -> tuple[Format, ...]:
    """Return the formats that other packages add by entry points."""
    found: list[Format] = []
    for entry in entry_points(group="astrocast.formats"):
        loaded = entry.load()
        for item in [loaded] if isinstance(loaded, Format) else list(loaded):
            if not isinstance(item, Format):
                raise InvalidTypeError(
                    f"the entry point {entry.name} of astrocast.formats refers to"
                    f" {type(item).__name__}; expected"
                    " astrocast.io.known_formats.Format"
                )
            found.append(item)
    return tuple(found)


def find_format(path: Path) -> Format | None:
    """Return the format of a path by its suffix."""
    suffix = path.suffix.lower()
    own = next((f for f in FORMATS if suffix in f.suffixes), None)
    if own is not None or not suffix:
        return own
    return next((f for f in registered_formats() if suffix in f.suffixes), None)


def suffixes(*, writable: bool = False) -> str:
    """Return the known suffixes as a text, for messages."""
    known = [*FORMATS, *registered_formats()]
    return ", ".join(s for f in known if f.writer or not writable for s in f.suffixes)


def load_callable(where: str) -> Callable[..., Any]:
    """Return the callable of a text ``module:callable``."""
    module, name = where.split(":")
    return getattr(import_module(module), name)
