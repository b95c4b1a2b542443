"""Read and write TIFF: BigTIFF, OME-TIFF, ImageJ, ScanImage, Micro-Manager, Bruker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from astrocast.errors import InvalidValueError
from astrocast.io.formats.tiff_metadata import OME_DTYPES, description
from astrocast.io.formats.tiff_source import TiffSource, find_source
from astrocast.io.recording import (
    ALL,
    Metadata,
    Recording,
    check_movie_shape,
    named_errors,
)
from astrocast.io.selection import Selection
from astrocast.io.writing.files import (
    Replacement,
    SequentialWriter,
    check_space,
    open_for_writing,
)

#: largest size of frames in a classic TIFF, which is limited to 4 GB in total
CLASSIC_BYTES = (1 << 32) - (1 << 26)


class TiffRecording(Recording):
    """The recording that a TIFF file belongs to, in one file or several.

    Frames of several channels alternate, for any order in the files.

    Parameters
    ----------
    path
        Any file of the recording.
    loc
        Ignored: a TIFF file has no datasets.
    selection
        Plane and position to read.
    source
        The planes, if they are already known.
    whole
        Whether the folder of the file was opened, not the file.
    """

    path: Path

    def __init__(
        self,
        path: Path,
        loc: str | None = None,
        selection: Selection | None = None,
        source: TiffSource | None = None,
        whole: bool = False,
    ) -> None:
        found = source or find_source(path, selection or Selection(), whole)
        self.path, self._planes, self._convert = path, found.planes, found.convert
        self.channels, self.metadata = found.channels, found.metadata
        self.choices, self.remarks = found.choices, found.remarks
        self.shape = check_movie_shape(
            (len(self._planes.page_of), *self._planes.size), str(path)
        )
        self.dtype = self._convert[0] if self._convert else self._planes.dtype

    @named_errors
    def read(
        self, start: int, stop: int, rows: slice = ALL, columns: slice = ALL
    ) -> NDArray[Any]:
        """Return a block, see `Recording.read`."""
        return self.read_every(start, stop, 1, rows, columns)

    @named_errors
    def read_every(
        self, start: int, stop: int, step: int, rows: slice = ALL, columns: slice = ALL
    ) -> NDArray[Any]:
        """Return every ``step``-th frame without reading the others."""
        block = self._planes.read(np.arange(start, stop, step), rows, columns)
        return self._convert[1](block) if self._convert else block

    def close(self) -> None:
        """Close the files."""
        self._planes.release()

    def release(self) -> None:
        """Close the files until the next read."""
        self._planes.release()


class TiffWriter(SequentialWriter):
    """Write an OME-TIFF, as BigTIFF if it needs more than 4 GB."""

    def __init__(
        self,
        path: Path,
        loc: str | None,
        shape: tuple[int, int, int],
        dtype: np.dtype[Any],
        **options: Any,
    ):
        if options.get("compression"):
            raise InvalidValueError(
                "TIFF files are written without compression; leave compression out, or"
                " write .h5 or .zarr"
            )
        new = Replacement(
            path, overwrite=options.get("overwrite", False), durable=False
        )
        beside = new.beside
        need = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        check_space(path.parent, need, path)
        open_for_writing(beside).close()
        stored = np.dtype(np.uint8) if dtype.kind == "b" else dtype
        metadata: Metadata = options.get("metadata") or Metadata()
        ome = stored.name in OME_DTYPES
        with tifffile.TiffWriter(beside, bigtiff=need > CLASSIC_BYTES, ome=ome) as tiff:
            written = tiff.write(
                None,
                shape=shape,
                dtype=stored,
                photometric="minisblack",
                returnoffset=True,
                **description(metadata, ome, options.get("attributes") or {}),
            )
        assert written is not None
        file = beside.open("r+b", buffering=0)
        file.seek(written[0])
        super().__init__(new, file, shape, stored)
