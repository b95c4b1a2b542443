"""Where a run keeps its movies: one HDF5 file, or a zarr store that workers write."""

from __future__ import annotations

import shutil
from pathlib import Path

from astrocast.pipeline.settings import RunSettings

RECORDING = "recording.h5"
#: what holds the movies of a run, by `RunSettings.storage`
MOVIES = {"hdf5": RECORDING, "zarr": "recording.zarr"}


def run_directory(recording: Path, output: str | Path | None) -> Path:
    """Return the directory of a run; ``<name>.astrocast`` here where none is named."""
    if output is not None:
        return Path(output)
    return Path(f"{recording.stem or recording.name}.astrocast")


def store_for_workers(
    recording: Path, output: str | Path | None, settings: RunSettings
) -> RunSettings:
    """Return the settings with zarr as storage, which workers write together.

    A storage that was named, or that the output has already, stays.
    """
    known = (run_directory(recording, output) / RECORDING).exists()
    if known or "storage" in settings.model_fields_set:
        return settings
    return settings.model_copy(update={"storage": "zarr"})


def remove_movies(path: Path) -> None:
    """Remove the file or store that holds the movies of a run."""
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
    """Return what holds the movies of a run; the HDF5 file where there is none yet."""
    found = [directory / name for name in MOVIES.values()]
    return next((path for path in found if path.exists()), found[0])
