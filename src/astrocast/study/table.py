"""The table of a study: one row per recording, with group and subject."""

from __future__ import annotations

import csv
import difflib
import glob
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from astrocast.errors import (
    FormatError,
    InvalidValueError,
    OutputExistsError,
    RecordingNotFoundError,
)
from astrocast.io.registry import find_format
from astrocast.io.writing.files import replacing

#: columns with a meaning; all others are copied into the tables of the study
COLUMNS = {
    "recording": "path of the file or folder, relative to the table",
    "name": "name of the results; empty: from the path",
    "group": "condition, for example control",
    "subject": "animal; recordings of one animal are not independent",
    "day": "day or session",
    "frame_rate": "Hz; empty: the value in the file",
    "pixel_size": "micrometres; empty: the value in the file",
    "loc": "dataset inside the file (HDF5, zarr)",
}
#: column -> parameter of the run that it sets
_PARAMETERS = {
    "frame_rate": "frame_rate",
    "pixel_size": "pixel_size",
    "loc": "conversion.loc_in",
}
_CONTEXT = ("recording", "name", *_PARAMETERS)


@dataclass(frozen=True)
class StudyRow:
    """One recording of a study.

    Parameters
    ----------
    recording
        File or folder.
    name
        Name of the results, unique within the study.
    labels
        Labels of the recording: ``group``, ``subject``, ``day`` and all other columns
        of the table, as text.
    overrides
        Parameters that differ for this recording, as ``stage.parameter=value``.
    """

    recording: Path
    name: str
    labels: dict[str, str] = field(default_factory=dict)
    overrides: tuple[str, ...] = ()


def find_recordings(source: str) -> list[Path]:
    """Return the recordings in a folder, or those that match a pattern, sorted.

    Only the folder itself is searched, not its subfolders: for files of a known format,
    and for folders that are recordings (zarr stores, folders of TIFF files).
    """
    folder = Path(source)
    if not folder.is_dir():
        # Path.glob does not accept absolute patterns
        found = [Path(p) for p in glob.glob(source, recursive=True)]  # noqa: PTH207
    else:
        found = list(folder.iterdir())
    recordings = sorted(p for p in found if _is_recording(p))
    if not recordings:
        raise RecordingNotFoundError(
            f"no recording was found at {source}; give a folder of recordings, a"
            " pattern such as 'data/*.tif', or a table (.csv)"
        )
    return recordings


def _is_recording(path: Path) -> bool:
    if path.name.startswith(".") or path.suffix == ".roi":
        return False
    if path.is_dir() and path.suffix.lower() not in (".zarr", ".tdb"):
        return any(p.suffix.lower() in (".tif", ".tiff") for p in path.iterdir())
    return find_format(path) is not None


def write_template(path: Path, recordings: Iterable[Path], overwrite: bool) -> Path:
    """Write a table with one row per recording, for the user to fill in."""
    if path.exists() and not overwrite:
        raise OutputExistsError(
            f"{path} exists; choose another name, or add --overwrite"
        )
    base = path.parent.resolve()
    with (
        replacing(path) as beside,
        beside.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for recording in recordings:
            resolved = recording.resolve()
            shown = (
                resolved.relative_to(base)
                if resolved.is_relative_to(base)
                else resolved
            )
            writer.writerow([shown.as_posix(), *[""] * (len(COLUMNS) - 1)])
    return path


def read_table(path: Path, parameters: Sequence[str]) -> list[StudyRow]:
    """Read the table of a study and check it completely.

    Parameters
    ----------
    path
        CSV file with a header; for the columns see `COLUMNS`. A column whose name
        contains a dot is a parameter of the run (``stage.parameter``); an empty cell
        does not change the parameter.
    parameters
        Names of all parameters of a run.

    Raises
    ------
    FormatError, InvalidValueError
        The table is wrong; the message lists all problems.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restkey="")
            rows = list(reader)
            header = [name or "" for name in reader.fieldnames or []]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FormatError(f"{path} cannot be read as a table: {error}") from error
    problems = _check_header(header, parameters)
    if not rows:
        problems.append("it has no rows")
    study = (
        []
        if problems
        else [
            _parse_row(row, path.parent, problems, i + 2) for i, row in enumerate(rows)
        ]
    )
    if problems:
        raise InvalidValueError(f"{path}: {'; '.join(problems)}")
    return name_rows(study)


def _check_header(header: Sequence[str], parameters: Sequence[str]) -> list[str]:
    """Return the problems of the header of a table."""
    problems = []
    if "recording" not in header:
        problems.append(
            "the column 'recording' is missing; the columns are"
            f" {', '.join(header) or 'none'}"
        )
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        problems.append(f"the columns {', '.join(twice)} occur more than once")
    for name in header:
        if "." in name and name not in parameters:
            near = difflib.get_close_matches(name, parameters, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            problems.append(f"column {name!r} is not a parameter of a run{hint}")
    return problems


def _parse_row(
    row: dict[str, Any], base: Path, problems: list[str], line: int
) -> StudyRow:
    """Return a row of the table; problems are added to the list."""
    if "" in row:
        problems.append(f"line {line} has more cells than the header")
    cells = {k: (v or "").strip() for k, v in row.items() if k}
    given = cells.get("recording", "")
    recording = base / given
    if not given:
        problems.append(f"line {line}: the recording is missing")
    elif not recording.exists():
        problems.append(f"line {line}: {recording} does not exist")
    overrides = []
    for column, value in cells.items():
        parameter = _PARAMETERS.get(column, column if "." in column else None)
        if parameter is None or not value:
            continue
        if column in ("frame_rate", "pixel_size") and not _is_positive(value):
            problems.append(
                f"line {line}: {column} is {value!r}; expected a number above 0"
            )
        overrides.append(f"{parameter}={value}")
    labels = {k: v for k, v in cells.items() if k not in _CONTEXT and "." not in k}
    return StudyRow(recording, cells.get("name", ""), labels, tuple(overrides))


def _is_positive(text: str) -> bool:
    value = yaml.safe_load(text)
    return isinstance(value, (int, float)) and 0 < value < float("inf")


def name_rows(rows: Sequence[StudyRow]) -> list[StudyRow]:
    """Return the rows with unique names.

    The name is the stem of the file; if two stems are equal, the names of parent
    folders are added.

    Raises
    ------
    InvalidValueError
        Two rows are the same recording, or have the same given name.
    """
    paths = [row.recording.resolve() for row in rows]
    stems = [row.name or row.recording.stem for row in rows]
    depth = 1
    names = list(stems)
    while len(set(names)) < len(names) and depth < 8:
        names = [
            stem
            if row.name or stems.count(stem) == 1
            else "-".join([*path.parts[-1 - depth : -1], stem])
            for row, path, stem in zip(rows, paths, stems, strict=True)
        ]
        depth += 1
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InvalidValueError(
            f"several recordings have the name {', '.join(twice)}; give each recording"
            " its own name in the column 'name'"
        )
    bad = [n for n in names if n in ("", ".", "..") or set(n) & set('/\\:*?"<>|')]
    if bad:
        raise InvalidValueError(
            f"{', '.join(map(repr, bad))} cannot be used as the name of a folder; use"
            " letters, digits, '-' and '_'"
        )
    return [
        StudyRow(row.recording, name, row.labels, row.overrides)
        for row, name in zip(rows, names, strict=True)
    ]
