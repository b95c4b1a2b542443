"""Files that a stage writes (products), and the check that they have not changed.

When a stage is complete, the description of each product is stored in `run.json`.
Before the stage is reused, its products are compared with their descriptions: first
size and time of the last change; if one of them differs, or in a thorough check, also
the checksum of the content.
"""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from astrocast.errors import AstrocastError
from astrocast.io import Recording, open_recording
from astrocast.io.stores.beside import Place
from astrocast.runtime.blocks import Block, map_blocks, plan_blocks

#: number of bytes that are read at a time
_PIECE = 8 << 20
Description = dict[str, Any]


class Product(Protocol):
    """Something that a stage writes."""

    @property
    def name(self) -> str:
        """Name in `run.json` and in messages."""
        ...

    def describe(self) -> Description:
        """Return plain values that identify the content."""
        ...

    def problem(self, stored: Description, thorough: bool) -> str | None:
        """Return how the product differs from its description; None if it is equal."""
        ...


@dataclass(frozen=True)
class StoredFile:
    """A file."""

    path: Path

    @property
    def name(self) -> str:
        """Name of the file."""
        return self.path.name

    def describe(self) -> Description:
        """Return size, time of the last change and checksum."""
        return describe_stamp(self.path) | {"crc32": checksum_file(self.path)}

    def problem(self, stored: Description, thorough: bool) -> str | None:
        """Return how the file differs from its description; None if it is equal."""
        if not self.path.is_file():
            return f"{self.path} is missing"
        now = describe_stamp(self.path)
        if now["bytes"] != stored.get("bytes"):
            return (
                f"{self.path} has {now['bytes']} bytes, but {stored.get('bytes')} bytes"
                " were written"
            )
        if not thorough and now["modified"] == stored.get("modified"):
            return None
        if checksum_file(self.path) != stored.get("crc32"):
            return f"{self.path} has changed since it was written: its checksum differs"
        return None


@dataclass(frozen=True)
class StoredFolder:
    """A folder with all files in it."""

    path: Path

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.path.name

    def _files(self) -> list[Path]:
        return sorted(p for p in self.path.rglob("*") if p.is_file())

    def describe(self) -> Description:
        """Return the description of each file."""
        return {
            p.relative_to(self.path).as_posix(): StoredFile(p).describe()
            for p in self._files()
        }

    def problem(self, stored: Description, thorough: bool) -> str | None:
        """Return how the first changed file differs; added files are ignored."""
        if not stored:
            return f"nothing was written to {self.path}"
        problems = (
            StoredFile(self.path / name).problem(described, thorough)
            for name, described in stored.items()
        )
        return next((p for p in problems if p), None)


@dataclass(frozen=True)
class StoredDataset:
    """A movie in a file to which later stages add further movies."""

    path: Place
    dataset: str

    @property
    def name(self) -> str:
        """Name of file and dataset."""
        return f"{str(self.path).rpartition('/')[2]}:{self.dataset}"

    def describe(self) -> Description:
        """Return shape, dtype and checksum."""
        with open_recording(self.path, self.dataset) as movie:
            sums = getattr(movie, "checksums", None)
            if sums is not None:  # the file stores a checksum of each frame
                return _describe(movie, crc32(sums.tobytes()), "frames")
            # workers can read a store in parallel
            if isinstance(self.path, str) or self.path.is_dir():
                frames = max(1, _PIECE * len(movie) // movie.nbytes)
                blocks = list(plan_blocks(len(movie), frames))
                parts = [s for _, s in map_blocks(movie, checksum_frames, blocks)]
                return _describe(movie, crc32(b"".join(parts)), "frames read")
            checksum = 0
            for _, block in movie.blocks(max(1, _PIECE * len(movie) // movie.nbytes)):
                little = block.astype(block.dtype.newbyteorder("<"), copy=False)
                checksum = crc32(np.ascontiguousarray(little).data, checksum)
            return _describe(movie, checksum, "pixels")

    def _read_all(self) -> None:
        with open_recording(self.path, self.dataset) as movie:
            for _ in movie.blocks(max(1, _PIECE * len(movie) // movie.nbytes)):
                pass

    def problem(self, stored: Description, thorough: bool) -> str | None:
        """Return how the movie differs from its description; None if it is equal.

        Every stage changes the file, so its size and time say nothing here.
        `RunDirectory` compares them and asks for a ``thorough`` check if they differ.
        """
        where = f"{self.dataset} in {self.path}"
        try:
            if not thorough:
                with open_recording(self.path, self.dataset) as movie:
                    same = list(movie.shape) == stored.get("shape")
                return None if same else f"{where} has another shape"
            now = self.describe()
            if now.get("of") == "frames":
                self._read_all()  # reading compares each frame with its checksum
        except (AstrocastError, OSError, RuntimeError, ValueError, KeyError) as error:
            return f"{where} cannot be read: {error}"
        if now != stored:
            return f"{where} has changed since it was written: its checksum differs"
        return None


def checksum_frames(frames: NDArray[Any], block: Block, pool: Executor | None) -> bytes:
    """Return the CRC-32 of each frame, 4 bytes each; an operation for `map_blocks`."""
    little = np.ascontiguousarray(
        frames.astype(frames.dtype.newbyteorder("<"), copy=False)
    )
    return b"".join(crc32(frame.data).to_bytes(4, "little") for frame in little)


def _describe(movie: Recording, checksum: int, of: str) -> Description:
    return {
        "shape": list(movie.shape),
        "dtype": str(movie.dtype),
        "crc32": f"{checksum:08x}",
        "of": of,
    }


def describe_stamp(path: Path) -> Description:
    """Return size and time of the last change of a file."""
    stat = path.stat()
    return {"bytes": stat.st_size, "modified": stat.st_mtime_ns}


def checksum_file(path: Path) -> str:
    """Return the CRC-32 of a file as 8 hexadecimal digits."""
    checksum = 0
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            checksum = crc32(piece, checksum)
    return f"{checksum:08x}"
