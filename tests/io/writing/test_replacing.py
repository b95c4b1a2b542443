"""A file takes its name when it is complete, and only what dead processes left goes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from astrocast.errors import OutputError, OutputExistsError, RecordingNotFoundError
from astrocast.io.registry import create_recording, open_recording
from astrocast.io.writing.files import remove_leftovers, replacing


def test_the_old_content_stays_until_the_new_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("old")
    with replacing(path) as beside:
        beside.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_leaves_the_old_content_and_nothing_beside(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("old")

    def write_half() -> None:
        with replacing(path) as beside:
            beside.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_half()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_of_the_system_names_the_file(tmp_path: Path) -> None:
    with (
        pytest.raises(OutputError, match=r"a\.csv cannot be written: No space left"),
        replacing(tmp_path / "a.csv"),
    ):
        raise OSError(28, "No space left on device")


def test_what_exists_is_refused_unless_asked(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    with (
        pytest.raises(OutputExistsError, match="exists"),
        replacing(tmp_path / "a", overwrite=False),
    ):
        pass


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    path.mkdir()
    (path / "old").touch()
    with replacing(path) as beside:
        beside.mkdir()
        (beside / "new").touch()
    assert [p.name for p in path.iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_taken_back_where_a_process_died_while_replacing_it(
    tmp_path: Path,
) -> None:
    waiting = tmp_path / "a.zarr.replaced"
    waiting.mkdir()
    (waiting / "old").touch()
    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "a.zarr"):
        raise ZeroDivisionError
    assert (tmp_path / "a.zarr" / "old").exists()


WRITE = """
import os, signal, sys
from pathlib import Path
from astrocast.io.writing.files import replacing
with replacing(Path(sys.argv[1])) as beside:
    beside.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a[1].csv"
    path.write_text("old")
    subprocess.run([sys.executable, "-c", WRITE, str(path)], check=False)
    (left,) = [p for p in tmp_path.iterdir() if p != path]
    others = [
        tmp_path / "a[1].csv.backup.partial",
        tmp_path / "a[1].csv.000000-1-0.partial",
    ]
    for other in others:
        other.write_text("somebody else's")
    with replacing(path) as alive:
        alive.write_text("being written")
        remove_leftovers(path)
        assert alive.exists()
    assert not left.exists()
    assert sorted(tmp_path.iterdir()) == sorted([path, *others])


STOP_BETWEEN = """
import os, sys
import numpy as np
from astrocast.io.registry import create_recording
from astrocast.io.writing import files
path, loc = sys.argv[1], sys.argv[2] or None
writer = create_recording(path, loc, (4, 8, 8), "int16", overwrite=True)
writer.write(0, np.full((4, 8, 8), 2, "int16"))
rename, done = os.replace, []
def stop_at_second(*names):
    if done:
        os._exit(1)
    done.append(rename(*names))
files.os.replace = stop_at_second
writer.commit()
"""


def write_constant(
    path: Path, loc: str | None, value: int, commit: bool = True
) -> None:
    writer = create_recording(path, loc, (4, 8, 8), np.int16, overwrite=True)
    writer.write(0, np.full((4, 8, 8), value, np.int16))
    if commit:
        writer.commit()
    else:
        writer.discard()


def read_value(path: Path, loc: str | None) -> int:
    with open_recording(path, loc) as movie:
        (value,) = np.unique(movie.to_array())
    return int(value)


@pytest.mark.parametrize(
    ("name", "loc"), [("a.zarr", None), ("a.zarr", "data/ch0"), ("a.tdb", None)]
)
def test_the_old_array_survives_a_stop_between_the_two_renames(
    tmp_path: Path, name: str, loc: str | None
) -> None:
    if name.endswith(".tdb"):
        pytest.importorskip("tiledb")
    path = tmp_path / name
    write_constant(path, loc, 1)
    command = [sys.executable, "-c", STOP_BETWEEN, str(path), loc or ""]
    assert subprocess.run(command, check=False).returncode == 1
    if loc is None:
        with pytest.raises(RecordingNotFoundError, match=rf"rename {name}\.replaced"):
            open_recording(path)
    else:  # the store is there, and the old array is read from where it waits
        assert read_value(path, loc) == 1
        assert read_value(path, None) == 1
    write_constant(path, loc, 3, commit=False)  # the next writer takes it back
    assert read_value(path, loc) == 1
    write_constant(path, loc, 4)
    assert read_value(path, loc) == 4
    assert not list(tmp_path.rglob("*.replaced"))


def test_a_folder_that_could_not_be_removed_does_not_stop_the_next(
    tmp_path: Path,
) -> None:
    path, waiting = tmp_path / "a.zarr", tmp_path / "a.zarr.replaced"
    for folder in (path, waiting):
        folder.mkdir()
        (folder / "old").touch()
    with replacing(path) as beside:
        beside.mkdir()
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_at_the_second_rename_takes_the_old_folder_back(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.zarr"
    path.mkdir()
    (path / "old").touch()
    with pytest.raises(OutputError, match="cannot be written"), replacing(path):
        pass  # nothing was written beside
    assert (path / "old").exists()


@pytest.mark.parametrize("name", ["a.npy", "a.tiff"])
def test_a_writer_of_frames_that_stops_leaves_the_old_file(
    tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    write_constant(path, None, 1)
    before = sorted(tmp_path.iterdir())
    write_constant(path, None, 2, commit=False)
    assert read_value(path, None) == 1
    assert sorted(tmp_path.iterdir()) == before
    write_constant(path, None, 3)
    assert read_value(path, None) == 3
    assert sorted(tmp_path.iterdir()) == before
