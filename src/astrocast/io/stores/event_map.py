"""The event map and the time map of a store."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import DTypeLike, NDArray

from astrocast.errors import (
    AstrocastWarning,
    InvalidValueError,
    RecordingNotFoundError,
    stack_level,
)
from astrocast.io.memory import ArrayRecording
from astrocast.io.recording import Metadata, Recording, RecordingWriter, check_block
from astrocast.io.registry import create_recording, open_recording
from astrocast.io.stores.event_store import TIME_MAP, verify_file
from astrocast.io.writing.files import Replacement, replacing
from astrocast.kernels.masks.packbits import pack_labels
from astrocast.kernels.masks.runs import Runs, label_runs_of_volume, paint_runs

EVENT_MAP_SUFFIXES = (".tiff", ".h5", ".zarr", ".tdb")
#: name of the dataset of the event map, in formats with several
EVENT_MAP_LOC = "event_map"


#: a larger time map is not written, bytes
LARGEST_TIME_MAP = 1_000_000_000


class EventMapWriter(RecordingWriter):
    """Write an event map, from volumes of labels or from runs."""

    @abstractmethod
    def write_runs(self, start: int, runs: Runs, labels: NDArray[np.int32]) -> None:
        """Write a block that starts at frame ``start``, with a label for each run."""


class TiffMapWriter(EventMapWriter):
    """Write the event map as a TIFF that ImageJ and other programs open.

    Pages of int32 are compressed by PackBits.
    """

    def __init__(
        self, path: Path, shape: tuple[int, int, int], dtype: DTypeLike = np.int32
    ) -> None:
        self.shape, self.dtype, self.path = shape, np.dtype(dtype), path
        self._new = Replacement(path)
        self._file = tifffile.TiffWriter(self._new.beside, bigtiff=True, byteorder="<")
        self._next = 0

    def write(self, start: int, block: NDArray[Any]) -> None:
        """Append the pages of a block, see `RecordingWriter.write`."""
        check_block(self, start, block)
        if self.dtype == np.int32:
            self.write_runs(start, *label_runs_of_volume(block))
            return
        self._expect(start, len(block))
        self._file.write(
            block.astype(self.dtype, copy=False),
            photometric="minisblack",
            compression="zlib",
            metadata=None,
        )

    def write_runs(self, start: int, runs: Runs, labels: NDArray[np.int32]) -> None:
        """Append the pages of a block, see `EventMapWriter.write_runs`."""
        self._expect(start, runs.shape[0])
        self._file.write(
            iter(pack_labels(runs, labels)),
            shape=runs.shape,
            dtype=np.int32,
            photometric="minisblack",
            compression="packbits",
            rowsperstrip=runs.shape[1],
            metadata=None,
        )

    def _expect(self, start: int, frames: int) -> None:
        if start != self._next:
            raise InvalidValueError(
                "blocks have to be written in order: expected frame"
                f" {self._next}, found {start}"
            )
        self._next += frames

    def commit(self) -> None:
        """Close the file and give it its name."""
        self._file.close()
        self._new.commit()

    def discard(self) -> None:
        """Close and remove the unfinished output."""
        self._file.close()
        self._new.discard()


class PaintedMapWriter(EventMapWriter):
    """Write the event map with the writer of a recording format."""

    def __init__(self, writer: RecordingWriter) -> None:
        self.writer, self.shape, self.dtype = writer, writer.shape, writer.dtype

    def write(self, start: int, block: NDArray[Any]) -> None:
        """See `RecordingWriter.write`."""
        self.writer.write(start, block)

    def write_runs(self, start: int, runs: Runs, labels: NDArray[np.int32]) -> None:
        """Paint the runs and write them, see `EventMapWriter.write_runs`."""
        self.writer.write(start, paint_runs(runs, labels))

    def commit(self) -> None:
        """See `RecordingWriter.commit`."""
        self.writer.commit()

    def discard(self) -> None:
        """See `RecordingWriter.discard`."""
        self.writer.discard()


def create_event_map(
    directory: Path,
    shape: tuple[int, int, int],
    suffix: str = ".tiff",
    metadata: Metadata | None = None,
) -> EventMapWriter:
    """Return a writer for the event map in the format of ``suffix``.

    The map is int32 (frame, row, column).
    """
    if suffix not in EVENT_MAP_SUFFIXES:
        raise InvalidValueError(
            f"event_map_export_format is {suffix!r}; choose one of"
            f" {', '.join(EVENT_MAP_SUFFIXES)}"
        )
    path = directory / f"event_map{suffix}"
    if suffix == ".tiff":
        return TiffMapWriter(path, shape)
    compression = None if suffix == ".tdb" else "lz4"
    return PaintedMapWriter(
        create_recording(
            path,
            EVENT_MAP_LOC,
            shape,
            np.int32,
            compression=compression,
            metadata=metadata,
        )
    )


def event_map_path(directory: Path) -> Path:
    """Return the file of the event map in a store."""
    for suffix in (*EVENT_MAP_SUFFIXES, ".tif"):
        path = directory / f"event_map{suffix}"
        if path.exists():
            return path
    raise RecordingNotFoundError(
        f"{directory} has no event map; expected one of"
        f" {', '.join('event_map' + s for s in EVENT_MAP_SUFFIXES)}"
    )


def open_event_map(directory: Path) -> Recording:
    """Open the event map of a store: a recording of labels (frame, row, column)."""
    path = event_map_path(directory)
    if path.suffix in (".tiff", ".tif"):  # the other formats check each frame or chunk
        verify_file(path)
        with tifffile.TiffFile(path) as file:
            if len(file.pages) == 1:  # a single page has no frame axis
                return ArrayRecording(file.pages[0].asarray()[None], path=path)
    return open_recording(path, EVENT_MAP_LOC if path.suffix == ".h5" else None)


def write_time_map(
    directory: Path, n_frames: int, z0: NDArray[np.int64], z1: NDArray[np.int64]
) -> None:
    """Write the time map: in which frames each event is active.

    bool (n_frames, events + 1): column n for event n; column 0 is always False. Its
    size increases with the square of the length of a recording; instead of a map of
    more than 1 GB there is a warning.

    Parameters
    ----------
    directory
        The event store.
    n_frames
        Number of frames of the event map.
    z0, z1
        First frame of each event, and the frame after its last, counted in the event
        map, (events,).
    """
    columns = len(z0) + 1
    if columns * n_frames > LARGEST_TIME_MAP:
        warnings.warn(
            f"{TIME_MAP} is not written: {n_frames} x {columns} values would need"
            f" {columns * n_frames / 1e9:.1f} GB. z0 and z1 of the event table are the"
            " first frame of each event, and the frame after its last",
            AstrocastWarning,
            stacklevel=stack_level(),
        )
        return
    step = max(1, (16 << 20) // columns)
    with replacing(directory / TIME_MAP) as beside, beside.open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "|b1", "fortran_order": False, "shape": (n_frames, columns)}
        )
        for start in range(0, n_frames, step):
            frames = np.arange(start, min(start + step, n_frames))[:, None]
            rows = np.zeros((len(frames), columns), np.bool_)
            np.logical_and(frames >= z0, frames < z1, out=rows[:, 1:])
            # column 0 is the background
            rows.tofile(file)


def read_time_map(directory: Path) -> NDArray[np.bool_]:
    """Return the time map, memory-mapped: bool (frames, events + 1)."""
    path = directory / TIME_MAP
    if not path.is_file():
        raise RecordingNotFoundError(
            f"{directory} has no {TIME_MAP}, which is written up to 1 GB; use z0 and z1"
            " of the event table, the first frame of each event, and the frame after"
            " its last"
        )
    verify_file(path)
    return np.load(path, mmap_mode="r", allow_pickle=False)
