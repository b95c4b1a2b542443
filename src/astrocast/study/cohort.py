"""The cohort: events of all recordings in one table, and a table of recordings.

The table is written one recording at a time and read lazily, so memory does not grow
with the number of recordings.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.dataset as pa_dataset
import pyarrow.parquet as pq

from astrocast.errors import NotRunError
from astrocast.events.required import require_names
from astrocast.io.export.tables import harmless, remove_marks
from astrocast.io.stores.event_store import list_stores
from astrocast.io.stores.event_table import read_plain_columns
from astrocast.io.writing.files import replacing
from astrocast.study.directory import StudyDirectory
from astrocast.study.recording_summary import summarise_run
from astrocast.study.table import StudyRow

EVENTS_PARQUET, EVENTS_CSV = "events.parquet", "events.csv"
RECORDINGS_CSV = "recordings.csv"
#: labels that every study has, even if its table does not contain them
LABELS = ("group", "subject", "day")


def write_cohort(study: StudyDirectory) -> pd.DataFrame:
    """Write ``events.parquet``, ``events.csv`` and ``recordings.csv`` of a study.

    Returns
    -------
    pandas.DataFrame
        The table of recordings, one row each, including failed ones.
    """
    recordings = pd.DataFrame([_describe_row(study, row) for row in study.rows])
    with replacing(study.path / RECORDINGS_CSV) as path:
        harmless(recordings).to_csv(path, index=False)
    with _open_writers(study) as write:
        for row in complete_rows(study):
            write(_read_events(study, row))
    return recordings


def complete_rows(study: StudyDirectory) -> list[StudyRow]:
    """Return the recordings whose run is complete."""
    return [r for r in study.rows if _outcome(study, r).get("status") == "ok"]


def _outcome(study: StudyDirectory, row: StudyRow) -> dict[str, Any]:
    return study.outcomes.get(row.name, {"status": "not run", "message": ""})


def _describe_row(study: StudyDirectory, row: StudyRow) -> dict[str, Any]:
    """Return the row of a recording in the table of recordings."""
    outcome = _outcome(study, row)
    labels = dict.fromkeys(LABELS, "") | row.labels
    described: dict[str, Any] = {"name": row.name, **labels}
    described |= {"status": outcome["status"], "message": outcome["message"]}
    if outcome["status"] == "ok":
        described |= summarise_run(study.run_directory(row.name))
    return described | {"recording": str(row.recording)}


def _read_events(study: StudyDirectory, row: StudyRow) -> pa.Table:
    """Return the events of a recording (numbers and texts), with its labels."""
    tables = []
    for store in list_stores(study.run_directory(row.name)):
        table = read_plain_columns(store)
        labels = {"recording": row.name, "channel": store.name.split(".")[-2]}
        labels |= dict.fromkeys(LABELS, "") | row.labels
        for name, value in reversed(list(labels.items())):
            repeated = pa.array([value] * len(table), pa.string())
            unique = name if name not in table.column_names else f"study_{name}"
            table = table.add_column(0, unique, repeated)
        tables.append(table.replace_schema_metadata(None))
    return pa.concat_tables(tables, promote_options="permissive")


@contextmanager
def _open_writers(study: StudyDirectory) -> Iterator[Any]:
    """Yield a function that appends events to both files; they appear when complete.

    The schema is the union of the columns of all recordings (a recording without a
    frame rate has no times in seconds); missing values are null.
    """
    schema = _unite_schemas(study)
    with (
        replacing(study.path / EVENTS_PARQUET) as parquet,
        replacing(study.path / EVENTS_CSV) as text,
        pq.ParquetWriter(parquet, schema, compression="zstd") as rows,
        pa_csv.CSVWriter(str(text), schema) as lines,
    ):

        def write(table: pa.Table) -> None:
            missing = [f for f in schema if f.name not in table.column_names]
            for field in missing:
                table = table.append_column(field, pa.nulls(len(table), field.type))
            ordered = table.select(schema.names).cast(schema)
            rows.write_table(ordered)
            lines.write_table(_mark_texts(ordered))

        yield write


def _mark_texts(table: pa.Table) -> pa.Table:
    """Return the table with an apostrophe before texts like formulas; see `harmless`.

    Names of groups and animals can be any text.
    """
    for i, field in enumerate(table.schema):
        if pa.types.is_string(field.type):
            texts = table.column(i)
            formula = pc.match_substring_regex(texts, r"^[=+\-@\t\r]")
            marked = pc.binary_join_element_wise("'", texts, "")
            table = table.set_column(i, field, pc.if_else(formula, marked, texts))
    return table


def _unite_schemas(study: StudyDirectory) -> pa.Schema:
    """Return the union of the columns of all complete recordings."""
    schemas = [_read_events(study, row).schema for row in complete_rows(study)]
    empty = pa.schema([("recording", pa.string())])
    if not schemas:
        return empty
    return pa.unify_schemas(schemas, promote_options="permissive")


class Cohort:
    """Events of a study, read from disk when they are needed.

    Parameters
    ----------
    directory
        Directory of a study, written by `astrocast batch`.

    Notes
    -----
    Methods read only the columns that they need, in pieces. Memory depends on the size
    of the result, not on the number of events in the study.

    Examples
    --------
    >>> cohort = Cohort("study")  # doctest: +SKIP
    >>> cohort.aggregate(["group", "subject"], {"peak_dff": "mean"})  # doctest: +SKIP
    """

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)
        path = self.directory / EVENTS_PARQUET
        if not path.is_file():
            raise NotRunError(
                f"{self.directory} has no {EVENTS_PARQUET}; run `astrocast batch` first"
            )
        self._dataset = pa_dataset.dataset(path)

    def __repr__(self) -> str:
        return f"<Cohort: {len(self)} events in {self.directory}>"

    def __len__(self) -> int:
        return int(self._dataset.count_rows())

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return list(self._dataset.schema.names)

    @property
    def recordings(self) -> pd.DataFrame:
        """The table of recordings, including failed ones."""
        labels = dict.fromkeys((*LABELS, "name"), str)
        path = self.directory / RECORDINGS_CSV
        return remove_marks(pd.read_csv(path, dtype=labels, keep_default_na=True))

    def read(
        self,
        columns: Sequence[str] | None = None,
        where: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Return the given columns of the events that meet a condition.

        Parameters
        ----------
        columns
            Names of columns; None: all.
        where
            ``{column: (low, high)}``, inclusive; None means no limit. Or
            ``{column: [allowed values]}``.
        """
        require_names([*(columns or ()), *(where or ())], self.columns, "the cohort")
        table = self._dataset.to_table(columns, filter=_make_condition(where))
        return table.to_pandas()

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pd.DataFrame]:
        """Yield events in pieces of at most 128k rows."""
        require_names(columns or (), self.columns, "the cohort")
        for batch in self._dataset.to_batches(columns=columns):
            yield batch.to_pandas()

    def aggregate(
        self,
        by: Sequence[str],
        measures: dict[str, str],
        where: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Return one row per combination of ``by``: number of events and measures.

        Parameters
        ----------
        by
            Columns that define the groups, for example ``["group", "subject"]``.
        measures
            ``{column: function}``, with the functions mean, stddev, min, max, sum,
            count, approximate_median.
        where
            Condition, as for `read`.

        Notes
        -----
        The table is read in pieces. The median is approximate (t-digest, Dunning & Ertl
        2019, https://arxiv.org/abs/1902.04023).
        """
        from pyarrow.acero import (
            AggregateNodeOptions,
            Declaration,
            FilterNodeOptions,
            ScanNodeOptions,
        )

        require_names([*by, *measures, *(where or ())], self.columns, "the cohort")
        nodes = [Declaration("scan", ScanNodeOptions(self._dataset))]
        condition = _make_condition(where)
        if condition is not None:
            nodes.append(Declaration("filter", FilterNodeOptions(condition)))
        count = (by[0], "hash_count", pc.CountOptions(mode="all"), "events")
        wanted: list[Any] = [count]
        wanted += [(c, f"hash_{f}", None, f"{c}_{f}") for c, f in measures.items()]
        nodes.append(Declaration("aggregate", AggregateNodeOptions(wanted, list(by))))
        frame = Declaration.from_sequence(nodes).to_table().to_pandas()
        return frame.sort_values(list(by), ignore_index=True)


def _make_condition(where: dict[str, Any] | None) -> pc.Expression | None:
    """Return the condition of `Cohort.read` as an expression of pyarrow."""
    condition = None
    for name, wanted in (where or {}).items():
        field = pc.field(name)
        if isinstance(wanted, tuple):
            low, high = wanted
            parts = [field >= low] * (low is not None)
            parts += [field <= high] * (high is not None)
        else:
            parts = [field.isin(list(wanted))]
        for part in parts:
            condition = part if condition is None else condition & part
    return condition
