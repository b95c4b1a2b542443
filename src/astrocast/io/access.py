"""What a file may make us read, decided where a recording is opened.

A file can name other files of the computer (links, virtual datasets, external storage)
and can leave out chunks, which libraries then read as zeros. Both give wrong pixels, or
those of a file that nobody meant to open, in silence. They are refused unless allowed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True)
class Access:
    """What is allowed while a recording is opened.

    Parameters
    ----------
    other_files
        Follow links, virtual datasets and external storage to other files.
    missing_chunks
        Read chunks that are not in the file as the fill value (0 as a rule).
    """

    other_files: bool = False
    missing_chunks: bool = False


_access: ContextVar[Access] = ContextVar("astrocast_access", default=Access())  # noqa: B039 - frozen


def current_access() -> Access:
    """Return the permissions in force."""
    return _access.get()


@contextmanager
def allowing(
    *, other_files: bool = False, missing_chunks: bool = False
) -> Iterator[None]:
    """Allow otherwise refused reads, for recordings opened within the block.

    Examples
    --------
    >>> with allowing(missing_chunks=True):
    ...     current_access().missing_chunks
    True
    """
    token = _access.set(Access(other_files, missing_chunks))
    try:
        yield
    finally:
        _access.reset(token)
