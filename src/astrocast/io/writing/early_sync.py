"""Sync a file to the disk while it is still being written."""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor

#: bytes written before they are sent on: few enough to leave little for the end, enough
#: to keep the disk streaming
SYNC_BYTES = 64 << 20
#: the data alone where the system can: its sizes and times are synced once, at the end
_sync = getattr(os, "fdatasync", os.fsync)


class EarlySync:
    """Syncs a file in a separate thread while it is written.

    A system keeps written data in memory until a sync, or until memory runs
    short; a file that is only synced when it is complete makes everything wait for the
    disk then. Meanwhile the disk had nothing to do.

    Parameters
    ----------
    descriptor
        Of the open file. It must stay open until `close`.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor, self._pending = descriptor, 0
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="astrocast-sync")
        self._last: Future[None] | None = None

    def wrote(self, n_bytes: int) -> None:
        """Count written bytes; start a sync if there are enough and none runs."""
        self._pending += n_bytes
        if self._pending < SYNC_BYTES or (
            self._last is not None and not self._last.done()
        ):
            return
        self.wait()
        self._pending = 0
        self._last = self._pool.submit(_sync, self.descriptor)

    def wait(self) -> None:
        """Wait for the running sync and raise its error.

        The system reports the error only once.
        """
        if self._last is not None:
            last, self._last = self._last, None
            last.result()

    def close(self) -> None:
        """Wait for the thread to end."""
        self._pool.shutdown(wait=True)
