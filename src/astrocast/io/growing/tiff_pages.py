"""Find the pages of a TIFF file that is still being written."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import tifffile
from numpy.typing import NDArray

from astrocast.errors import FormatError
from astrocast.io.formats.contiguous import read_fully

#: TIFF type -> bytes of a value, and its letter for `struct`
TYPES = {1: (1, "B"), 2: (1, "s"), 3: (2, "H"), 4: (4, "I"), 13: (4, "I")} | {
    16: (8, "Q"),
    18: (8, "Q"),
}
WIDTH, LENGTH, BITS, COMPRESSION, DESCRIPTION = 256, 257, 258, 259, 270
OFFSETS, SAMPLES, COUNTS, PREDICTOR = 273, 277, 279, 317
TILE_OFFSETS, TILE_COUNTS, FORMAT = 324, 325, 339
NEEDED = {
    WIDTH,
    LENGTH,
    BITS,
    COMPRESSION,
    DESCRIPTION,
    OFFSETS,
    SAMPLES,
    COUNTS,
    PREDICTOR,
    TILE_OFFSETS,
    TILE_COUNTS,
    FORMAT,
}


@dataclass(frozen=True)
class Page:
    """A complete page.

    Parameters
    ----------
    place
        First byte of the directory of the page.
    begin
        First byte of its pixels; -1 if they have to be decoded.
    size
        Rows and columns.
    stored
        dtype in the file, with its byte order.
    """

    place: int
    begin: int
    size: tuple[int, int]
    stored: np.dtype[Any]

    @property
    def nbytes(self) -> int:
        """Bytes of the pixels without compression."""
        return self.size[0] * self.size[1] * self.stored.itemsize


@dataclass
class PageChain:
    """The complete pages of a TIFF file; each call finds only the new pages.

    Parameters
    ----------
    path
        TIFF or BigTIFF.
    """

    path: Path
    pages: list[Page] = field(default_factory=list)
    #: number of frames that the description of the first page states (ImageJ)
    announced: int = 1
    _next: int = 0
    _order: str = ""
    _big: bool = False
    _decoder: tifffile.TiffFile | None = None

    def look(self) -> int:
        """Return the number of complete frames."""
        size = self.path.stat().st_size
        with self.path.open("rb") as file:
            if not self._order and not self._read_header(file, size):
                return 0
            while self._take_page(file, size):
                pass
        return self._count(size)

    def _count(self, size: int) -> int:
        if len(self.pages) == 1 and self.announced > 1 and self.pages[0].begin >= 0:
            first = self.pages[0]
            return min(self.announced, (size - first.begin) // first.nbytes)
        return len(self.pages)

    def _read_header(self, file: BinaryIO, size: int) -> bool:
        if size < 16:
            return False
        head = file.read(16)
        orders = {b"II": "<", b"MM": ">"}
        order = orders.get(head[:2])
        version = struct.unpack(f"{order}H", head[2:4])[0] if order else 0
        if head == bytes(16):  # the program has set the size of the file only
            return False
        if order is None or version not in (42, 43):
            raise FormatError(f"{self.path} does not start with the header of a TIFF")
        self._order, self._big = order, version == 43
        self._next = 8 if self._big else 4
        return True

    def _take_page(self, file: BinaryIO, size: int) -> bool:
        """Add the next page if it is complete; return whether it was."""
        word, wide = ("Q", 8) if self._big else ("I", 4)
        file.seek(self._next)
        (place,) = struct.unpack(self._order + word, file.read(wide))
        head, entry = (8, 20) if self._big else (2, 12)
        if not place or place + head > size:
            return False
        file.seek(place)
        letter = "Q" if self._big else "H"
        (count,) = struct.unpack(self._order + letter, file.read(head))
        end = place + head + count * entry + wide
        if not count or end > size:
            return False
        tags = self._read_tags(file, file.read(count * entry), entry, size)
        page = None if tags is None else self._page(place, tags, size)
        if page is None:
            return False
        self.pages.append(page)
        self._next = end - wide
        return True

    def _read_tags(
        self, file: BinaryIO, table: bytes, entry: int, size: int
    ) -> dict[int, Any] | None:
        """Return the needed tags of a page; None if one is not written yet."""
        found: dict[int, Any] = {}
        word, wide = ("Q", 8) if self._big else ("I", 4)
        for at in range(0, len(table), entry):
            tag, kind = struct.unpack_from(f"{self._order}HH", table, at)
            if tag not in NEEDED or kind not in TYPES:
                continue
            (n,) = struct.unpack_from(self._order + word, table, at + 4)
            item, letter = TYPES[kind]
            raw = table[at + 4 + wide : at + 4 + 2 * wide]
            if n * item > wide:
                (where,) = struct.unpack(self._order + word, raw)
                if where + n * item > size:
                    return None
                file.seek(where)
                raw = file.read(n * item)
            raw = raw[: n * item]
            found[tag] = (
                raw
                if letter == "s"
                else struct.unpack(f"{self._order}{n}{letter}", raw)
            )
        return found

    def _page(self, place: int, tags: dict[int, Any], size: int) -> Page | None:
        """Return a page if all its bytes are written, else None."""
        begins = np.array(tags.get(OFFSETS) or tags.get(TILE_OFFSETS) or (), np.int64)
        counts = np.array(tags.get(COUNTS) or tags.get(TILE_COUNTS) or (), np.int64)
        if WIDTH not in tags or LENGTH not in tags or not len(begins):
            return None
        if len(begins) != len(counts) or not (begins > 0).all():
            return None
        if not (counts > 0).all() or int((begins + counts).max()) > size:
            return None
        if tags.get(SAMPLES, (1,))[0] != 1:
            raise FormatError(
                f"{self.path} has {tags[SAMPLES][0]} values per pixel (colour);"
                " expected one value per pixel"
            )
        bits = tags.get(BITS, (1,))[0]
        kind = {1: "u", 2: "i", 3: "f"}.get(tags.get(FORMAT, (1,))[0], "u")
        if bits not in (8, 16, 32, 64):
            raise FormatError(
                f"{self.path} has {bits} bits per pixel; expected 8, 16, 32 or 64"
            )
        stored = np.dtype(f"{self._order}{kind}{bits // 8}")
        shape = (int(tags[LENGTH][0]), int(tags[WIDTH][0]))
        plain = (
            tags.get(COMPRESSION, (1,))[0] == 1
            and OFFSETS in tags
            and int(counts.sum()) == shape[0] * shape[1] * stored.itemsize
            and bool(np.all(begins[1:] == begins[:-1] + counts[:-1]))
        )
        if not self.pages and DESCRIPTION in tags:
            self.announced = announced_frames(tags[DESCRIPTION])
        return Page(place, int(begins[0]) if plain else -1, shape, stored)

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Return complete frames, (frame, row, column), in the file's byte order."""
        key = self.pages[0]
        block: NDArray[Any] = np.empty((stop - start, *key.size), key.stored)
        with self.path.open("rb", buffering=0) as file:
            for i, t in enumerate(range(start, stop)):
                page = self.pages[t] if t < len(self.pages) else None
                begin = key.begin + t * key.nbytes if page is None else page.begin
                if page is not None and begin < 0:
                    block[i] = self._decode(page, t)
                    continue
                file.seek(begin)
                view = block[i].reshape(-1).view(np.uint8).data
                read_fully(file, view, self.path)
        return block

    def _decode(self, page: Page, number: int) -> NDArray[Any]:
        if self._decoder is None:
            self._decoder = tifffile.TiffFile(self.path)
        self._decoder.filehandle.seek(page.place)
        found = tifffile.TiffPage(self._decoder, index=number).asarray()
        return np.asarray(found)

    def close(self) -> None:
        """Close the file until the next read."""
        if self._decoder is not None:
            self._decoder.close()
            self._decoder = None


def announced_frames(description: bytes) -> int:
    """Return the number of frames that the first page of an ImageJ file states.

    Examples
    --------
    >>> announced_frames(b"ImageJ=1.53 images=500 frames=500")
    500
    """
    if b"ImageJ=" not in description[:100]:
        return 1
    found = re.search(rb"images=(\d+)", description)
    return int(found[1]) if found else 1
