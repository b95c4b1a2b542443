"""Two writers of one new file: the second is refused, and nothing of the first lost."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from astrocast.errors import OutputError, OutputExistsError
from astrocast.io import create_recording, open_recording
from astrocast.io.writing.lock import OutputLock

SHAPE = (6, 4, 5)


def test_a_second_writer_of_a_new_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "new.h5"
    values = np.arange(120, dtype=np.uint16).reshape(SHAPE)
    with create_recording(path, "data/ch0", SHAPE, values.dtype) as writer:
        writer.write(0, values[:3])
        with pytest.raises(OutputError, match=r"another process .* is writing to"):
            create_recording(path, "data/ch0", SHAPE, values.dtype)
        writer.write(3, values[3:])
    with open_recording(path, "data/ch0") as stored:
        assert np.array_equal(stored.to_array(), values)
    assert [p.name for p in tmp_path.iterdir()] == ["new.h5"]
    with pytest.raises(OutputExistsError):
        create_recording(path, "data/ch0", SHAPE, values.dtype)


def test_the_lock_of_a_dead_process_has_no_effect(tmp_path: Path) -> None:
    path = tmp_path / "new.h5"
    code = (
        "import os, sys; from astrocast.io import create_recording\n"
        "w = create_recording(sys.argv[1], 'x', (6, 4, 5), 'uint16'); os._exit(3)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert done.returncode == 3
    assert (tmp_path / "new.h5.lock").exists()
    with create_recording(path, "x", SHAPE, np.uint16) as writer:
        writer.write(0, np.ones(SHAPE, np.uint16))
    assert [p.name for p in tmp_path.iterdir()] == ["new.h5"]


def test_a_lock_that_was_removed_is_taken_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first owner leaves between the opening and the locking of the second."""
    place = tmp_path / "x.lock"
    first = OutputLock(place, tmp_path / "x", temporary=True)
    from astrocast.io.writing import lock as module

    real = module._lock

    def late(file: object) -> None:
        first.release()
        real(file)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "_lock", late)
    second = OutputLock(place, tmp_path / "x", temporary=True)
    monkeypatch.undo()
    assert place.exists()
    with pytest.raises(OutputError, match="another process"):
        OutputLock(place, tmp_path / "x", temporary=True)
    second.release()
    assert not place.exists()
