"""A file takes its name when it is complete, and only what dead processes left goes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from astrocast.errors import OutputError, OutputExistsError
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
