"""The memory limit set by the user, and the peak memory of a stage.

A stage works on blocks of frames, whose size depends on the limit. The memory of a
stage thus does not depend on the length of the recording; results do not depend on the
size of the blocks.
"""

from __future__ import annotations

import ctypes
import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

from astrocast.errors import InvalidValueError

#: environment variable with the limit; child processes inherit it
MEMORY_VARIABLE = "ASTROCAST_MEMORY"
#: bytes of Python and its libraries in a run
LIBRARY_BYTES = 400 << 20
#: further bytes of the largest stage, with blocks of full size
FULL_BYTES = 800 << 20
#: smallest limit with which a run is possible, bytes
LEAST_BYTES = 600 << 20
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_SIZE = re.compile(r"\s*([0-9]{1,15}(?:\.[0-9]{1,9})?)\s*([kmgt]?)(i?)b?\s*", re.I)
#: parameters of glibc's mallopt: trim threshold, mmap threshold, number of arenas
_TRIM, _MMAP, _ARENAS = -1, -3, -8
#: arrays of more bytes are returned to the system as soon as they are freed, without
#: and with a memory limit. Allocating them again takes time
_GIVEN_BACK, _GIVEN_BACK_LIMITED = 32 << 20, 8 << 20


def read_size(text: str) -> int:
    """Return the number of bytes that a text states.

    Parameters
    ----------
    text
        A number with or without a unit: B, kB, MB, GB, TB (powers of 1000), KiB, MiB,
        GiB, TiB (powers of 1024).

    Raises
    ------
    InvalidValueError
        The text is not a size.

    Examples
    --------
    >>> read_size("1.5 GB"), read_size("800MiB")
    (1500000000, 838860800)
    """
    found = _SIZE.fullmatch(text)
    if found is None:
        raise InvalidValueError(
            f"{text[:40]!r} is not a size in bytes; write for example 1.5GB or 800MiB"
        )
    unit = _UNITS[found[2].lower()]
    if found[3]:
        unit = 1 << (10 * list(_UNITS).index(found[2].lower()))
    return int(float(found[1]) * unit)


def memory_limit() -> int | None:
    """Return the bytes that this process may use; None without a limit.

    The limit is set by the environment variable ASTROCAST_MEMORY, or by the option
    ``--memory``.

    Raises
    ------
    InvalidValueError
        The variable is not a size, or is too small for any run.
    """
    text = os.environ.get(MEMORY_VARIABLE, "")
    if not text:
        return None
    limit = read_size(text)
    if limit < LEAST_BYTES:
        raise InvalidValueError(
            f"a memory limit of {limit / 1e6:.0f} MB is too small: Python and its"
            f" libraries use {LIBRARY_BYTES / 1e6:.0f} MB; set at least"
            f" {LEAST_BYTES / 1e6:.0f} MB"
        )
    return limit


@contextmanager
def limiting_memory(size: str | None) -> Iterator[None]:
    """Limit the memory of this process and its child processes within the context.

    Parameters
    ----------
    size
        See `read_size`; None: no change.
    """
    before = os.environ.get(MEMORY_VARIABLE)
    if size is not None:
        os.environ[MEMORY_VARIABLE] = size
    try:
        memory_limit()
        yield
    finally:
        if size is not None:
            os.environ.pop(MEMORY_VARIABLE)
            if before is not None:
                os.environ[MEMORY_VARIABLE] = before


def scale_to_memory(size: int) -> int:
    """Return the size of a block (bytes or voxels) within the memory limit.

    Parameters
    ----------
    size
        Size without a limit.

    Examples
    --------
    >>> scale_to_memory(1000)
    1000
    >>> with limiting_memory("800 MiB"):
    ...     scale_to_memory(1000)
    500
    """
    limit = memory_limit()
    if limit is None:
        return size
    share = min(1.0, (limit - LIBRARY_BYTES) / FULL_BYTES)
    return max(1, int(size * share))


def share_freed_memory() -> None:
    """Make the C library reuse memory that another thread has freed.

    glibc stores freed memory separately for each thread, in total several times the
    memory in use. With a memory limit, arrays of 8 MB and more are returned to the
    system as soon as they are freed. With other C libraries nothing is changed.
    """
    limited = memory_limit() is not None
    set_option = _c_function("mallopt")
    if set_option is not None:
        set_option(_ARENAS, 1)
        set_option(_MMAP, _GIVEN_BACK_LIMITED if limited else _GIVEN_BACK)
        set_option(_TRIM, 2 * _GIVEN_BACK)


def give_back_freed_memory() -> None:
    """Return freed memory of earlier stages to the system, if the C library can."""
    trim = _c_function("malloc_trim")
    if trim is not None:
        trim(0)


def _c_function(name: str) -> Any:
    """Return a function of glibc; None with another C library."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        return getattr(ctypes.CDLL(None), name)
    except (OSError, AttributeError):
        return None


class PeakMemory:
    """Measure the peak of the resident memory of this process within the context.

    ``with PeakMemory() as memory: ...`` then ``memory.peak`` and ``memory.start`` in
    bytes.
    """

    def __init__(self, interval: float = 0.02) -> None:
        self.interval = interval
        import psutil  # not at the top: it would slow down every command

        self._process = psutil.Process()
        self._stop = threading.Event()
        self.start: int = 0
        self.peak: int = 0

    def __enter__(self) -> Self:
        self.start = self.peak = self._process.memory_info().rss
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()
        self.peak = max(self.peak, self._process.memory_info().rss)

    def _sample(self) -> None:
        while not self._stop.wait(self.interval):
            self.peak = max(self.peak, self._process.memory_info().rss)
