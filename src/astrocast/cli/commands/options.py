"""What the commands of single stages have in common: their options, and how settings come from them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from astrocast.pipeline.settings import RunSettings

Recording = Annotated[Path, typer.Argument(help="File or folder of a recording.", show_default=False)]
Output = Annotated[
    Path,
    typer.Option(
        "--output",
        "-o",
        help="File to write; its suffix decides the format (.h5, .zarr, .tif ...).",
        show_default=False,
    ),
]
Loc = Annotated[
    str | None,
    typer.Option(help="Dataset inside the recording (HDF5, zarr) [default: the only one].", show_default=False),
]
Config = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="YAML file of a whole run; the stage takes its section.", show_default=False),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", "-s", help="A parameter of this stage, NAME=VALUE; may be repeated.", show_default=False),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a dataset that is there already.")]


def settings_of(stage: str, config: Path | None, overrides: list[str] | None) -> RunSettings:
    """Return the settings of a run; overrides name parameters of one stage, or of the run itself."""
    from astrocast.pipeline.settings import RunSettings, read_configuration

    given = []
    for override in overrides or []:
        name = override.partition("=")[0].strip()
        given.append(override if name in RunSettings.model_fields else f"{stage}.{override}")
    return read_configuration(config, given)
