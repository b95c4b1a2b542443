"""TIFF recordings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from astrocast.errors import FormatError
from astrocast.io.recording import ALL, Recording, check_movie_shape


class TiffRecording(Recording):
    """A multi-page TIFF, read page by page."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.file = tifffile.TiffFile(path)
        except (tifffile.TiffFileError, ValueError, OSError) as error:
            raise FormatError(f"{path} cannot be read as TIFF: {error}") from error
        series = self.file.series[0]
        self.shape = check_movie_shape(series.shape, str(path))
        self.dtype = series.dtype
        self._pages = series.pages

    def read(self, start: int, stop: int, rows: slice = ALL, columns: slice = ALL) -> NDArray[Any]:
        """Return a block, see `Recording.read`."""
        out = np.empty((stop - start, *self.shape[1:]), self.dtype)
        for i in range(start, stop):
            out[i - start] = self._pages[i].asarray()
        return np.ascontiguousarray(out[:, rows, columns])

    def close(self) -> None:
        """Close the file."""
        self.file.close()
