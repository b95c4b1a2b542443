"""Tables and figures that `astrocast analyze` writes, and its common options."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import pandas as pd

Source = Annotated[
    Path,
    typer.Argument(
        help="Directory of a study, run directory (.astrocast) or event store (.roi).",
        show_default=False,
    ),
]
OneRecording = Annotated[
    Path,
    typer.Argument(
        help="Run directory (.astrocast) or event store (.roi).", show_default=False
    ),
]
Channel = Annotated[
    str | None,
    typer.Option(help="Channel, where a run has several.", show_default=False),
]
Seed = Annotated[int, typer.Option(help="Seed of surrogates and resampling.")]
Overlap = Annotated[
    float, typer.Option(help="Average similarity of footprints within a unit, 0 to 1.")
]
Output = Annotated[
    Path, typer.Option("--output", "-o", help="Folder for tables and figures.")
]


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV; it appears when it is complete."""
    from astrocast.io.export.tables import harmless
    from astrocast.io.writing.files import replacing

    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as beside:
        harmless(table).to_csv(beside, index=False)


def write_text(text: str, path: Path) -> None:
    """Write a text; it appears when it is complete."""
    from astrocast.io.writing.files import replacing

    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as beside:
        beside.write_text(text + "\n", encoding="utf-8")


def write_figure(ax: Any, path: Path) -> None:
    """Write the figure of axes as PNG; it appears when it is complete."""
    from astrocast.io.writing.files import replacing
    from astrocast.plotting.frame import figure_of

    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, suffix=".png") as beside:
        figure_of(ax).savefig(beside, dpi=150, format="png")
