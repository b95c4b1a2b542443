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

    Raises
    ------
    OutputError
        Another process has the lock.
    """

    def __init__(self, path: Path, what: Path) -> None:
        try:
            self._file: BinaryIO | None = path.open("a+b")
        except OSError as error:
            raise OutputError(
                f"{what} cannot be written to: {error.strerror or error}"
            ) from error
        try:
            _lock(self._file)
        except BlockingIOError as error:
            self._file.seek(0)
            owner = self._file.read(20).decode(errors="replace").strip()
            self._file.close()
            raise OutputError(
                f"another process{f' ({owner})' if owner else ''} is writing to {what};"
                " wait until it is done, or choose another output"
            ) from error
        with suppress(OSError):  # a full disk: the number is only for the message
            self._file.truncate(0)
            self._file.write(f"{os.getpid()}".encode())
            self._file.flush()

    def release(self) -> None:
        """Allow other processes to write."""
        if self._file is not None:
            self._file.close()
            self._file = None


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
