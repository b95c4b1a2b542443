"""`Video`: a recording, or a range of its frames, that is opened when needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from astrocast.analysis.loading import check_slice
from astrocast.errors import AstrocastError, RecordingNotFoundError
from astrocast.io import open_recording
from astrocast.io.recording import Metadata, Recording
from astrocast.io.stores.event_store import name_of_store, read_meta
from astrocast.io.views import SlicedRecording, lazy_array

#: suffixes that ``data="infer"`` tries, in this order
INFERRED_SUFFIXES = (".h5", ".hdf5", ".zarr", ".tiff", ".tif", ".tdb")


class Video:
    """A recording, or a range of its frames, that does not keep a file open.

    Parameters
    ----------
    data
        Path of a recording, a NumPy or dask array (frame, row, column), or a
        `Recording`.
    loc
        Dataset, in formats that contain several.
    z_slice
        Frames (first, last + 1); None: all.

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

    def __repr__(self) -> str:
        """Return the path, the shape and the dtype as text."""
        source = self.path or "array"
        place = f" {self.loc}" if self.loc else ""
        return f"<Video {source}{place}: {self.shape} {self.dtype}>"

    def open(self) -> Recording:
        """Open the recording for reading; use it in a ``with`` block, or close it."""
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
        """First frame of the slice, counted in the whole recording."""
        return self.z_slice[0] if self.z_slice else 0

    def with_frames(self, z_slice: tuple[int, int] | None) -> Video:
        """Return the same recording with another range of frames."""
        return Video(self.source, self.loc, z_slice)

    def to_dask(self) -> Any:
        """Return the frames as a lazy dask array (frame, row, column)."""
        return lazy_array(self.open)

    def to_numpy(self) -> NDArray[Any]:
        """Return the frames as a NumPy array (frame, row, column)."""
        with self.open() as recording:
            return recording.to_array()

    def mean(self) -> NDArray[Any]:
        """Return the mean over frames, float64 (row, column), read block by block."""
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
    """Return the path of the recording with the same stem beside an event store."""
    # <stem>.<last part of loc>.roi, or <stem>.roi; the stem may contain dots
    stem = name_of_store(directory)
    for name in dict.fromkeys([stem, stem.rsplit(".", 1)[0]]):
        for suffix in INFERRED_SUFFIXES:
            path = directory.with_name(name + suffix)
            if path.exists():
                return path
    raise RecordingNotFoundError(
        f"no recording was found beside {directory}: tried {stem.rsplit('.', 1)[0]}"
        f" with {', '.join(INFERRED_SUFFIXES)}. Give the path of the recording as data"
    )


def inferred_loc(directory: Path, path: Path) -> str | None:
    """Return the dataset in which the events of an event store were detected.

    None if the format has only one dataset, or if the event store does not state it.
    """
    if path.suffix.lower() not in (".h5", ".hdf5", ".zarr"):
        return None
    try:
        meta = read_meta(directory)
    except AstrocastError:  # directories of astroCAST 0.4 may have no meta.json
        meta = {}
    source = meta.get("input")
    found = source.get("loc") if isinstance(source, dict) else meta.get("loc")
    return str(found) if found else None
