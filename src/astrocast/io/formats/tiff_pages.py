"""Read planes from one or several TIFF files."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from astrocast.errors import AstrocastError, FormatError
from astrocast.io.formats.contiguous import read_fully
from astrocast.io.recording import ALL

#: largest number of open files of a recording with several files
OPEN_FILES = 4
#: errors that tifffile raises for a damaged file
DAMAGE = (
    tifffile.TiffFileError,
    ValueError,
    OSError,
    IndexError,
    KeyError,
    TypeError,
    RuntimeError,
)


@dataclass(frozen=True)
class Part:
    """The offsets of the planes of one file.

    Parameters
    ----------
    path
        The file.
    size
        Rows and columns of a plane.
    stored
        dtype in the file, with its byte order.
    offsets
        First byte of each plane, int64, (pages,); -1 if it has to be decoded.
    uuid
        UUID of the file in its OME-XML, lower case; None if there is none.
    """

    path: Path
    size: tuple[int, int]
    stored: np.dtype[Any]
    offsets: NDArray[np.int64]
    uuid: str | None = None


def index_part(path: Path, needed: NDArray[np.integer[Any]] | None = None) -> Part:
    """Return the offsets of the pages of a TIFF file.

    Parameters
    ----------
    path
        TIFF file.
    needed
        Pages that will be read, (pages,); None: all.

    Raises
    ------
    FormatError
        The file is damaged, has too few pages, or contains colour.
    """
    with open_tiff(path) as file:
        pages = file.pages
        key = pages.first
        uuid = re.search(r"<OME\b[^>]*\bUUID=\"([^\"]+)\"", key.description[:4000])
        pages.useframes = True
        pages.set_keyframe(0)
        count = len(pages)
        chosen = range(count) if needed is None else np.unique(needed).tolist()
        if len(chosen) and chosen[-1] >= count:
            raise FormatError(
                f"{path} is truncated: it states {chosen[-1] + 1} planes but contains"
                f" {count}. Copy it again from the microscope"
            )
        if key.dtype is None or key.dtype.kind not in "biuf":
            raise FormatError(
                f"{path} has pixels of type {key.dtype}; expected real numbers"
            )
        if key.samplesperpixel > 1:
            raise FormatError(
                f"{path} has axes {key.axes} of shape {key.shape}; expected frames of"
                " one value per pixel, not colour: convert it to grey values first"
            )
        stored = np.dtype(key.dtype).newbyteorder(file.byteorder)
        size = (int(key.imagelength), int(key.imagewidth))
        places = [
            page_place(pages[i], key, stored.itemsize * size[0] * size[1])
            for i in chosen
        ]
        check_ends(path, [end for _, end in places], count)
    offsets = np.full(count, -1, np.int64)
    offsets[list(chosen)] = [begin for begin, _ in places]
    return Part(path, size, stored, offsets, uuid[1].lower() if uuid else None)


def page_place(page: Any, key: Any, nbytes: int) -> tuple[int, int]:
    """Return the first byte of a page (-1: has to be decoded), and the end of it."""
    begins = np.asarray(page.dataoffsets, np.int64)
    counts = np.asarray(page.databytecounts, np.int64)
    end = int((begins + counts).max(initial=0))
    plain = (
        key.compression == 1
        and key.predictor == 1
        and key.fillorder == 1
        and not key.is_tiled
        and key.bitspersample == 8 * key.dtype.itemsize
        and int(counts.sum()) == nbytes
        and bool(np.all(begins[1:] == begins[:-1] + counts[:-1]))
    )
    return (int(begins[0]) if plain else -1), end


def check_ends(path: Path, ends: list[int], announced: int) -> None:
    """Raise an error if a file ends before the last byte of its planes."""
    size = path.stat().st_size
    if ends and max(ends) > size:
        whole = sum(end <= size for end in ends)
        raise FormatError(
            f"{path} is truncated: only {whole} of {announced} planes are complete."
            " Copy it again from the microscope"
        )


class TiffPlanes:
    """Read planes from the pages of several files.

    Parameters
    ----------
    parts
        The files; None for files without a plane to read.
    part_of, page_of
        Number of the file, and number of the page in it, for each plane, (planes,).
    """

    def __init__(
        self,
        parts: list[Part | None],
        part_of: NDArray[np.integer[Any]],
        page_of: NDArray[np.integer[Any]],
    ) -> None:
        self.parts, self.part_of, self.page_of = parts, part_of, page_of
        used = [p for p in parts if p is not None]
        self.size, self.dtype = used[0].size, used[0].stored.newbyteorder("=")
        for part in used:
            if (part.size, part.stored.newbyteorder("=")) != (self.size, self.dtype):
                raise FormatError(
                    f"{part.path} has frames of {part.size} {part.stored.name}, but"
                    f" {used[0].path.name} of {self.size} {self.dtype.name}: they are"
                    " not parts of one recording"
                )
        self._lock = threading.Lock()
        self._open: dict[int, tifffile.TiffFile] = {}

    def read(
        self, planes: NDArray[np.int64], rows: slice = ALL, columns: slice = ALL
    ) -> NDArray[Any]:
        """Return planes (plane, row, column) in the machine's byte order."""
        first, last, step = rows.indices(self.size[0])
        last = max(first, last)
        parts = self.part_of[planes]
        pieces = []
        for begin, end in runs_of_equal(parts):
            number, pages = int(parts[begin]), self.page_of[planes[begin:end]]
            part = self.parts[number]
            assert part is not None
            offsets = part.offsets[pages]
            if np.all(offsets >= 0):
                piece = read_rows(part, offsets, first, last)
            else:
                piece = self._decode(number, pages)[:, first:last]
            pieces.append(piece[:, ::step, columns].astype(self.dtype, copy=False))
        if len(pieces) == 1:
            return np.ascontiguousarray(pieces[0])
        if not pieces:
            return np.empty((0, *self.size), self.dtype)[:, rows, columns]
        return np.concatenate(pieces)

    def _decode(self, number: int, pages: NDArray[Any]) -> NDArray[Any]:
        """Decode whole planes of one file with tifffile, (plane, row, column)."""
        part = self.parts[number]
        assert part is not None
        with self._lock, tiff_errors(part.path, "is damaged"):
            file = self._open.get(number)
            if file is None:
                while len(self._open) >= OPEN_FILES:
                    self._open.pop(next(iter(self._open))).close()
                file = follow_pages(tifffile.TiffFile(part.path))
                self._open[number] = file
            found = file.asarray(key=[int(p) for p in pages], series=None)
        return found.reshape(len(pages), *self.size)

    def release(self) -> None:
        """Close the files until the next read."""
        with self._lock:
            while self._open:
                self._open.popitem()[1].close()


