"""TIFF: stacks, BigTIFF, OME-TIFF, ImageJ hyperstacks, ScanImage, compressed or not."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from astrocast.errors import FormatError, InvalidValueError
from astrocast.io.formats.axes import Layout, read_layout
from astrocast.io.formats.contiguous import read_fully
from astrocast.io.formats.tiff_metadata import (
    OME_DTYPES,
    description,
    read_metadata,
    scanimage_channels,
)
from astrocast.io.recording import ALL, Metadata, Recording, check_movie_shape
from astrocast.io.writing.files import (
    SequentialWriter,
    check_space,
    check_target,
    open_for_writing,
)

#: a classic TIFF addresses 4 GB; what it needs besides frames is far below this
CLASSIC_BYTES = (1 << 32) - (1 << 26)


class TiffRecording(Recording):
    """One TIFF file. Frames of several channels alternate, whatever their order in the
    file.
    """

    path: Path

    def __init__(self, path: Path, loc: str | None = None) -> None:
        self.path = path
        self._lock = threading.Lock()
        try:
            with complaints(path), tifffile.TiffFile(path) as file:
                series = self._only_series(file)
                self.layout = self._find_layout(file, series)
                rows, columns = series.shape[-2:]
                self.channels = self.layout.channels
                self.shape = check_movie_shape(
                    (self.layout.frames * self.channels, rows, columns), str(path)
                )
                self.dtype = np.dtype(series.dtype).newbyteorder("=")
                self.metadata = read_metadata(file, self.channels)
                self._index(file, series)
        except FormatError:
            raise
        except (
            tifffile.TiffFileError,
            ValueError,
            OSError,
            IndexError,
            KeyError,
            TypeError,
        ) as error:
            raise FormatError(f"{path} cannot be read as TIFF: {error}") from error
        self._file: tifffile.TiffFile | None = None

    def _find_layout(
        self, file: tifffile.TiffFile, series: tifffile.TiffPageSeries
    ) -> Layout:
        layout = read_layout(series.axes, series.shape, str(self.path))
        # smaller files name the channels only in their software tag
        if file.is_scanimage and layout.channels == 1:
            channels = max(1, len(scanimage_channels(file)))
            if layout.frames % channels == 0:
                return Layout(layout.frames // channels, channels)
        return layout

    def _only_series(self, file: tifffile.TiffFile) -> tifffile.TiffPageSeries:
        series = [s for s in file.series if s.kind != "thumbnail"]
        if not series:
            raise FormatError(f"{self.path} is a TIFF without images")
        if len(series) > 1:
            shapes = ", ".join(f"{s.shape} {s.dtype}" for s in series[:6])
            raise FormatError(
                f"{self.path} holds {len(series)} image series ({shapes}); expected"
                " one, of equal frames. A truncated or appended file looks like"
                " this too"
            )
        if series[0].dtype is None or np.dtype(series[0].dtype).kind not in "biuf":
            raise FormatError(
                f"{self.path} holds {series[0].dtype}; expected real numbers"
            )
        return series[0]

    def _index(self, file: tifffile.TiffFile, series: tifffile.TiffPageSeries) -> None:
        """Find where each plane's bytes are; planes that need decoding are left to
        tifffile.
        """
        size = self.path.stat().st_size
        frame = self.shape[1] * self.shape[2] * self.dtype.itemsize
        planes = self.shape[0]
        self._offsets: NDArray[np.int64] | None = None
        self._stored = np.dtype(series.dtype).newbyteorder(file.byteorder)
        if series.dataoffset is not None:
            self._offsets = series.dataoffset + frame * np.arange(
                planes, dtype=np.int64
            )
            ends = self._offsets[-1:] + frame
        else:
            if len(series) != planes or any(p is None for p in series.pages):
                raise FormatError(
                    f"{self.path} has {len(series)} pages for {planes} planes; it is"
                    " truncated"
                )
            ends = np.array(
                [
                    max(np.add(p.dataoffsets, p.databytecounts), default=0)
                    for p in series.pages
                ]
            )
            key = series.keyframe
            if (
                key.compression == 1
                and key.is_contiguous
                and key.predictor == 1
                and key.fillorder == 1
            ):
                self._offsets = np.array(
                    [p.dataoffsets[0] for p in series.pages], dtype=np.int64
                )
        whole = (
            int((ends <= size).sum())
            if len(ends) > 1
            else (size - int(ends[0]) + frame * planes) // frame
        )
        if ends.max() > size:
            raise FormatError(
                f"{self.path} is truncated: it announces {planes} planes,"
                f" {max(0, whole)} of which are complete. Copy it again from the"
                " microscope"
            )

    def read(
        self, start: int, stop: int, rows: slice = ALL, columns: slice = ALL
    ) -> NDArray[Any]:
        """Return a block, see `Recording.read`."""
        return self.read_every(start, stop, 1, rows, columns)

    def read_every(
        self, start: int, stop: int, step: int, rows: slice = ALL, columns: slice = ALL
    ) -> NDArray[Any]:
        """Return every ``step``-th frame without reading the others."""
        planes = self.layout.planes(start, stop, step)
        if self._offsets is None:
            return np.ascontiguousarray(self._decode(planes)[:, rows, columns])
        first, last, row_step = rows.indices(self.shape[1])
        cut = slice(None, None, row_step)
        block = self._read_bytes(planes, first, max(first, last))
        return np.ascontiguousarray(block[:, cut, columns]).astype(
            self.dtype, copy=False
        )

    def _read_bytes(
        self, planes: range | list[int], first: int, last: int
    ) -> NDArray[Any]:
        """Read rows ``first`` to ``last`` of planes that are plain bytes, neighbours in
        one go.
        """
        assert self._offsets is not None
        row = self.shape[2] * self._stored.itemsize
        block: NDArray[Any] = np.empty(
            (len(planes), last - first, self.shape[2]), self._stored
        )
        if not block.size:
            return block
        begins = self._offsets[planes] + first * row
        length = (last - first) * row
        view = block.reshape(-1).view(np.uint8).data
        with self.path.open("rb", buffering=0) as file:
            for begin, end in runs(begins, length):
                file.seek(int(begins[begin]))
                read_fully(file, view[begin * length : end * length], self.path)
        return block

    def _decode(self, planes: range | list[int]) -> NDArray[Any]:
        with self._lock, complaints(self.path):
            if self._file is None:
                self._file = tifffile.TiffFile(self.path)
            try:
                found = (
                    self._file.asarray(key=list(planes), series=0)
                    if planes
                    else np.empty(0)
                )
            except (tifffile.TiffFileError, ValueError, RuntimeError, OSError) as error:
                raise FormatError(f"{self.path} is damaged: {error}") from error
        return found.reshape(len(planes), *self.shape[1:]).astype(
            self.dtype, copy=False
        )

    def close(self) -> None:
        """Close the file."""
        self.release()

    def release(self) -> None:
        """Close the file until the next read."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None


