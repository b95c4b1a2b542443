"""Adding to an existing HDF5 file never loses what is in it, whatever fails."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from astrocast.errors import AstrocastError, FormatError, OutputError
from astrocast.io import create_recording, open_recording
from astrocast.io.writing import atomic_update
from astrocast.io.writing.atomic_update import UpdatedFile, journal_path

RAW = np.random.default_rng(3).integers(0, 900, (12, 16, 16)).astype(np.uint16)
ADDED = RAW.astype(np.float32) / 3
KINDS = [(None, None), (None, (4, 8, 16)), ("gzip", (4, 8, 16))]


def a_file(folder: Path) -> Path:
    path = folder / "u.h5"
    with create_recording(path, "data/ch0", RAW.shape, RAW.dtype) as writer:
        writer.write(0, RAW)
    with h5py.File(path, "a") as file:
        file["notes/diary"] = np.arange(500)
        file["notes"].attrs["by"] = "somebody"
    return path


def add(path: Path, compression=None, chunks=(4, 8, 16), loc="df/ch0") -> None:
    with create_recording(
        path,
        loc,
        ADDED.shape,
        ADDED.dtype,
        chunks=chunks,
        compression=compression,
        overwrite=True,
    ) as writer:
        for start in range(0, len(ADDED), 5):
            writer.write(start, ADDED[start : start + 5])


def holds_everything(path: Path) -> bool:
    """Check that the old content is intact; return whether the new one is there."""
    with open_recording(path, "data/ch0") as movie:
        np.testing.assert_array_equal(movie.to_array(), RAW)
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["notes/diary"][:], np.arange(500))
        assert file["notes"].attrs["by"] == "somebody"
        there = "df/ch0" in file
        if there:
            np.testing.assert_array_equal(file["df/ch0"][:], ADDED)
        return there


@pytest.mark.parametrize(("compression", "chunks"), KINDS)
def test_a_dataset_is_added_and_replaced(tmp_path: Path, compression, chunks) -> None:
    path = a_file(tmp_path)
    for _ in range(2):
        add(path, compression, chunks)
        assert holds_everything(path)
    assert list(tmp_path.iterdir()) == [path]
    code = "import h5py, sys; h5py.File(sys.argv[1])"
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)


class FailsAt:
    """Lets the n-th call to the system fail, and all that follow (a full disk)."""

    def __init__(self, n: int) -> None:
        self.n, self.calls = n, 0

    def wrap(self, function):
        def called(*args):
            self.calls += 1
            if self.calls >= self.n:
                raise OSError(errno.ENOSPC, "No space left on device")
            return function(*args)

        return called


@pytest.mark.parametrize(("compression", "chunks"), KINDS)
def test_a_full_disk_at_any_write_loses_nothing(
    tmp_path: Path, compression, chunks
) -> None:
    """For every n, the n-th write, reservation, sync or truncation fails."""
    path = a_file(tmp_path)
    before = path.read_bytes()
    failed = 0
    for n in range(1, 200):
        faults = FailsAt(n)
        with pytest.MonkeyPatch.context() as patch:
            for name in ("pwrite", "posix_fallocate", "fsync"):
                if hasattr(os, name):
                    patch.setattr(os, name, faults.wrap(getattr(os, name)))
            try:
                add(path, compression, chunks)
                done = True
            except OutputError:
                done = False
        if done:
            break
        failed += 1
        if journal_path(path).exists():  # it failed while the changes were applied
            add(path, compression, chunks, "other/ch0")
            assert holds_everything(path)
            path.write_bytes(before)
        assert not holds_everything(path)
        assert path.read_bytes() == before
        assert list(tmp_path.iterdir()) == [path]
    assert failed >= 5
    assert holds_everything(path)


def test_a_crash_while_changes_are_applied_is_read_through_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = a_file(tmp_path)
    with monkeypatch.context() as crash:
        crash.setattr(
            UpdatedFile, "_apply", lambda self: (_ for _ in ()).throw(OSError())
        )
        with pytest.raises(OutputError):
            add(path)
    assert journal_path(path).exists()
    before = path.read_bytes()
    with open_recording(path, "df/ch0") as movie:  # as it was to become
        np.testing.assert_array_equal(movie.to_array(), ADDED)
    assert path.read_bytes() == before  # reading wrote nothing
    add(path, loc="mc/ch0")  # the next writer finishes it
    assert not journal_path(path).exists()
    assert holds_everything(path)


def test_a_damaged_journal_is_refused_by_name(tmp_path: Path) -> None:
    path = a_file(tmp_path)
    journal_path(path).write_bytes(b"astrocast journal 1\nrubbish")
    with pytest.raises(FormatError, match=r"u\.h5\.journal is damaged"):
        open_recording(path, "data/ch0")


@pytest.mark.skipif(sys.platform == "win32", reason="flock")
def test_a_file_that_another_program_writes_is_refused(tmp_path: Path) -> None:
    path = a_file(tmp_path)
    held = UpdatedFile(path)
    try:
        with pytest.raises(OutputError, match="open in another program"):
            add(path)
    finally:
        held.close()
    assert not holds_everything(path)


LIMITED = """
import resource, sys
from pathlib import Path
limit = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
from astrocast.cli.app import main
sys.exit(main(["delta", sys.argv[1], "--loc", "data/ch0", "-o", sys.argv[1]]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="file-size limit")
@pytest.mark.parametrize("spare", [0, 3000, 12000])
def test_a_file_size_limit_does_not_destroy_the_users_file(
    tmp_path: Path, spare: int
) -> None:
    path = a_file(tmp_path)
    before = path.read_bytes()
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(path), str(len(before) + spare)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "cannot be written" in done.stderr
    assert "Traceback" not in done.stderr
    assert path.read_bytes() == before


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_atomic_update import add
n, calls = int(sys.argv[3]), 0
def wrap(function):
    def called(*args):
        global calls
        calls += 1
        if calls == n:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args)
    return called
