"""Small files beside a recording: on this computer, or behind a URL.

What is stored of a recording (shifts, bad frames) lies beside it, whatever it is stored
in. A `Place` is a path, or the text of a URL (``s3://bucket/movie.ch0.frames.csv``).
"""

from __future__ import annotations

from pathlib import Path

from astrocast.errors import OutputError, describe_error
from astrocast.io.naming import is_url, name_result
from astrocast.io.recording import Recording
from astrocast.io.writing.files import replacing

Place = Path | str


def as_place(source: str | Path) -> Place:
    """Return a URL as text, and anything else as a path."""
    return str(source) if is_url(source) else Path(source)


def place_of(recording: Recording) -> Place | None:
    """Return where a recording is; None where it is in memory."""
    return recording.url if recording.url is not None else recording.path


def place_beside(recording: str | Path, loc: str | None, suffix: str) -> Place:
    """Return the place ``<stem>.<last part of loc><suffix>`` beside a recording.

    Examples
    --------
    >>> place_beside("s3://bucket/day/movie.zarr", "mc/ch0", ".frames.csv")
    's3://bucket/day/movie.ch0.frames.csv'
    """
    place = as_place(recording)
    folder, name = "", place
    if isinstance(place, str):
        folder, _, last = place.rstrip("/").rpartition("/")
        name = Path(last)
    assert isinstance(name, Path)
    beside = name.with_name(name_result(name, loc, suffix))
    return f"{folder}/{beside}" if isinstance(place, str) else beside


def read_bytes(place: Place) -> bytes | None:
    """Return the content of a small file; None where there is none."""
    if isinstance(place, Path):
        return place.read_bytes() if place.exists() else None
    from astrocast.io.formats.zarr_remote import file_system

    system, path = file_system(place)
    system.invalidate_cache()
    try:
        return bytes(system.cat_file(path))
    except FileNotFoundError:
        return None


def write_bytes(place: Place, content: bytes) -> None:
    """Write a small file, whole or not at all; one that is there is replaced."""
    if isinstance(place, Path):
        with replacing(place) as beside:
            beside.write_bytes(content)
        return
    from astrocast.io.formats.zarr_remote import file_system

    system, path = file_system(place)
    try:
        system.pipe_file(path, content)
    except OSError as error:
        raise OutputError(
            f"{place} cannot be written: {describe_error(error)}"
        ) from error
