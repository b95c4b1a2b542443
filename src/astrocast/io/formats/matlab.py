"""Read arrays from ``.mat`` files of version 7.3, which are HDF5."""

from __future__ import annotations

from pathlib import Path

import h5py

from astrocast.errors import FormatError
from astrocast.io.formats.hdf5 import HDF5Recording
from astrocast.io.recording import Metadata
from astrocast.io.selection import Selection, check_axes

#: length of the header before the HDF5 content, bytes
HEADER = 512


class MatRecording(HDF5Recording):
    """A numeric array of a ``.mat`` file, (row, column, frame) in MATLAB.

    In the file the last axis of MATLAB is the first. ``axes`` has the order of MATLAB,
    for example ``"YXCT"``.
    """

    def __init__(
        self, path: Path, loc: str | None = None, selection: Selection | None = None
    ) -> None:
        with path.open("rb") as file:
            head = file.read(HEADER + 8)
        if not h5py.is_hdf5(path):
            old = head.startswith(b"MATLAB 5.0")
            raise FormatError(
                f"{path} is {'a .mat file of an older version' if old else 'damaged'};"
                " save it in MATLAB with save(..., '-v7.3')"
            )
        super().__init__(path, loc, selection)

    def _names(self, file: h5py.File) -> list[str]:
        return [
            n
            for n in super()._names(file)
            if not n.startswith("#") and file[n].dtype.kind in "biuf"
        ]

    def _axes(self, dataset: h5py.Dataset, selection: Selection) -> str:
        if selection.axes is not None:
            return check_axes(super()._axes(dataset, selection)[::-1])
        if dataset.ndim == 3:
            return "TXY"
        return super()._axes(dataset, selection)

    def _metadata(self, dataset: h5py.Dataset) -> Metadata:
        return Metadata()
