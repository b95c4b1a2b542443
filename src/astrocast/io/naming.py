"""Find datasets by name, and sort files by the number in their names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from astrocast.errors import DatasetNotFoundError, FormatError

#: suffix of incomplete files and folders
PARTIAL = ".partial"
#: suffix of the event store of a recording, and of the directory of a run
EVENT_STORE, RUN_DIRECTORY = ".roi", ".astrocast"
#: attribute of a file with the name of the dataset to open without ``loc``
RECORDING_ATTRIBUTE = "recording"


def last_part(name: str | None) -> str:
    """Return the last part of the name of a dataset, or of a URL.

    Examples
    --------
    >>> last_part("mc/ch0"), last_part("s3://bucket/movie.zarr/"), last_part(None)
    ('ch0', 'movie.zarr', '')
    """
    return (name or "").strip("/").rpartition("/")[2]


def name_result(recording: Path, loc: str | None, suffix: str) -> str:
    """Return the file name ``<stem>.<last part of loc><suffix>`` of a result.

    Examples
    --------
    >>> name_result(Path("session/a.h5"), "df/ch0", ".roi")
    'a.ch0.roi'
    >>> name_result(Path("session/a.tiff"), None, ".roi")
    'a.roi'
    """
    part = last_part(loc)
    return f"{recording.stem}.{part}{suffix}" if part else recording.stem + suffix


def is_url(source: Any) -> bool:
    """Return whether a source is a URL, such as ``s3://bucket/movie.zarr``."""
    return isinstance(source, str) and "://" in source


def default_dataset(
    loc: str | None, attributes: Mapping[str, Any], names: Iterable[str]
) -> str | None:
    """Return ``loc``, or without it the dataset that the file marks as the recording.

    Parameters
    ----------
    loc
        Requested dataset, if any.
    attributes
        Attributes of the file.
    names
        Datasets of the file.
    """
    said = str(attributes.get(RECORDING_ATTRIBUTE, "")).strip("/")
    return said if not (loc or "").strip("/") and said in names else loc


def choose_dataset(names: Iterable[str], loc: str | None, path: Path) -> str:
    """Return the dataset ``loc``, or the only dataset in the group ``loc``.

    Parameters
    ----------
    names
        Recordings of the file.
    loc
        Name of a dataset, or of a group with a single dataset; None or "" if the file
        has a single dataset.
    path
        The file, for messages.
    """
    found = [n.strip("/") for n in names]
    wanted = (loc or "").strip("/")
    if wanted in found:
        return wanted
    below = [n for n in found if not wanted or n.startswith(wanted + "/")]
    if len(below) == 1:
        return below[0]
    listing = f"it has {', '.join(found)}" if found else "it has no 3-D dataset"
    asked = (
        f"has no single recording at {loc!r}"
        if wanted
        else "was opened without naming a dataset (loc)"
    )
    raise DatasetNotFoundError(f"{path} {asked}; {listing}")


def sort_naturally(paths: Iterable[Path], sep: str = "_") -> list[Path]:
    """Sort files by the number after the last ``sep`` of their stems.

    ``a_2`` comes before ``a_10``. If a file has no number, or two have the same, their
    order is unknown: an error.
    """
    numbered: dict[int, Path] = {}
    for path in sorted(paths):
        number = number_after(path, sep)
        other = numbered.setdefault(number, path)
        if other is not path:
            raise FormatError(
                f"{other.name} and {path.name} have the same number after {sep!r};"
                " rename one of them"
            )
    return [numbered[n] for n in sorted(numbered)]


def number_after(path: Path, sep: str = "_") -> int:
    """Return the number after the last ``sep`` of a file's stem; it is required."""
    digits = (
        re.fullmatch(r"\D*(\d+)\D*", path.stem.rsplit(sep, 1)[-1])
        if sep in path.stem
        else None
    )
    if digits is None:
        raise FormatError(
            f"{path.name} has no number after {sep!r}; the files of {path.parent} are"
            f" sorted by this number (expected for example"
            f" recording{sep}01{path.suffix}). If it is a projection or another extra"
            " file, move it out of the folder; otherwise set the separator with sep"
        )
    return int(digits[1])
