"""Write files that get their final name when they are complete."""

from __future__ import annotations

import hashlib
import itertools
import os
import platform
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import psutil
from numpy.typing import NDArray

from astrocast.errors import (
    AstrocastError,
    InvalidValueError,
    OutputError,
    OutputExistsError,
)
from astrocast.io.naming import PARTIAL
from astrocast.io.recording import RecordingWriter, check_block
from astrocast.io.writing.early_sync import EarlySync

#: bytes of the disk that are never used
RESERVE = 64 << 20
#: hash of the computer's name in names of incomplete files: on a shared disk, it is not
#: known whether a process of another computer still runs
_COMPUTER = hashlib.blake2b(platform.node().encode(), digest_size=3).hexdigest()
_count = itertools.count()
#: suffix of the old folder while it is being replaced
REPLACED = ".replaced"
_INCOMPLETE = re.compile(rf".+\.([0-9a-f]{{6}})-(\d+)-\d+{re.escape(PARTIAL)}(\.\w+)?")


@contextmanager
def replacing(
    path: Path, *, overwrite: bool = True, durable: bool = True, suffix: str = ""
) -> Iterator[Path]:
    """Yield a temporary path beside ``path``, which is renamed to ``path`` at the end.

    A reader sees either the old or the new file (or folder), always complete. After an
    error the new file is removed. Incomplete files of killed processes are removed
    first.

    Parameters
    ----------
    path
        File or folder to write.
    overwrite
        Whether an existing file is replaced; otherwise it is an error.
    durable
        Whether a file is synchronised to the disk before it is renamed, so that it is
        complete also after a power failure.
    suffix
        Suffix of the temporary name, for writers that choose a format by it.

    Raises
    ------
    OutputError
        Writing failed; the message contains the reason.
    OutputExistsError
        ``path`` exists and ``overwrite`` is False.

    Examples
    --------
    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "table.csv"
    >>> with replacing(target) as beside:
    ...     _ = beside.write_text("a,b")
    >>> target.read_text()
    'a,b'
    """
    new = Replacement(path, overwrite=overwrite, durable=durable, suffix=suffix)
    try:
        yield new.beside
        new.commit()
    except BaseException as error:
        new.discard()
        if isinstance(error, OSError) and not isinstance(error, AstrocastError):
            raise OutputError(
                f"{path} cannot be written: {error.strerror or error}"
            ) from error
        raise


class Replacement:
    """Like `replacing`, but with methods instead of a context.

    Parameters
    ----------
    path, overwrite, durable, suffix
        See `replacing`.

    Attributes
    ----------
    beside
        The temporary path to write to.
    """

    def __init__(
        self,
        path: Path,
        *,
        overwrite: bool = True,
        durable: bool = True,
        suffix: str = "",
    ) -> None:
        restore_replaced(path)
        if not overwrite and path.exists():
            raise OutputExistsError(
                f"{path} exists; choose another name or pass overwrite=True"
            )
        remove_leftovers(path)
        name = f"{path.name}.{_COMPUTER}-{os.getpid()}-{next(_count)}{PARTIAL}{suffix}"
        self.path, self.beside, self._durable = path, path.with_name(name), durable

    def commit(self) -> None:
        """Give the new file its final name."""
        if self._durable and self.beside.is_file():
            with self.beside.open("r+b") as file:
                sync(file)
        rename_over(self.beside, self.path)

    def discard(self) -> None:
        """Remove the new file; an existing file does not change."""
        _remove(self.beside)


def rename_over(beside: Path, path: Path) -> None:
    """Give a complete file or folder its final name, replacing an existing one.

    A folder cannot be replaced in one step: the old one is renamed first. If this
    process dies in between, the next writer restores it.
    """
    old = path.with_name(path.name + REPLACED)
    if path.is_dir():
        if old.exists():  # left by a killed process
            _remove(old)
        os.replace(path, old)  # noqa: PTH105
    try:
        os.replace(beside, path)  # noqa: PTH105 - atomic on every system
    except BaseException:
        restore_replaced(path)
        raise
    if old.exists():
        _remove(old)


def restore_replaced(path: Path) -> None:
    """Restore a file whose replacement was interrupted; see `rename_over`."""
    old = path.with_name(path.name + REPLACED)
    if old.exists() and not path.exists():
        os.replace(old, path)  # noqa: PTH105


def _remove(path: Path) -> None:
    with suppress(OSError):  # an earlier error is the one to show
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def remove_leftovers(path: Path) -> None:
    """Remove incomplete versions of ``path`` left by killed processes."""
    if path.parent.is_dir():
        for left in path.parent.glob(_escape(path.name) + f".*{PARTIAL}*"):
            _remove_if_dead(left)


def remove_leftovers_in(folder: Path) -> None:
    """Remove the incomplete files that killed processes left in a folder."""
    for left in folder.glob(f"*{PARTIAL}*"):
        _remove_if_dead(left)


def _escape(name: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", name)


def _remove_if_dead(left: Path) -> None:
    """Remove an incomplete file unless the process that writes it may still run."""
    named = _INCOMPLETE.fullmatch(left.name)
    if named is None or named[1] != _COMPUTER:
        return
    with suppress(OSError):
        try:
            # a process that started after the file was written has its id by chance
            started = psutil.Process(int(named[2])).create_time()
            alive = started <= left.stat().st_mtime + 1
        except (psutil.Error, OverflowError):
            alive = False
        if not alive:
            _remove(left)


def check_space(folder: Path, need: int, what: Path) -> None:
    """Raise an error if the disk has too little room."""
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise OutputError(f"{folder} cannot be written to: {error}") from error
    if free < need + RESERVE:
        raise OutputError(
            f"{what} needs {format_bytes(need)}, and {format_bytes(RESERVE)} have to"
            f" stay free; {format_bytes(free)} are free. Free some space on the disk"
        )


def format_bytes(count: float) -> str:
    """Return a number of bytes with three digits and a unit.

    Examples
    --------
    >>> format_bytes(512), format_bytes(2_345_678)
    ('512 B', '2.35 MB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def open_for_writing(path: Path) -> BinaryIO:
    """Open a new file; the error says why this is not possible."""
    try:
        return path.open("wb", buffering=0)
    except OSError as error:
        raise OutputError(
            f"{path.parent} cannot be written to: {error.strerror}; choose another"
            " folder"
        ) from error


def sync(file: BinaryIO) -> None:
    """Wait until a file is on the disk, as is necessary before it is renamed."""
    file.flush()
    os.fsync(file.fileno())


def write_fully(file: BinaryIO, view: memoryview) -> None:
    """Write all of ``view``; one call of the system may write only a part."""
    done = 0
    while done < len(view):
        done += file.write(view[done:])


class SequentialWriter(RecordingWriter):
    """Write frames one after the other to a file that is renamed when it is complete.

    The subclass writes the header of the format to ``file`` first, up to the first byte
    of the frames.
    """

    def __init__(
        self,
        new: Replacement,
        file: BinaryIO,
        shape: tuple[int, int, int],
        dtype: np.dtype[Any],
    ) -> None:
        self._new, self.path, self.file = new, new.path, file
        self.shape, self.dtype = shape, dtype
        self._next = 0
        self._sync = EarlySync(file.fileno())

    def write(self, start: int, block: NDArray[Any]) -> None:
        """Append the block."""
        check_block(self, start, block)
        if start != self._next:
            raise InvalidValueError(
                "blocks have to be written in order: expected frame"
                f" {self._next}, found {start}"
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
        self._new.commit()

    def discard(self) -> None:
        """Close and remove the unfinished output."""
        self._sync.close()
        self.file.close()
        self._new.discard()
