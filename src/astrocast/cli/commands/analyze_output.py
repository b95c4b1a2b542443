"""Tables and figures that `astrocast analyze` writes, and its common options."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from astrocast.cli.options import OneRun as OneRecording
from astrocast.cli.options import RunChannel as Channel

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Channel",
    "OneRecording",
    "Output",
    "Overlap",
    "Regions",
    "Seed",
    "Source",
    "write_figure",
    "write_table",
    "write_text",
]

Source = Annotated[
    Path,
    typer.Argument(
        help="Study directory, run directory (.astrocast) or event store (.roi).",
        show_default=False,
    ),
]
Regions = Annotated[
    Path | None,
    typer.Option(
        help="GeoJSON file of cells (default: the cells drawn for the recording).",
        show_default=False,
    ),
]
Seed = Annotated[int, typer.Option(help="Seed of all random choices.")]
Overlap = Annotated[
    float,
    typer.Option(help="Smallest mean similarity of footprints in a unit, 0 to 1."),
]
Output = Annotated[
    Path, typer.Option("--output", "-o", help="Folder for tables and figures.")
]


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV; the file appears when it is complete."""
    from astrocast.io.export.tables import harmless
    from astrocast.io.writing.files import replacing

    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as beside:
        harmless(table).to_csv(beside, index=False)


def write_text(text: str, path: Path) -> None:
    """Write a text file; it appears when it is complete."""
    from astrocast.io.writing.files import replacing

    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as beside:
        beside.write_text(text + "\n", encoding="utf-8")


def write_figure(ax: Any, path: Path) -> None:
    """Write the figure of ``ax`` as PNG; the file appears when it is complete."""
    from astrocast.io.writing.files import replacing
    from astrocast.plotting.frame import figure_of

    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, suffix=".png") as beside:
        figure_of(ax).savefig(beside, dpi=150, format="png")
