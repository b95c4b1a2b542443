"""A writer that was killed goes on where it stopped, never from other data."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from astrocast.io import create_recording, open_recording
from astrocast.io.recording import RecordingWriter
from astrocast.io.writing.resume import ATTRIBUTE, Resume

SHAPE, CHUNKS = (50, 20, 24), (8, 16, 16)
TARGETS = ["new.h5", "old.h5", "new.zarr", "old.zarr"]

KILLED = """
import os, signal, sys
from pathlib import Path
import numpy as np
from astrocast.io import create_recording
from astrocast.io.writing.resume import Resume

folder, names = Path(sys.argv[1]), sys.argv[2:]
movie = np.arange(50 * 20 * 24, dtype=np.float32).reshape(50, 20, 24)
for name in names:
    writer = create_recording(
        folder / name, "mc/ch0", movie.shape, "float32", chunks=(8, 16, 16),
        resume=Resume(folder / f"{name}.json", "a"),
    )
    writer.write(0, movie[:10])
    writer.write(10, movie[10:30])  # three chunks are full, six frames wait in memory
os.kill(os.getpid(), signal.SIGKILL)
"""


def movie() -> NDArray[np.float32]:
    return np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE)


def begun(folder: Path, name: str, key: str = "a", **options: Any) -> RecordingWriter:
    journal = Resume(folder / f"{name}.json", key)
    return create_recording(
        folder / name,
        "mc/ch0",
        SHAPE,
        "float32",
        resume=journal,
        **({"chunks": CHUNKS} | options),
    )


def stored(path: Path, loc: str = "mc/ch0") -> NDArray[Any]:
    with open_recording(path, loc) as recording:
        return recording.to_array()


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """A folder of targets, two of them with a dataset of before, whose writers were
    killed after 30 of 50 frames.
    """
    for name in ("old.h5", "old.zarr"):
        with create_recording(
            tmp_path / name, "data/ch0", SHAPE, "float32", chunks=CHUNKS
        ) as writer:
            writer.write(0, movie())
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), *TARGETS],
        check=False,
        capture_output=True,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    return tmp_path


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")
def test_after_a_kill_it_goes_on(killed: Path) -> None:
    for name in TARGETS:
        if name.startswith("old"):
            np.testing.assert_array_equal(stored(killed / name, "data/ch0"), movie())
        with begun(killed, name) as writer:
            assert writer.resumed == 24
            writer.write(24, movie()[24:])
        np.testing.assert_array_equal(stored(killed / name), movie())
        assert not (killed / f"{name}.json").exists()
        assert not (killed / f"{name}.partial").exists()
        with open_recording(killed / name, "mc/ch0") as recording:
            assert recording.shape == SHAPE
    with h5py.File(killed / "old.h5") as file:
        assert ATTRIBUTE not in file["mc/ch0"].attrs
        assert set(file["mc"]) == {"ch0"}


def after_an_error(
    folder: Path, name: str, frames: NDArray[np.float32], **options: Any
) -> None:
    """Twenty frames are handed over, then the writer is left by an error."""
    with suppress(KeyboardInterrupt), begun(folder, name, **options) as writer:
        writer.write(0, frames[:20])
        raise KeyboardInterrupt


@pytest.mark.parametrize("name", ["new.h5", "new.zarr"])
def test_an_error_keeps_what_was_written(tmp_path: Path, name: str) -> None:
    after_an_error(tmp_path, name, movie())
    assert not (tmp_path / name).exists()
    with begun(tmp_path, name) as writer:
        assert writer.resumed == 16
        writer.write(16, movie()[16:])
    np.testing.assert_array_equal(stored(tmp_path / name), movie())


@pytest.mark.parametrize("name", ["new.h5", "new.zarr"])
@pytest.mark.parametrize(
    "what", ["key", "chunks", "restart", "computer", "damaged", "gone"]
)
def test_what_does_not_belong_is_begun_anew(
    tmp_path: Path, name: str, what: str
) -> None:
    after_an_error(tmp_path, name, -movie())
    path = tmp_path / f"{name}.json"
    journal = json.loads(path.read_text())
    journal |= {"restart": {"started": 0}, "computer": {"computer": "another"}}.get(
        what, {}
    )
    path.write_text("{" if what == "damaged" else json.dumps(journal))
    if what == "gone":
        path.unlink()
    options = {"key": {"key": "b"}, "chunks": {"chunks": (4, 16, 16)}}.get(what, {})
    with begun(tmp_path, name, **options) as writer:
        assert writer.resumed == 0
        writer.write(0, movie())
    np.testing.assert_array_equal(stored(tmp_path / name), movie())


def test_compressed_hdf5_is_begun_anew(tmp_path: Path) -> None:
    after_an_error(tmp_path, "new.h5", -movie(), compression="lz4")
    assert not (tmp_path / "new.h5.partial").exists()
    with begun(tmp_path, "new.h5", compression="lz4") as writer:
        assert writer.resumed == 0
        writer.write(0, movie())
    np.testing.assert_array_equal(stored(tmp_path / "new.h5"), movie())


def test_other_formats_take_no_notice(tmp_path: Path) -> None:
    with begun(tmp_path, "new.tif") as writer:
        assert writer.resumed == 0
        writer.write(0, movie())
    np.testing.assert_array_equal(stored(tmp_path / "new.tif"), movie())
