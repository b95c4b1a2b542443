"""Results of finished blocks on disk, so that interrupted work can resume.

Each block is one ``.npz`` file that takes its name when it is complete and holds a
checksum of its arrays. A file that is absent, damaged or half written counts as not
finished: its block is computed again.
"""

from __future__ import annotations

import hashlib
import shutil
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.io.writing.files import remove_leftovers_in, replacing
from astrocast.runtime.fingerprint import feed_array

Arrays = dict[str, NDArray[Any]]
_CHECKSUM = "_checksum"
#: what reading a damaged file raises
_DAMAGE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)


def checksum_arrays(arrays: Arrays) -> NDArray[np.uint8]:
    """Return a checksum of named arrays, uint8 (16,)."""
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(arrays):
        digest.update(name.encode())
        feed_array(digest, arrays[name])
    return np.frombuffer(digest.digest(), np.uint8)


def write_arrays(path: Path, arrays: Arrays) -> None:
    """Write named arrays and their checksum as one ``.npz`` file, whole or not at all.

    The file is not synced: its checksum shows whether it survived a power failure.
    """
    # np.savez has no parameter that refuses Python objects in all versions
    if any(array.dtype.hasobject for array in arrays.values()):
        raise TypeError(f"{path} would hold Python objects; store numbers and text")
    with replacing(path, durable=False) as beside, beside.open("wb") as file:
        checked: dict[str, Any] = {_CHECKSUM: checksum_arrays(arrays), **arrays}
        np.savez(file, **checked)


def read_arrays(path: Path, wanted: Sequence[str] = ()) -> Arrays | None:
    """Return what `write_arrays` wrote; None where it is absent or damaged.

    Parameters
    ----------
    path
        File of `write_arrays`.
    wanted
        Names of the arrays to read, of a file whose checksum was compared before: what
        is read is compared with the checksums of the archive alone. All when empty.
    """
    if not path.is_file():
        return None
    try:
        # opened here: np.load leaves a damaged file open
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            if wanted:
                return {name: file[name] for name in wanted}
            arrays = {name: file[name] for name in file.files}
        written = arrays.pop(_CHECKSUM)
    except _DAMAGE:
        return None
    return arrays if np.array_equal(written, checksum_arrays(arrays)) else None


class BlockStore:
    """Finished blocks in a folder, found by name.

    Parameters
    ----------
    folder
        Made at once where it is absent. Files that a process that died left half
        written are removed. None stores nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self._intact: set[str] = set()
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

    def load(self, name: str, *wanted: str) -> Arrays | None:
        """Return the arrays of a block; None where it is not finished, or damaged.

        ``wanted`` names those to read; all when there is none. The checksum of a file
        is compared the first time that this process reads it, unless it wrote it.
        """
        if self.folder is None:
            return None
        known = name in self._intact
        arrays = read_arrays(self._file(name), wanted if known else ())
        if arrays is not None:
            self._intact.add(name)
        return arrays

    def clear(self) -> None:
        """Remove every block."""
        self._intact.clear()
        if self.folder is not None:
            for path in self.folder.glob("*.npz"):
                path.unlink()

    def remove(self) -> None:
        """Remove the folder."""
        self._intact.clear()
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _file(self, name: str) -> Path:
        assert self.folder is not None
        return self.folder / f"{name}.npz"
