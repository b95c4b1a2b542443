"""Synchronise a file to the disk while it is being written."""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor

#: a sync starts after this many bytes: few enough that little remains for the end,
#: enough for continuous writing
SYNC_BYTES = 64 << 20
#: sync of the data only, if the system supports it; size and times follow at the end
_sync = getattr(os, "fdatasync", os.fsync)


class EarlySync:
    """Synchronise a file in a separate thread while it is written.

    An operating system stores written data in memory until a sync. If a file is synced
    only when it is complete, the disk is idle at first and the process waits for it at
    the end.

    Parameters
    ----------
    descriptor
        Descriptor of the open file, which has to stay open until `close`.
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

        The operating system reports such an error only once.
        """
        if self._last is not None:
            last, self._last = self._last, None
            last.result()

    def close(self) -> None:
        """Wait for the thread to end."""
        self._pool.shutdown(wait=True)
