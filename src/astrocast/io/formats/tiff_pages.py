"""Planes of one or several TIFF files, each read from its own file."""

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

#: files of a recording in parts that are open at the same time
OPEN_FILES = 4
#: what tifffile raises for a damaged file
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
    """Where the planes of one file are.

    Parameters
    ----------
    path
        The file.
    size
        Rows and columns of a plane.
    stored
        dtype in the file, with its byte order.
    offsets
        First byte of each plane, int64, (pages,); -1 where it has to be decoded.
    uuid
        Identity of the file in its OME-XML, lower case; None without one.
    """

    path: Path
    size: tuple[int, int]
    stored: np.dtype[Any]
    offsets: NDArray[np.int64]
    uuid: str | None = None


def index_part(path: Path, needed: NDArray[np.integer[Any]] | None = None) -> Part:
    """Return where the pages of a TIFF file are.

    Parameters
    ----------
    path
        TIFF file.
    needed
        Pages that will be read, (pages,); all when None.

    Raises
    ------
    FormatError
        It is damaged, holds fewer pages than are needed, or colour.
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
                f"{path} is truncated: it announces {chosen[-1] + 1} planes and holds"
                f" {count}. Copy it again from the microscope"
            )
        if key.dtype is None or key.dtype.kind not in "biuf":
            raise FormatError(f"{path} holds {key.dtype}; expected real numbers")
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
    """Return the first byte of a page, -1 where it is decoded, and where it ends."""
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
    """Refuse a file that ends before its planes do."""
    size = path.stat().st_size
    if ends and max(ends) > size:
        whole = sum(end <= size for end in ends)
        raise FormatError(
            f"{path} is truncated: it announces {announced} planes, {whole} of which"
            " are complete. Copy it again from the microscope"
        )


class TiffPlanes:
    """Reads planes, each from the file and page where it is.

    Parameters
    ----------
    parts
        The files; None for a file of which no plane is read.
    part_of, page_of
        Number of the file and number of the page in it for each plane, (planes,).
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
                    f"{part.path} has frames {part.size} {part.stored.name}, and"
                    f" {used[0].path.name} has {self.size} {self.dtype.name}: they are"
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
        """Return whole planes of one file through tifffile, (plane, row, column)."""
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
    """Return rows ``first`` to ``last`` of planes that are plain bytes.

    Planes that follow each other in the file are read in one go.
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
    """Yield half-open ranges of pieces of ``length`` bytes without a gap between."""
    breaks = np.flatnonzero(np.diff(begins) != length) + 1
    yield from pairwise([0, *breaks.tolist(), len(begins)])


def runs_of_equal(values: NDArray[Any]) -> Iterator[tuple[int, int]]:
    """Yield half-open ranges of equal neighbours."""
    if len(values):
        breaks = np.flatnonzero(np.diff(values)) + 1
        yield from pairwise([0, *breaks.tolist(), len(values)])


@contextmanager
def open_tiff(path: Path) -> Iterator[tifffile.TiffFile]:
    """Open a TIFF file, its damage raised as `FormatError`.

    tifffile guesses the places of pages in files of ScanImage that are not BigTIFF, and
    loses the last page; here the pages are followed one by one.
    """
    with tiff_errors(path), tifffile.TiffFile(path) as file:
        yield follow_pages(file)


def follow_pages(file: tifffile.TiffFile) -> tifffile.TiffFile:
    """Let the pages of a file be found by their chain; returns the file."""
    if file.is_scanimage and not file.is_bigtiff:
        file.filehandle.seek(4)
        file.pages = tifffile.TiffPages(file)
    return file


@contextmanager
def tiff_errors(path: Path, saying: str = "cannot be read as TIFF") -> Iterator[None]:
    """Turn errors that tifffile raises, or only logs, into a `FormatError`."""
    try:
        with complaints(path):
            yield
    except AstrocastError:
        raise
    except DAMAGE as error:
        raise FormatError(f"{path} {saying}: {error}") from error


@contextmanager
def complaints(path: Path) -> Iterator[None]:
    """Raise what tifffile only logs.

    A broken chain of pages would otherwise give fewer frames without an error.
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
    """Passes log records on to a function."""

    hear: Callable[[logging.LogRecord], None]

    def emit(self, record: logging.LogRecord) -> None:
        """Pass the record on."""
        self.hear(record)
