"""The recording that events were detected in."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from astrocast.analysis.loading import check_slice
from astrocast.errors import RecordingNotFoundError
from astrocast.io import open_recording
from astrocast.io.recording import Metadata, Recording
from astrocast.io.views import SlicedRecording, lazy_array

#: where `infer` looks for the recording of an event directory, in this order
INFERRED_SUFFIXES = (".h5", ".hdf5", ".zarr", ".tiff", ".tif", ".tdb")


class Video:
    """A recording, or a slice of one, that holds no file open.

    Parameters
    ----------
    data
        Path of a recording, a NumPy or dask array (frame, row, column), or a
        `Recording`.
    loc
        Dataset in formats that hold several.
    z_slice
        Frames (first, last + 1); all when None.

    Examples
    --------
    >>> import numpy as np
    >>> Video(np.zeros((5, 4, 4)), z_slice=(1, 3)).shape
    (2, 4, 4)
    """

    def __init__(
        self, data: Any, loc: str | None = None, z_slice: tuple[int, int] | None = None
    ) -> None:
        self.source, self.loc = data, loc
        self.z_slice = check_slice(z_slice) if z_slice is not None else None
        self._is_file = isinstance(data, (str, Path))
        recording = self.open()
        self.shape, self.dtype = recording.shape, recording.dtype
        self.metadata: Metadata = recording.metadata
        self.path = recording.path
        if self._is_file:
            recording.close()

    def open(self) -> Recording:
        """Return the recording, opened for reading; close it, or use it in a `with`
        block.
        """
        recording = open_recording(self.source, self.loc)
        try:
            return (
                SlicedRecording(recording, *self.z_slice) if self.z_slice else recording
            )
        except Exception:
            if self._is_file:
                recording.close()
            raise

    @property
    def first_frame(self) -> int:
        """Frame of the whole recording that this begins with."""
        return self.z_slice[0] if self.z_slice else 0

    def sliced(self, z_slice: tuple[int, int] | None) -> Video:
        """Return the same recording with another slice."""
        return Video(self.source, self.loc, z_slice)

    def to_dask(self) -> Any:
        """Return it as a lazy dask array (frame, row, column)."""
        return lazy_array(partial(self.open))

    def to_numpy(self) -> NDArray[Any]:
        """Return it in memory."""
        with self.open() as recording:
            return recording.to_array()

    def mean(self) -> NDArray[Any]:
        """Return the mean over frames, float64 (row, column), reading in blocks."""
        with self.open() as recording:
            total = sum(
                block.sum(axis=0, dtype="float64") for _, block in recording.blocks(64)
            )
        return total / self.shape[0]

    def show(self) -> Any:
        """Open the recording in napari and return the viewer."""
        from astrocast.viewer.layers import recording_layer
        from astrocast.viewer.napari_viewer import open_viewer

        return open_viewer([recording_layer(self.to_dask(), self.metadata)])


def inferred_path(directory: Path) -> Path:
    """Return the recording beside an event directory: the one of the same stem."""
    # <stem>.<last of loc>.roi, or <stem>.roi; a stem may have dots of its own
    stem = directory.name.removesuffix(".roi")
    for name in dict.fromkeys([stem, stem.rsplit(".", 1)[0]]):
        for suffix in INFERRED_SUFFIXES:
            path = directory.with_name(name + suffix)
            if path.exists():
                return path
    raise RecordingNotFoundError(
        f"no recording lies beside {directory}; looked for {stem.rsplit('.', 1)[0]}"
        f" with {', '.join(INFERRED_SUFFIXES)}. Give its path as data"
    )


def inferred_loc(directory: Path, path: Path) -> str | None:
    """Return the dataset that a directory's events were detected in, as its name says,
    where a file holds several.
    """
    from astrocast.errors import AstrocastError
    from astrocast.io.stores.event_store import read_meta

    if path.suffix.lower() not in (".h5", ".hdf5", ".zarr"):
        return None
    try:
        meta = read_meta(directory)
    except (
        AstrocastError
    ):  # a directory of the older package may lack it; the name is then all there is
        meta = {}
    source = meta.get("input")
    found = source.get("loc") if isinstance(source, dict) else meta.get("loc")
    return str(found) if found else None
