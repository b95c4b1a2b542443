"""Storage of the movies of a run: one HDF5 file, or a zarr store for workers."""

from __future__ import annotations

import shutil
from pathlib import Path

from astrocast.pipeline.settings import RunSettings

RECORDING = "recording.h5"
#: `RunSettings.storage` -> file or store that contains the movies of a run
MOVIES = {"hdf5": RECORDING, "zarr": "recording.zarr"}


def run_directory(recording: Path, output: str | Path | None) -> Path:
    """Return the directory of a run; by default ``<name>.astrocast``."""
    if output is not None:
        return Path(output)
    return Path(f"{recording.stem or recording.name}.astrocast")


def store_for_workers(
    recording: Path, output: str | Path | None, settings: RunSettings
) -> RunSettings:
    """Return the settings with zarr as storage, which several workers can write.

    If the settings name a storage, or the output contains an HDF5 file already, the
    storage does not change.
    """
    exists = (run_directory(recording, output) / RECORDING).exists()
    if exists or "storage" in settings.model_fields_set:
        return settings
    return settings.model_copy(update={"storage": "zarr"})


def remove_movies(path: Path) -> None:
    """Remove the file or store that contains the movies of a run."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def names_of_movies(path: Path) -> list[str]:
    """Return the names of the complete movies in the file or store of a run."""
    if path.is_dir():
        from astrocast.io.formats.zarr_store import dataset_names as names_in_store

        return names_in_store(path)
    from astrocast.io.formats.hdf5 import dataset_names

    return dataset_names(path)


def find_movies(directory: Path) -> Path:
    """Return the file or store of the movies; the HDF5 path if none exists yet."""
    found = [directory / name for name in MOVIES.values()]
    return next((path for path in found if path.exists()), found[0])
