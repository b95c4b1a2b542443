"""The directory of a study: ``study.json``, a run directory per recording, the cohort.

``study.json`` contains the table, the parameters and the outcome of each recording. All
other files in the directory can be computed from it and the recordings.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from astrocast.errors import (
    FormatError,
    OutputError,
    OutputExistsError,
    ResultsDifferError,
)
from astrocast.io.naming import RUN_DIRECTORY
from astrocast.io.stores.study_index import STUDY_FILE
from astrocast.runtime.fingerprint import list_differences
from astrocast.runtime.provenance import versions, write_json
from astrocast.study.table import StudyRow

FORMAT_VERSION = 1


class StudyDirectory:
    """A study on disk.

    Parameters
    ----------
    path
        The directory.
    rows
        The recordings.
    configuration
        Parameters of all recordings, as in the configuration file of a run.
    outcomes
        Name of a recording -> outcome.
    """

    def __init__(
        self,
        path: Path,
        rows: list[StudyRow],
        configuration: dict[str, Any],
        outcomes: dict[str, dict[str, Any]] | None = None,
    ) -> None:
        self.path, self.rows, self.configuration = path, rows, configuration
        self.outcomes = outcomes or {}

    def run_directory(self, name: str) -> Path:
        """Return the run directory of a recording."""
        return self.path / f"{name}{RUN_DIRECTORY}"

    def save(self) -> None:
        """Write ``study.json``; the file is replaced only when it is complete."""
        rows = [
            asdict(row) | {"recording": str(row.recording.resolve())}
            for row in self.rows
        ]
        state = {
            "format_version": FORMAT_VERSION,
            "versions": versions(),
            "configuration": self.configuration,
            "recordings": rows,
            "outcomes": self.outcomes,
        }
        write_json(self.path / STUDY_FILE, state)


def read_study(path: Path) -> StudyDirectory:
    """Return the study in a directory, given the directory or its ``study.json``."""
    file = path if path.name == STUDY_FILE else path / STUDY_FILE
    try:
        state = json.loads(file.read_text(encoding="utf-8"))
        rows = [
            StudyRow(
                Path(r["recording"]), r["name"], r["labels"], tuple(r["overrides"])
            )
            for r in state["recordings"]
        ]
        return StudyDirectory(
            file.parent, rows, state["configuration"], state["outcomes"]
        )
    except FileNotFoundError as error:
        raise FormatError(
            f"{path} is not a study: it has no {STUDY_FILE}; create a study with"
            " `astrocast batch`"
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FormatError(f"{file} cannot be read: {error!r}") from error


def open_study(
    path: Path, rows: list[StudyRow], configuration: dict[str, Any], overwrite: bool
) -> StudyDirectory:
    """Create the directory of a study, or open the existing one.

    Recordings can be added to a study, and labels can change. Other parameters are an
    error unless ``overwrite`` is True: recordings of one study must be comparable.
    """
    study = StudyDirectory(path, rows, configuration)
    if (path / STUDY_FILE).exists():
        before = read_study(path)
        lines = list_differences(
            _flatten(before.configuration), _flatten(configuration)
        )
        if lines and not overwrite:
            raise ResultsDifferError(
                f"{path} contains a study with other parameters: {'; '.join(lines)}."
                " Choose another --output, or add --overwrite to compute it again"
            )
        names = {row.name for row in rows}
        study.outcomes = {k: v for k, v in before.outcomes.items() if k in names}
    elif path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise OutputExistsError(
            f"{path} exists, but is not a study; choose another --output"
        )
    try:
        path.mkdir(parents=True, exist_ok=True)
        study.save()
    except OSError as error:
        raise OutputError(f"{path} is not writable: {error.strerror}") from error
    return study


def _flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested values with names like ``stage.parameter``."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= _flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat
