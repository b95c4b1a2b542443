"""Permissions for opening a recording: other files, missing chunks.

A file can refer to other files of the computer (links, virtual datasets, external
storage), and chunks can be missing, which libraries read as zeros. Both can give wrong
pixels, or pixels of an unintended file, without an error. They are refused unless the
user allows them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True)
class Access:
    """Permissions while a recording is opened.

    Parameters
    ----------
    other_files
        Follow links, virtual datasets and external storage to other files.
    missing_chunks
        Replace missing chunks by the fill value (usually 0).
    """

    other_files: bool = False
    missing_chunks: bool = False


_access: ContextVar[Access] = ContextVar("astrocast_access", default=Access())  # noqa: B039 - frozen


def current_access() -> Access:
    """Return the current permissions."""
    return _access.get()


@contextmanager
def allowing(
    *, other_files: bool = False, missing_chunks: bool = False
) -> Iterator[None]:
    """Allow reads that are refused otherwise, for recordings opened in the context.

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
