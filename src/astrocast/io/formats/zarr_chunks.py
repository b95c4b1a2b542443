"""Read and write chunks of zarr v3 as files, in threads: faster than zarr-python."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
from numcodecs import GZip, blosc
from numpy.typing import NDArray

from astrocast.errors import OutputError
from astrocast.io.writing.files import write_fully
from astrocast.io.writing.slabs import THREADS, store_chunks

#: constant of numcodecs: store bytes of equal significance together
SHUFFLE = 1


class DirectChunks:
    """Encode chunks and write each to its file, as zarr-python does.

    The codecs are those of `astrocast.io.formats.zarr_store.codec_chain`.

    Parameters
    ----------
    folder
        Folder of the array, created by zarr-python.
    array
        The array.
    compression
        ``lz4``, ``zstd`` or ``gzip``.
    """

    def __init__(self, folder: Path, array: Any, compression: str) -> None:
        # absolute: other processes may have another working directory
        self.folder, self.compression = folder.absolute(), compression
        self.chunk: tuple[int, int, int] = tuple(array.chunks)
        self.dtype = np.dtype(array.dtype).newbyteorder("<")
        self.fill = array.fill_value
        self._gzip = GZip(level=4)

    def encode(self, chunk: NDArray[Any]) -> tuple[bytes, bytes]:
        """Return a compressed chunk, and the checksum that follows it in the file."""
        little = chunk.astype(chunk.dtype.newbyteorder("<"), copy=False)
        if self.compression == "gzip":
            packed = bytes(self._gzip.encode(little))
        else:
            name, level = (b"lz4", 5) if self.compression == "lz4" else (b"zstd", 1)
            packed = blosc.compress(little, name, level, SHUFFLE)
        return packed, np.uint32(google_crc32c.value(packed)).astype("<u4").tobytes()

    def decode(self, content: bytes) -> NDArray[Any]:
        """Return the chunk of a file's content; ValueError for a wrong checksum."""
        packed, checksum = content[:-4], int.from_bytes(content[-4:], "little")
        if google_crc32c.value(packed) != checksum:
            raise ValueError("a chunk does not match its checksum")
        plain = (
            self._gzip.decode(packed)
            if self.compression == "gzip"
            else blosc.decompress(packed)
        )
        return np.frombuffer(plain, self.dtype).reshape(self.chunk)

    def read_slab(self, number: int, shape: tuple[int, int, int]) -> NDArray[Any]:
        """Return all chunks of one depth as frames; ``shape``: of the recording."""
        depth, height, width = self.chunk
        slab = np.empty((min(depth, shape[0] - number * depth), *shape[1:]), self.dtype)
        places = [
            (x, y)
            for x in range(-(-shape[1] // height))
            for y in range(-(-shape[2] // width))
        ]

        def fill(place: tuple[int, int]) -> None:
            x, y = place
            target = slab[:, x * height : (x + 1) * height, y * width : (y + 1) * width]
            path = self.folder / "c" / str(number) / str(x) / str(y)
            try:
                target[:] = self.decode(path.read_bytes())[
                    tuple(slice(n) for n in target.shape)
                ]
            except FileNotFoundError:  # zarr does not store chunks of the fill value
                target[:] = self.fill

        with ThreadPoolExecutor(THREADS, thread_name_prefix="astrocast-zarr") as pool:
            for _ in pool.map(fill, places):
                pass
        return slab

    def write(
        self, first: int, slab: NDArray[Any], corner: tuple[int, int] = (0, 0)
    ) -> None:
        """Write the chunks of a slab that starts at a chunk.

        ``corner``: first row and column of a slab that is a part of the frames.
        """
        try:
            store_chunks(first, slab, self.chunk, self._write_one, corner=corner)
        except OSError as error:
            raise OutputError(
                f"{self.folder} cannot be written: {error.strerror}"
            ) from error

    def _write_one(self, index: tuple[int, int, int], chunk: NDArray[Any]) -> None:
        path = self.folder / "c" / "/".join(map(str, index))
        parts = self.encode(chunk)
        try:
            file = path.open("wb", buffering=0)
        except FileNotFoundError:  # the folder does not exist yet
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("wb", buffering=0)
        with file:
            for part in parts:
                write_fully(file, memoryview(part))
