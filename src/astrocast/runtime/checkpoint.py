"""Results of finished blocks on disk, so that interrupted work can resume.

Each block is one ``.npz`` file, which gets its name when it is complete and contains a
checksum of its arrays. If the file is missing, damaged or incomplete, the block is
computed again.

Small results are read many times: a store can keep the latest in memory.
"""

from __future__ import annotations

import hashlib
import shutil
import threading
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.io.writing.files import remove_leftovers_in, replacing
from astrocast.runtime.fingerprint import feed_array

Arrays = dict[str, NDArray[Any]]
_CHECKSUM = "_checksum"
#: errors that reading a damaged file raises
_DAMAGE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)


def checksum_arrays(arrays: Arrays) -> NDArray[np.uint8]:
    """Return a checksum of named arrays, uint8 (16,)."""
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(arrays):
        digest.update(name.encode())
        feed_array(digest, arrays[name])
    return np.frombuffer(digest.digest(), np.uint8)


def write_arrays(path: Path, arrays: Arrays) -> None:
    """Write named arrays and their checksum to a ``.npz`` file, completely or not.

    The file is not synchronised to disk; after a power failure its checksum shows
    whether it is intact.
    """
    # np.savez cannot refuse Python objects in all versions
    if any(array.dtype.hasobject for array in arrays.values()):
        raise TypeError(
            f"{path} cannot store Python objects: convert them to numbers or text"
        )
    with replacing(path, durable=False) as beside, beside.open("wb") as file:
        checked: dict[str, Any] = {_CHECKSUM: checksum_arrays(arrays), **arrays}
        np.savez(file, **checked)


def read_arrays(
    path: Path, wanted: Sequence[str] = (), checked: bool = False
) -> Arrays | None:
    """Return the arrays of a file; None if the file is missing or damaged.

    Parameters
    ----------
    path
        File written by `write_arrays`.
    wanted
        Names of the arrays to read; empty: all.
    checked
        Whether this process has read or written the file before: then only the
        checksums of the archive are compared, not that of `write_arrays`. With names,
        they are all that is compared.
    """
    if not path.is_file():
        return None
    try:
        # open the file here: np.load does not close a damaged file
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            if wanted:
                return {name: file[name] for name in wanted}
            names = [n for n in file.files if not (checked and n == _CHECKSUM)]
            arrays = {name: file[name] for name in names}
        if checked:
            return arrays
        written = arrays.pop(_CHECKSUM)
    except _DAMAGE:
        return None
    return arrays if np.array_equal(written, checksum_arrays(arrays)) else None


class BlockStore:
    """Finished blocks in a folder, accessed by name.

    Parameters
    ----------
    folder
        Created if it is missing; incomplete files of killed processes are removed.
        None: nothing is stored.
    memory
        Bytes of the latest blocks that are kept in memory as well. Then arrays that are
        saved or loaded must not be changed afterwards.
    """

    def __init__(self, folder: Path | None, memory: int = 0) -> None:
        self.folder = folder
        self._intact: set[str] = set()
        self._latest = _LatestBlocks(memory)
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            remove_leftovers_in(folder)

    def has(self, name: str) -> bool:
        """Return whether the block is finished and its file intact."""
        if name in self._intact:
            return True
        return self.load(name) is not None

    def save(self, name: str, **arrays: NDArray[Any]) -> None:
        """Store the arrays of a finished block."""
        if self.folder is not None:
            write_arrays(self._file(name), arrays)
            self._intact.add(name)
            self._latest.put(name, arrays)

    def load(self, name: str, *wanted: str) -> Arrays | None:
        """Return the arrays of a block; None if it is not finished or damaged.

        ``wanted``: names of the arrays to read; empty: all. The checksum is compared
        when this process reads a file for the first time, unless it wrote the file.
        """
        if self.folder is None:
            return None
        latest = self._latest.get(name)
        if latest is not None and self._file(name).is_file():
            if not latest.keys() >= set(wanted):
                return None
            return {n: latest[n] for n in wanted or latest}
        known = name in self._intact
        arrays = read_arrays(self._file(name), wanted if known else (), known)
        if arrays is not None:
            self._intact.add(name)
            if not (known and wanted):
                self._latest.put(name, arrays)
        return arrays

    def clear(self) -> None:
        """Remove every block."""
        self._intact.clear()
        self._latest.clear()
        if self.folder is not None:
            for path in self.folder.glob("*.npz"):
                path.unlink()

    def remove(self) -> None:
        """Remove the folder."""
        self._intact.clear()
        self._latest.clear()
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _file(self, name: str) -> Path:
        assert self.folder is not None
        return self.folder / f"{name}.npz"


class _LatestBlocks:
    """The latest blocks, up to a number of bytes; used by several threads.

    A block that would take more than a quarter of the bytes is not kept: it would
    displace all small ones.
    """

    def __init__(self, memory: int) -> None:
        self._memory, self._held = memory, 0
        self._blocks: OrderedDict[str, Arrays] = OrderedDict()
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for another process: without blocks."""
        return {"memory": self._memory}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["memory"])  # type: ignore[misc]

    def put(self, name: str, arrays: Arrays) -> None:
        """Keep a block, and drop the oldest ones."""
        size = _count_bytes(arrays)
        with self._lock:
            self._held -= _count_bytes(self._blocks.pop(name, {}))
            if 4 * size <= self._memory:
                self._blocks[name] = arrays
                self._held += size
            while self._held > self._memory:
                self._held -= _count_bytes(self._blocks.popitem(last=False)[1])

    def get(self, name: str) -> Arrays | None:
        """Return a block, or None."""
        with self._lock:
            if name in self._blocks:
                self._blocks.move_to_end(name)
            return self._blocks.get(name)

    def clear(self) -> None:
        """Drop every block."""
        with self._lock:
            self._blocks.clear()
            self._held = 0


def _count_bytes(arrays: Arrays) -> int:
    """Return the bytes of arrays."""
    return sum(array.nbytes for array in arrays.values())
