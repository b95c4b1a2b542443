"""Lock an output, so that only one process writes to it.

It is a lock of the operating system on an open file, which ends with the process in any
case; a remaining lock file has no effect.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from astrocast.errors import OutputError


class OutputLock:
    """Exclusive right to write to an output, until `release`.

    Parameters
    ----------
    path
        Lock file of the output; created if it is missing.
    what
        The output, for messages.
    temporary
        Remove the lock file with the lock. Otherwise it stays, without effect.

    Raises
    ------
    OutputError
        Another process has the lock.
    """

    def __init__(self, path: Path, what: Path, temporary: bool = False) -> None:
        self._temporary = path if temporary else None
        while True:
            file = _open_locked(path, what)
            # the one who had it may have removed it since it was opened
            if not temporary or _is_named(file, path):
                break
            file.close()
        self._file: BinaryIO | None = file
        with suppress(OSError):  # a full disk: the number is only for the message
            file.truncate(0)
            file.write(f"{os.getpid()}".encode())
            file.flush()

    def release(self) -> None:
        """Allow other processes to write."""
        if self._file is None:
            return
        if self._temporary is not None:
            with suppress(OSError):  # Windows removes no open file: it stays there
                self._temporary.unlink()
        self._file.close()
        self._file = None


def _open_locked(path: Path, what: Path) -> BinaryIO:
    """Open and lock a file, or raise OutputError."""
    try:
        file = path.open("a+b")
    except OSError as error:
        raise OutputError(
            f"{what} cannot be written to: {error.strerror or error}"
        ) from error
    try:
        _lock(file)
    except BlockingIOError as error:
        file.seek(0)
        owner = file.read(20).decode(errors="replace").strip()
        file.close()
        raise OutputError(
            f"another process{f' ({owner})' if owner else ''} is writing to {what};"
            " wait until it is done, or choose another output"
        ) from error
    return file


def _is_named(file: BinaryIO, path: Path) -> bool:
    """Return whether a path still leads to an open file."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _lock(file: BinaryIO) -> None:
    """Lock an open file, or raise BlockingIOError; no lock on disks without locks."""
    if os.name == "nt":
        import msvcrt

        try:
            file.seek(1 << 20)  # beyond the number, which others may read
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        except OSError as error:
            raise BlockingIOError from error
        return
    import fcntl

    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:  # network disks without locks
        return
