"""Files that take their final name when they are complete."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from astrocast.errors import InvalidValueError, OutputError, OutputExistsError
from astrocast.io.naming import PARTIAL
from astrocast.io.recording import RecordingWriter, check_block
from astrocast.io.writing.early_sync import EarlySync

#: left free on the disk whatever is written
RESERVE = 64 << 20


def check_target(path: Path, overwrite: bool) -> Path:
    """Return where to write beside ``path`` until it is complete; refuse what exists
    unless asked.
    """
    if path.exists() and not overwrite:
        raise OutputExistsError(
            f"{path} exists; choose another name or pass overwrite=True"
        )
    return path.with_name(path.name + PARTIAL)


def check_space(folder: Path, need: int, what: Path) -> None:
    """Refuse to start what the disk has no room for."""
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise OutputError(f"{folder} cannot be written to: {error}") from error
    if free < need + RESERVE:
        raise OutputError(
            f"{what} needs {need / 1e9:.1f} GB, {free / 1e9:.1f} GB are free; free some"
            " space"
        )


def open_for_writing(path: Path) -> BinaryIO:
    """Open a new file, saying plainly why when it cannot be."""
    try:
        return path.open("wb", buffering=0)
    except OSError as error:
        raise OutputError(
            f"{path.parent} cannot be written to: {error.strerror}; choose another"
            " folder"
        ) from error


def sync(file: BinaryIO) -> None:
    """Wait until a file is on the disk: a rename must not overtake the data it names."""
    file.flush()
    os.fsync(file.fileno())


def write_fully(file: BinaryIO, view: memoryview) -> None:
    """Write all of ``view``; one call may write less than was asked for."""
    done = 0
    while done < len(view):
        done += file.write(view[done:])


class SequentialWriter(RecordingWriter):
    """Frames one after the other in a file that is renamed when it is complete.

    A format writes its header to ``file`` and passes the file on, positioned where the
    frames begin.
    """

    def __init__(
        self,
        path: Path,
        beside: Path,
        file: BinaryIO,
        shape: tuple[int, int, int],
        dtype: np.dtype[Any],
    ) -> None:
        self.path, self.beside, self.file, self.shape, self.dtype = (
            path,
            beside,
            file,
            shape,
            dtype,
        )
        self._next = 0
        self._sync = EarlySync(file.fileno())

    def write(self, start: int, block: NDArray[Any]) -> None:
        """Append the block."""
        check_block(self, start, block)
        if start != self._next:
            raise InvalidValueError(
                f"blocks are written in order: expected frame {self._next}, got {start}"
            )
        stored = np.ascontiguousarray(block, dtype=self.dtype)
        try:
            write_fully(self.file, stored.reshape(-1).view(np.uint8).data)
            self._sync.wrote(stored.nbytes)
        except OSError as error:
            raise OutputError(
                f"{self.path} cannot be written: {error.strerror}"
            ) from error
        self._next += len(block)

    def commit(self) -> None:
        """Wait for the disk and rename."""
        if self._next != self.shape[0]:
            self.discard()
            raise InvalidValueError(
                f"{self._next} of {self.shape[0]} frames were written to {self.path}"
            )
        try:
            self._sync.wait()
            sync(self.file)
        except OSError as error:
            self.discard()
            raise OutputError(
                f"{self.path} cannot be written: {error.strerror}"
            ) from error
        self._sync.close()
        self.file.close()
        os.replace(self.beside, self.path)  # noqa: PTH105 - atomic on every system

    def discard(self) -> None:
        """Close and remove what was written."""
        self._sync.close()
        self.file.close()
        self.beside.unlink(missing_ok=True)