for name in ("pwrite", "fsync", "replace"):
    setattr(os, name, wrap(getattr(os, name)))
add(Path(sys.argv[1]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
@pytest.mark.parametrize("n", [1, 4, 9, 12, 15, 17, 18])
def test_a_process_killed_at_any_write_leaves_the_old_or_the_new(
    tmp_path: Path, n: int
) -> None:
    path = a_file(tmp_path)
    subprocess.run(
        [sys.executable, "-c", KILLED, str(path), str(Path(__file__).parent), str(n)],
        check=False,
        capture_output=True,
    )
    with open_recording(path, "data/ch0") as movie:
        np.testing.assert_array_equal(movie.to_array(), RAW)
    add(path)
    assert holds_everything(path)
    assert list(tmp_path.iterdir()) == [path]


def test_reading_back_what_waits_in_memory(tmp_path: Path) -> None:
    """Random writes and reads agree with a plain copy, and nothing is written before
    the commit.
    """
    rng = np.random.default_rng(0)
    path = tmp_path / "a.bin"
    content = bytearray(rng.integers(0, 256, 30000, dtype=np.uint8).tobytes())
    path.write_bytes(content)
    before = bytes(content)
    file = UpdatedFile(path)
    for _ in range(200):
        start, count = int(rng.integers(0, 34000)), int(rng.integers(1, 9000))
        if rng.random() < 0.5:
            piece = rng.integers(0, 256, count, dtype=np.uint8).tobytes()
            content.extend(bytes(max(0, start + count - len(content))))
            content[start : start + count] = piece
            file.seek(start)
            file.write(piece)
        else:
            file.seek(start)
            want = bytes(content[start : start + count])
            assert file.read(count) == want.ljust(count, b"\0")
        assert path.read_bytes()[:30000] == before
    file.commit()
    file.close()
    assert path.read_bytes() == content
    assert isinstance(atomic_update.JOURNAL, str)
    assert issubclass(OutputError, AstrocastError)
