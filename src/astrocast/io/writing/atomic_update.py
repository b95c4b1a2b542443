"""Change an existing file completely or not at all.

A library that adds to a file (HDF5) changes existing bytes in many small steps. A full
disk, a limit of the file size or a crash between two steps destroys the whole file.
Here new bytes are appended to the file, and changes of existing bytes are collected in
memory. In the end these changes are stored in a journal beside the file, and then
applied. If the process dies before the journal is complete, nothing has changed. If it
dies later, the next writer applies the journal; until then, readers apply it in memory.
"""

from __future__ import annotations

import os
import struct
from contextlib import suppress
from pathlib import Path
from zlib import crc32

from astrocast.errors import FormatError, OutputError
from astrocast.io.writing.files import replacing

#: bytes of a page, the unit of changes
PAGE = 4096
JOURNAL = ".journal"
_MAGIC = b"astrocast journal 1\n"
_HEAD, _ENTRY = struct.Struct("<QQ"), struct.Struct("<QI")
#: offset of a page -> its new bytes
Pages = dict[int, bytearray]


def journal_path(path: Path) -> Path:
    """Return the path of the journal of a file."""
    return path.with_name(path.name + JOURNAL)


class UpdatedFile:
    """A file object that shows a file with its pending changes.

    It has the methods that h5py needs. Only one thread may use it, as HDF5 guarantees.

    Parameters
    ----------
    path
        An existing file.
    end
        Number of bytes in use; bytes after them can be written directly. None: the size
        of the file.
    writable
        False: read only, with the changes of a journal if there is one.
    """

    def __init__(self, path: Path, end: int | None = None, writable: bool = True):
        self.path, self.writable = path, writable
        flags = os.O_RDWR if writable else os.O_RDONLY
        self._descriptor = os.open(path, flags | getattr(os, "O_BINARY", 0))
        try:
            self._pages: Pages = {}
            self._size = os.fstat(self._descriptor).st_size
            if writable:
                _lock(self._descriptor, path)
                self._size = self._finish_journal()
            elif (found := read_journal(journal_path(path))) is not None:
                self._size, self._pages = found
        except BaseException:
            os.close(self._descriptor)
            raise
        self._kept = self._size if end is None else min(end, self._size)
        self._original = self._size
        self._position, self._dead = 0, False
        #: first error of the system
        self.error: OSError | None = None

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._descriptor < 0

    # what h5py calls

    def seek(self, offset: int, whence: int = 0) -> int:
        """Set the position."""
        start = {0: 0, 1: self._position, 2: self._size}[whence]
        self._position = start + offset
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def read(self, count: int) -> bytes:
        """Return ``count`` bytes from the position on."""
        found = bytes(self._read(self._position, count))
        self._position += count
        return found

    def readinto(self, buffer: memoryview) -> int:
        """Fill the buffer; bytes after the end of the file are 0."""
        view = memoryview(buffer).cast("B")
        try:
            view[:] = self._read(self._position, len(view))
        except OSError as error:
            self._fail(error)
        self._position += len(view)
        return len(view)

    def write(self, data: memoryview) -> int:
        """Write at the position: existing bytes in memory, new bytes to disk."""
        view = memoryview(data).cast("B")
        start, stop = self._position, self._position + len(view)
        self._position = stop
        if self._dead:
            return len(view)
        inside = max(0, min(stop, self._kept) - start)
        try:
            if inside:
                self._change(start, view[:inside])
            if inside < len(view):
                write_at(self._descriptor, view[inside:], start + inside)
        except OSError as error:
            self._fail(error)
        self._size = max(self._size, stop)
        return len(view)

    def truncate(self, size: int) -> None:
        """Set the size; existing bytes are removed only by `commit`."""
        if self._dead:
            return
        try:
            if size >= self._kept:
                os.ftruncate(self._descriptor, size)
        except OSError as error:
            self._fail(error)
        self._size = size

    def flush(self) -> None:
        """Do nothing: changes become valid with `commit`."""

    # methods for a writer

    def check(self) -> None:
        """Raise the first error of the operating system since the file was opened.

        An error cannot stop a library that calls this object from C code. The first one
        is stored, and later writes are ignored.
        """
        if self.error is not None:
            raise self.error

    def reserve(self) -> None:
        """Allocate disk space for appended bytes now, so that no later write fails."""
        self.check()
        if hasattr(os, "posix_fallocate") and self._size > self._kept:
            os.posix_fallocate(self._descriptor, self._kept, self._size - self._kept)

    def commit(self) -> None:
        """Apply all changes in one step, after the appended bytes are on the disk.

        The library has to flush its buffers first.
        """
        self.check()
        os.fsync(self._descriptor)
        if self._pages or self._size != os.fstat(self._descriptor).st_size:
            write_journal(journal_path(self.path), self._size, self._pages)
            # the changes are valid now, also after a crash
            self._kept = self._original = self._size
            self._apply()
        self._kept = self._original = self._size

    def abandon(self) -> None:
        """Discard all changes since the last `commit`.

        Later changes are ignored, so that the library can close the file.
        """
        if not self._dead and not self.closed:
            self._dead = True
            with suppress(OSError):
                os.ftruncate(self._descriptor, self._original)

    def _fail(self, error: OSError) -> None:
        self.error = self.error or error
        self.abandon()

    def close(self) -> None:
        """Close the file; this also releases its lock."""
        if not self.closed:
            os.close(self._descriptor)
            self._descriptor = -1

    def _read(self, start: int, count: int) -> bytearray:
        found = bytearray(count)
        view, done = memoryview(found), 0
        while done < count:
            piece = read_at(self._descriptor, view[done:], start + done)
            if not piece:
                break
            done += piece
        first = start // PAGE * PAGE
        for place in range(first, start + count, PAGE) if self._pages else ():
            page = self._pages.get(place)
            if page is not None:
                low, high = max(start, place), min(start + count, place + len(page))
                if low < high:
                    found[low - start : high - start] = page[low - place : high - place]
        return found

    def _change(self, start: int, view: memoryview) -> None:
        done = 0
        while done < len(view):
            place = (start + done) // PAGE * PAGE
            within = start + done - place
            page = self._pages.get(place)
            if page is None:
                page = self._read(place, min(PAGE, self._kept - place))
                self._pages[place] = page
            count = min(len(page) - within, len(view) - done)
            page[within : within + count] = view[done : done + count]
            done += count

    def _finish_journal(self) -> int:
        """Apply the journal of a killed process, if any; return the file size."""
        journal = journal_path(self.path)
        found = read_journal(journal)
        if found is not None:
            self._size, self._pages = found
            self._apply()
        return os.fstat(self._descriptor).st_size

    def _apply(self) -> None:
        for place, page in self._pages.items():
            write_at(self._descriptor, memoryview(page), place)
        if os.fstat(self._descriptor).st_size != self._size:
            os.ftruncate(self._descriptor, self._size)
        os.fsync(self._descriptor)
        journal_path(self.path).unlink(missing_ok=True)
        self._pages = {}


