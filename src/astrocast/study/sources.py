"""Open events by path: of a study, a run or an event store."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from astrocast.errors import FormatError
from astrocast.io.export.tables import remove_marks
from astrocast.io.stores.event_store import META, TABLE, list_stores
from astrocast.io.stores.event_table import read_event_table
from astrocast.io.stores.study_index import STUDY_FILE
from astrocast.study.cohort import Cohort, complete_rows
from astrocast.study.directory import read_study


@dataclass(frozen=True)
class RecordedEvents:
    """Events of one recording, with its shape, frame rate and pixel size.

    Parameters
    ----------
    store
        The event store.
    shape
        Shape of the recording, (frames, rows, columns).
    frame_rate, pixel_size
        Hz and micrometres per pixel; None if they are unknown.
    """

    store: Path
    shape: tuple[int, int, int]
    frame_rate: float | None
    pixel_size: float | None

    def read(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return the event table; ``columns`` None: all columns."""
        return read_event_table(self.store, columns)


def find_store(path: Path, channel: str | None = None) -> Path:
    """Return the event store at a path: the path itself, or the store of a run.

    Raises
    ------
    FormatError
        The path contains no event store, or several and no channel was given.
    """
    if (path / TABLE).is_file():
        return path
    stores = list_stores(path)
    if channel is not None:
        stores = [s for s in stores if s.name.split(".")[-2] == channel]
    if len(stores) != 1:
        found = ", ".join(s.name for s in stores) or "none"
        raise FormatError(
            f"expected one event store in {path}, found: {found}; give a run directory"
            " (.astrocast) or an event store (.roi), and --channel if the run has"
            " several"
        )
    return stores[0]


def open_recorded_events(path: Path, channel: str | None = None) -> RecordedEvents:
    """Return the events of one recording, with shape and physical units."""
    store = find_store(path, channel)
    meta = json.loads((store / META).read_text(encoding="utf-8"))
    known = meta["input"].get("metadata") or {}
    size = known.get("pixel_size")
    if isinstance(size, (list, tuple)):
        size = size[0] if len(set(size)) == 1 else None
    frames, rows, columns = meta["input"]["shape"]
    return RecordedEvents(store, (frames, rows, columns), known.get("frame_rate"), size)


def read_flat_events(
    path: Path, columns: Sequence[str], labels: Sequence[str] = ()
) -> pd.DataFrame:
    """Return columns of the events of a study or of one recording.

    Parameters
    ----------
    path
        Study directory, run directory, event store, CSV file or Parquet file.
    columns
        Columns of numbers.
    labels
        Columns with labels of an event (group, subject ...); only a study or a file has
        them.
    """
    wanted = [*labels, *columns]
    if (path / STUDY_FILE).is_file():
        return Cohort(path).read(wanted)
    if path.suffix.lower() == ".csv":
        return remove_marks(pd.read_csv(path))
    if path.suffix.lower() == ".parquet":
        return pd.read_parquet(path)
    return read_event_table(find_store(path), columns).reset_index(drop=True)


def read_traces(path: Path) -> pd.Series:
    """Return the traces of events, in the order of `read_flat_events`.

    Parameters
    ----------
    path
        Directory of a study, run directory or event store.

    Raises
    ------
    FormatError
        A CSV or Parquet file, which holds no traces.
    """
    if path.suffix.lower() in (".csv", ".parquet"):
        raise FormatError(
            f"{path} holds no traces of events; name a study, a run directory"
            " (.astrocast) or an event store (.roi)"
        )
    if not (path / STUDY_FILE).is_file():
        stores = [find_store(path)]
    else:
        study = read_study(path)
        runs = (study.run_directory(row.name) for row in complete_rows(study))
        stores = [store for run in runs for store in list_stores(run)]
    traces = [read_event_table(store, ["trace"])["trace"] for store in stores]
    return pd.concat(traces, ignore_index=True)
