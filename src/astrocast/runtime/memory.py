"""Memory: the limit that a user sets, and the peak of a stage.

A stage works on blocks of frames. Their size follows the limit, so the memory of a
stage does not depend on the length of the recording, and results do not depend on the
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

#: name of the variable that holds the limit; processes that are started inherit it
MEMORY_VARIABLE = "ASTROCAST_MEMORY"
#: bytes that Python and the libraries of a run take
LIBRARY_BYTES = 400 << 20
#: bytes that the largest stage holds beside these, with blocks of full size
FULL_BYTES = 800 << 20
#: bytes below which no run is possible
LEAST_BYTES = 600 << 20
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_SIZE = re.compile(r"\s*([0-9]{1,15}(?:\.[0-9]{1,9})?)\s*([kmgt]?)(i?)b?\s*", re.I)
#: parameters of glibc's mallopt: trim threshold, mmap threshold, most arenas
_TRIM, _MMAP, _ARENAS = -1, -3, -8
#: larger arrays are given back to the system as soon as they are freed: without and
#: with a memory limit. Asking for them anew costs time
_GIVEN_BACK, _GIVEN_BACK_LIMITED = 32 << 20, 8 << 20


def read_size(text: str) -> int:
    """Return a number of bytes that is written as a text.

    Parameters
    ----------
    text
        A number with or without a unit: B, kB, MB, GB, TB (powers of 1000), KiB, MiB,
        GiB, TiB (powers of 1024).

    Raises
    ------
    InvalidValueError
        The text is something else.

    Examples
    --------
    >>> read_size("1.5 GB"), read_size("800MiB")
    (1500000000, 838860800)
    """
    found = _SIZE.fullmatch(text)
    if found is None:
        raise InvalidValueError(f"{text[:40]!r} is not a size; write for example 1.5GB")
    unit = _UNITS[found[2].lower()]
    if found[3]:
        unit = 1 << (10 * list(_UNITS).index(found[2].lower()))
    return int(float(found[1]) * unit)


def memory_limit() -> int | None:
    """Return the bytes that this process may take; None without a limit.

    It is set by the variable ASTROCAST_MEMORY, or by the option ``--memory``.

    Raises
    ------
    InvalidValueError
        The variable is not a size, or too small for any run.
    """
    text = os.environ.get(MEMORY_VARIABLE, "")
    if not text:
        return None
    limit = read_size(text)
    if limit < LEAST_BYTES:
        raise InvalidValueError(
            f"a memory limit of {limit / 1e6:.0f} MB is too small: Python and the"
            f" libraries take {LIBRARY_BYTES / 1e6:.0f} MB, and at least"
            f" {LEAST_BYTES / 1e6:.0f} MB are needed"
        )
    return limit


@contextmanager
def limiting_memory(size: str | None) -> Iterator[None]:
    """Limit the memory of this process and of those that it starts, within the context.

    Parameters
    ----------
    size
        As for `read_size`; None changes nothing.
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
        Without a limit.

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
    """Make the C library use freed blocks again, whichever thread asks.

    glibc keeps the freed blocks of each thread apart, which together are several times
    what is in use. With a memory limit, arrays of 8 MB and more are given back to the
    system as soon as they are freed. Other C libraries are left as they are.
    """
    limited = memory_limit() is not None
    set_option = _c_function("mallopt")
    if set_option is not None:
        set_option(_ARENAS, 1)
        set_option(_MMAP, _GIVEN_BACK_LIMITED if limited else _GIVEN_BACK)
        set_option(_TRIM, 2 * _GIVEN_BACK)


def give_back_freed_memory() -> None:
    """Return the memory that earlier stages freed to the system, where it can be."""
    trim = _c_function("malloc_trim")
    if trim is not None:
        trim(0)


def _c_function(name: str) -> Any:
    """Return a function of glibc; None where another C library is used."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        return getattr(ctypes.CDLL(None), name)
    except (OSError, AttributeError):
        return None


class PeakMemory:
    """Samples the resident memory of this process while the context is open.

    ``with PeakMemory() as memory: ...`` then ``memory.peak`` and ``memory.start`` in
    bytes.
    """

    def __init__(self, interval: float = 0.02) -> None:
        self.interval = interval
        import psutil  # here: the command line reads the limit in every call

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