def read_rows(
    part: Part, offsets: NDArray[np.int64], first: int, last: int
) -> NDArray[Any]:
    """Return rows ``first`` to ``last`` of uncompressed planes.

    Consecutive planes of the file are read at once.
    """
    width = part.size[1]
    row = width * part.stored.itemsize
    block: NDArray[Any] = np.empty((len(offsets), last - first, width), part.stored)
    if not block.size:
        return block
    begins, length = offsets + first * row, (last - first) * row
    view = block.reshape(-1).view(np.uint8).data
    with part.path.open("rb", buffering=0) as file:
        for begin, end in runs(begins, length):
            file.seek(int(begins[begin]))
            read_fully(file, view[begin * length : end * length], part.path)
    return block


def runs(begins: NDArray[np.int64], length: int) -> Iterator[tuple[int, int]]:
    """Yield half-open ranges of consecutive pieces of ``length`` bytes."""
    breaks = np.flatnonzero(np.diff(begins) != length) + 1
    yield from pairwise([0, *breaks.tolist(), len(begins)])


def runs_of_equal(values: NDArray[Any]) -> Iterator[tuple[int, int]]:
    """Yield half-open ranges of equal neighbours."""
    if len(values):
        breaks = np.flatnonzero(np.diff(values)) + 1
        yield from pairwise([0, *breaks.tolist(), len(values)])


@contextmanager
def open_tiff(path: Path) -> Iterator[tifffile.TiffFile]:
    """Open a TIFF file; damage is raised as `FormatError`.

    For ScanImage files that are not BigTIFF, tifffile estimates the offsets of pages
    and loses the last page; here the pages are read one by one.
    """
    with tiff_errors(path), tifffile.TiffFile(path) as file:
        yield follow_pages(file)


def follow_pages(file: tifffile.TiffFile) -> tifffile.TiffFile:
    """Make tifffile find the pages one by one (see `open_tiff`); return the file."""
    if file.is_scanimage and not file.is_bigtiff:
        file.filehandle.seek(4)
        file.pages = tifffile.TiffPages(file)
    return file


@contextmanager
def tiff_errors(path: Path, saying: str = "cannot be read as TIFF") -> Iterator[None]:
    """Turn errors that tifffile raises or logs into a `FormatError`."""
    try:
        with complaints(path):
            yield
    except AstrocastError:
        raise
    except DAMAGE as error:
        raise FormatError(f"{path} {saying}: {error}") from error


@contextmanager
def complaints(path: Path) -> Iterator[None]:
    """Raise errors that tifffile only logs.

    Otherwise a file with a damaged list of pages would have fewer frames, without an
    error.
    """
    heard: list[str] = []
    thread = threading.get_ident()
    listener = _Listener(logging.WARNING)
    listener.hear = lambda record: (
        heard.append(record.getMessage()) if record.thread == thread else None
    )
    log = logging.getLogger("tifffile")
    propagates = log.propagate
    log.addHandler(listener)
    log.propagate = False
    try:
        yield
    finally:
        log.removeHandler(listener)
        log.propagate = propagates
    words = ("page", "TiffPages", "offset", "trunc", "corrupt")
    serious = [m for m in heard if any(word in m for word in words)]
    if serious:
        raise FormatError(f"{path} is damaged or truncated: {serious[0]}")


class _Listener(logging.Handler):
    """Call a function with each log record."""

    hear: Callable[[logging.LogRecord], None]

    def emit(self, record: logging.LogRecord) -> None:
        """Call the function."""
        self.hear(record)