def runs(begins: NDArray[np.int64], length: int) -> Iterator[tuple[int, int]]:
    """Yield half-open ranges of pieces of ``length`` bytes that follow each other
    without a gap.
    """
    breaks = np.flatnonzero(np.diff(begins) != length) + 1
    edges = [0, *breaks.tolist(), len(begins)]
    yield from pairwise(edges)


@contextmanager
def complaints(path: Path) -> Iterator[None]:
    """Raise what tifffile only logs: a broken chain of pages would otherwise give fewer
    frames without an error.
    """
    heard: list[str] = []
    thread = threading.get_ident()

    class Listen(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.thread == thread:
                heard.append(record.getMessage())

    listener = Listen(logging.WARNING)
    log = logging.getLogger("tifffile")
    propagates = log.propagate
    log.addHandler(listener)
    log.propagate = False
    try:
        yield
    finally:
        log.removeHandler(listener)
        log.propagate = propagates
    serious = [
        m
        for m in heard
        if any(
            word in m for word in ("page", "TiffPages", "offset", "trunc", "corrupt")
        )
    ]
    if serious:
        raise FormatError(f"{path} is damaged or truncated: {serious[0]}")


class TiffWriter(SequentialWriter):
    """Writes an OME-TIFF; a BigTIFF where 4 GB do not suffice."""

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
                "TIFF is written uncompressed; leave compression out, or write .h5 or"
                " .zarr"
            )
        beside = check_target(path, options.get("overwrite", False))
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
        super().__init__(path, beside, file, shape, stored)