def read_at(descriptor: int, view: memoryview, place: int) -> int:
    """Read from an offset of a file into ``view``; return the number of bytes."""
    if hasattr(os, "preadv"):
        return os.preadv(descriptor, [view], place)
    os.lseek(descriptor, place, os.SEEK_SET)
    piece = os.read(descriptor, len(view))
    view[: len(piece)] = piece
    return len(piece)


def write_at(descriptor: int, view: memoryview, place: int) -> None:
    """Write all of ``view`` at an offset of a file."""
    done = 0
    while done < len(view):  # one call may write only a part
        if hasattr(os, "pwrite"):
            done += os.pwrite(descriptor, view[done:], place + done)
        else:
            os.lseek(descriptor, place + done, os.SEEK_SET)
            done += os.write(descriptor, view[done:])


def write_journal(path: Path, size: int, pages: Pages) -> None:
    """Store changes of existing bytes in a journal, completely or not at all.

    Layout (little endian): magic, size of the file, number of pages; offset, length and
    bytes of each page; CRC-32 of all bytes before.
    """
    parts = [_MAGIC, _HEAD.pack(size, len(pages))]
    for place, page in sorted(pages.items()):
        parts += [_ENTRY.pack(place, len(page)), bytes(page)]
    content = b"".join(parts)
    with replacing(path) as beside:
        beside.write_bytes(content + struct.pack("<I", crc32(content)))


def read_journal(path: Path) -> tuple[int, Pages] | None:
    """Return the size of the file and the changes; None without a journal.

    A journal is renamed when it is complete, so an incomplete one was damaged later. It
    is an error, because some of its changes may already be applied.
    """
    try:
        stored = path.read_bytes()
    except FileNotFoundError:
        return None
    content = stored[:-4]
    whole = content.startswith(_MAGIC) and stored[-4:] == struct.pack(
        "<I", crc32(content)
    )
    if not whole:
        raise FormatError(
            f"{path} is damaged: it contains the last changes of"
            f" {path.name.removesuffix(JOURNAL)}. Replace that file by a copy, then"
            " remove the journal"
        )
    size, count = _HEAD.unpack_from(content, len(_MAGIC))
    at, pages = len(_MAGIC) + _HEAD.size, {}
    for _ in range(count):
        place, length = _ENTRY.unpack_from(content, at)
        at += _ENTRY.size
        pages[place] = bytearray(content[at : at + length])
        at += length
    return size, pages


def _lock(descriptor: int, path: Path) -> None:
    """Lock a file like HDF5 does, until it is closed or the process ends."""
    if os.name == "nt":
        return  # Windows does not open a file for writing that another process uses
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise OutputError(
            f"{path} is open in another program, which reads or writes it; close it"
            " there, or wait until it is done"
        ) from error
    except OSError:  # network disks without locks
        return
