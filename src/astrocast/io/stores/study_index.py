"""Find the event stores of a study, from ``study.json``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from astrocast.errors import FormatError, NotRunError
from astrocast.io.naming import RUN_DIRECTORY
from astrocast.io.stores.event_store import list_stores

STUDY_FILE = "study.json"


@dataclass(frozen=True)
class StudyEvents:
    """The events of one recording of a study.

    Parameters
    ----------
    store
        The event store (``.roi``).
    recording
        Name of the recording in the study.
    labels
        Values of the columns of the study table: ``group``, ``subject``, ``day`` ...
    """

    store: Path
    recording: str
    labels: dict[str, str]


def is_study(path: Path) -> bool:
    """Return whether a directory (or ``study.json`` itself) is a study."""
    return path.name == STUDY_FILE or (path / STUDY_FILE).is_file()


def list_study_events(path: Path) -> list[StudyEvents]:
    """Return the event stores of the complete recordings of a study, in order.

    Raises
    ------
    FormatError
        ``study.json`` cannot be read.
    NotRunError
        No recording is complete.
    """
    file = path if path.name == STUDY_FILE else path / STUDY_FILE
    found, rows = [], []
    try:
        state = json.loads(file.read_text(encoding="utf-8"))
        outcomes = state["outcomes"]
        for row in state["recordings"]:
            complete = outcomes.get(row["name"], {}).get("status") == "ok"
            rows.append((str(row["name"]), dict(row["labels"]), complete))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise FormatError(
            f"{file} cannot be read: {error!r}; write it again with `astrocast batch`"
        ) from error
    for name, labels, complete in rows:
        run = file.parent / f"{name}{RUN_DIRECTORY}"
        stores = list_stores(run) if complete else []
        found += [StudyEvents(store, name, labels) for store in stores]
    if not found:
        raise NotRunError(
            f"none of the {len(rows)} recordings of {file.parent} is complete; run"
            " `astrocast batch` again"
        )
    return found
