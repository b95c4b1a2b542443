"""``astrocast export`` and ``astrocast view``: results for other programs, napari."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from astrocast.cli.options import OneRun, RunChannel

if TYPE_CHECKING:
    import pandas as pd

    from astrocast.analysis import Events

Format = Literal["csv", "xlsx", "parquet", "nwb", "ome-zarr", "imagej", "mp4", "png"]
Where = Annotated[
    str | None,
    typer.Option(
        help="Condition that events must meet, for example 'peak_dff > 0.5 and dz <"
        " 40'.",
        show_default=False,
    ),
]
Curated = Annotated[
    bool,
    typer.Option(
        "--curated", help="Apply the decisions that you made in the explorer."
    ),
]
#: format -> (method of `Events.export`, whether it needs the recording)
METHODS = {
    "csv": ("csv", False),
    "xlsx": ("excel", False),
    "parquet": ("parquet", False),
    "nwb": ("nwb", True),
    "ome-zarr": ("ome_zarr", True),
    "imagej": ("rois", False),
    "mp4": ("film", True),
    "png": ("picture", True),
}

SUBJECT = ("subject_id", "species", "sex", "age")
SESSION = ("description", "indicator", "location")
NWB_FIELDS = (*SUBJECT, *SESSION)


def export(
    run: OneRun,
    to: Annotated[Format, typer.Option(help="File format.", show_default=False)],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="File to write.", show_default=False),
    ],
    where: Where = None,
    channel: RunChannel = None,
    curated: Curated = False,
    nwb: Annotated[
        list[str] | None,
        typer.Option(
            help="Field of the NWB file, NAME=VALUE; may be repeated. Names: "
            "subject_id, species, sex, age, description, indicator, location.",
            show_default=False,
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing file.")
    ] = False,
) -> None:
    """Write the events of a run for other programs.

    imagej: zip file of ROIs (footprints). mp4: movie with outlines, time stamp and
    scale bar. png: footprints over the mean image.
    """
    method, needs_recording = METHODS[to]
    fields = nwb_fields(nwb or []) if to == "nwb" else {}
    events = open_events(run, channel, curated, with_recording=needs_recording)
    events.events = select_rows(events.events, where)
    path = getattr(events.export, method)(output, overwrite=overwrite, **fields)
    typer.echo(f"{len(events)} events: {path}")


def nwb_fields(given: list[str]) -> dict[str, Any]:
    """Return the fields of an NWB session; print which fields of the animal lack.

    Raises
    ------
    InvalidValueError
        A field is not NAME=VALUE, or its name is not in `NWB_FIELDS`.
    """
    from astrocast.errors import InvalidValueError

    values = dict(field.split("=", 1) for field in given if "=" in field)
    wrong = [f for f in given if "=" not in f or f.split("=")[0] not in NWB_FIELDS]
    if wrong:
        raise InvalidValueError(
            f"--nwb {', '.join(wrong)}: expected NAME=VALUE; the names are"
            f" {', '.join(NWB_FIELDS)}"
        )
    subject = {k: v for k, v in values.items() if k in SUBJECT}
    missing = [name for name in SUBJECT if name not in subject]
    if missing:
        typer.echo(
            f"the file does not state {', '.join(missing)} of the animal, which"
            " archives require; give --nwb NAME=VALUE, for example --nwb age=P90D",
            err=True,
        )
    session: dict[str, Any] = {k: v for k, v in values.items() if k in SESSION}
    return session | {"subject": subject or None}


def view(
    run: OneRun,
    where: Where = None,
    channel: RunChannel = None,
    curated: Curated = False,
) -> None:
    """Show a recording with its events in napari, until the window is closed."""
    from astrocast.errors import MissingExtraError

    events = open_events(run, channel, curated, with_recording=True)
    events.events = select_rows(events.events, where)
    try:
        import napari
    except ImportError as error:
        raise MissingExtraError("napari", "napari", "astrocast view") from error
    events.show_event_map()
    napari.run()


def open_events(
    run: Path, channel: str | None, curated: bool, *, with_recording: bool
) -> Events:
    """Return the events of a run; with ``with_recording``, open its recording too."""
    from astrocast.analysis import Events
    from astrocast.study.sources import find_store

    data = "infer" if with_recording else None
    return Events(find_store(run, channel), data=data, curated=curated)


def select_rows(table: pd.DataFrame, where: str | None) -> pd.DataFrame:
    """Return the rows that meet a condition on columns; all rows if it is None.

    Raises
    ------
    InvalidValueError
        The condition is not valid, or names a column that the table does not have.
    """
    from astrocast.errors import InvalidValueError
    from astrocast.io.export.tables import scalars

    if where is None:
        return table
    plain = scalars(table)
    if "@" in where or "__" in where:
        raise InvalidValueError(
            f"--where {where!r}: a condition can contain only columns, numbers and"
            " texts (no @, no __)"
        )
    try:
        chosen = plain.query(where, engine="python").index
    except Exception as error:
        raise InvalidValueError(
            f"--where {where!r} is not valid: {error}. Compare columns, for example"
            f" 'dz > 5 and v_area < 100'; the columns are"
            f" {', '.join(map(str, plain))}"
        ) from error
    return table.loc[chosen]
