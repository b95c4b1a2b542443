"""Written bytes are synced to the disk early; an error of the disk is raised."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from astrocast.errors import OutputError
from astrocast.io import create_recording, open_recording
from astrocast.io.writing import early_sync
from astrocast.io.writing.early_sync import EarlySync

MOVIE = np.random.default_rng(5).integers(0, 60000, (40, 16, 16)).astype(np.uint16)
SUFFIXES = (".h5", ".tif", ".npy")


def write(path: Path) -> None:
    with create_recording(
        path, "data/ch0", MOVIE.shape, MOVIE.dtype, chunks=(4, 8, 16)
    ) as writer:
        for start in range(0, len(MOVIE), 4):
            writer.write(start, MOVIE[start : start + 4])


def test_a_sync_starts_when_enough_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    monkeypatch.setattr(early_sync, "_sync", calls.append)
    with (tmp_path / "file").open("wb", buffering=0) as file:
        sync = EarlySync(file.fileno())
        sync.wrote(early_sync.SYNC_BYTES - 1)
        sync.wait()
        assert calls == []
        sync.wrote(1)
        sync.wait()
        assert calls == [file.fileno()]
        sync.wrote(early_sync.SYNC_BYTES)
        sync.close()
        assert len(calls) == 2


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_files_are_synced_while_they_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    sizes: list[int] = []
    monkeypatch.setattr(early_sync, "SYNC_BYTES", MOVIE.nbytes // 5)
    monkeypatch.setattr(
        early_sync,
        "_sync",
        lambda descriptor: sizes.append(os.fstat(descriptor).st_size),
    )
    write(tmp_path / f"movie{suffix}")
    assert sizes
    with open_recording(tmp_path / f"movie{suffix}") as recording:
        assert np.array_equal(recording.to_array(), MOVIE)


@pytest.mark.parametrize("at", ["early", "last"])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_disk_that_fails_is_an_error_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, at: str
) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, "the disk failed")

    # the last block alone, or each of them, is enough for a sync
    monkeypatch.setattr(early_sync, "SYNC_BYTES", MOVIE.nbytes if at == "last" else 1)
    monkeypatch.setattr(early_sync, "_sync", fail)
    with pytest.raises(OutputError, match="the disk failed"):
        write(tmp_path / f"movie{suffix}")
    assert list(tmp_path.iterdir()) == []
