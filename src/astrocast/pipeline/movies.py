"""Storage of the movies of a run: one HDF5 file, or a zarr store for workers.

The store can be at a URL; then all workers read and write it there.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from astrocast.errors import InvalidValueError
from astrocast.io.naming import RUN_DIRECTORY, is_url
from astrocast.io.stores.beside import Place
from astrocast.pipeline.directory import RUN_FILE
from astrocast.pipeline.settings import RunSettings

RECORDING = "recording.h5"
#: `RunSettings.storage` -> file or store that contains the movies of a run
MOVIES = {"hdf5": RECORDING, "zarr": "recording.zarr"}


def run_directory(recording: Path, output: str | Path | None) -> Path:
    """Return the directory of a run; by default ``<name>.astrocast``."""
    if output is not None:
        return Path(output)
    return Path(f"{recording.stem or recording.name}{RUN_DIRECTORY}")


def store_for_workers(
    recording: Path, output: str | Path | None, settings: RunSettings
) -> RunSettings:
    """Return the settings with zarr as storage, which several workers can write.

    If the settings name a storage, or the output contains an HDF5 file already, the
    storage does not change.
    """
    exists = (run_directory(recording, output) / RECORDING).exists()
    if exists or settings.movies or "storage" in settings.model_fields_set:
        return settings
    return settings.model_copy(update={"storage": "zarr"})


def place_of_movies(directory: Path, settings: RunSettings) -> Place:
    """Return the path of the movies in the run directory, or their URL."""
    if settings.movies is None:
        return directory / MOVIES[settings.storage]
    if not is_url(settings.movies):
        raise InvalidValueError(
            f"movies is {settings.movies!r}; it must be the URL of a folder, such as"
            " s3://bucket/session. Local movies are always in the output directory"
        )
    return f"{settings.movies.rstrip('/')}/{MOVIES['zarr']}"


def remove_movies(path: Place) -> None:
    """Remove the file or store that contains the movies of a run."""
    if isinstance(path, str):
        from astrocast.io.formats.zarr_remote import remove_store

        remove_store(path)
    elif path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def names_of_movies(path: Place) -> list[str]:
    """Return the names of the complete movies in the file or store of a run."""
    if isinstance(path, str):
        from astrocast.io.formats.zarr_remote import array_names

        return array_names(path)
    if path.is_dir():
        from astrocast.io.formats.zarr_store import dataset_names as names_in_store

        return names_in_store(path)
    from astrocast.io.formats.hdf5 import dataset_names

    return dataset_names(path)


def url_of_movies(directory: Path) -> str | None:
    """Return the URL of the movies of a run; None where they are in its directory."""
    try:
        state = json.loads((directory / RUN_FILE).read_text(encoding="utf-8"))
        folder = state["configuration"]["movies"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return f"{str(folder).rstrip('/')}/{MOVIES['zarr']}" if folder else None


def find_movies(directory: Path) -> Path:
    """Return the file or store of the movies; the HDF5 path if none exists yet."""
    found = [directory / name for name in MOVIES.values()]
    return next((path for path in found if path.exists()), found[0])
