"""Where a run keeps its movies: an HDF5 file, or a zarr store that workers write.

The store may be behind a URL, which every worker reads and writes by itself.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from astrocast.errors import InvalidValueError
from astrocast.io.naming import is_url
from astrocast.io.stores.beside import Place
from astrocast.pipeline.directory import RUN_FILE
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
    if known or settings.movies or "storage" in settings.model_fields_set:
        return settings
    return settings.model_copy(update={"storage": "zarr"})


def place_of_movies(directory: Path, settings: RunSettings) -> Place:
    """Return where the movies of a run are: in its directory, or behind a URL."""
    if settings.movies is None:
        return directory / MOVIES[settings.storage]
    if not is_url(settings.movies):
        raise InvalidValueError(
            f"movies is {settings.movies!r}; expected the URL of a folder, such as"
            " s3://bucket/session. On this computer movies are in the output directory"
        )
    return f"{settings.movies.rstrip('/')}/{MOVIES['zarr']}"


def remove_movies(path: Place) -> None:
    """Remove the file or store that holds the movies of a run."""
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
    """Return what holds the movies of a run; the HDF5 file where there is none yet."""
    found = [directory / name for name in MOVIES.values()]
    return next((path for path in found if path.exists()), found[0])
