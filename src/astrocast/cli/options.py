"""Options that several commands share, and options made from the settings."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, get_args, get_origin

import typer
from pydantic.fields import FieldInfo

from astrocast.settings.base import Settings

if TYPE_CHECKING:
    from astrocast.pipeline.settings import RunSettings

Command = TypeVar("Command", bound=Callable[..., None])

Recording = Annotated[
    Path, typer.Argument(help="File or folder of a recording.", show_default=False)
]
Output = Annotated[
    Path,
    typer.Option(
        "--output",
        "-o",
        help="File to write; the suffix decides the format (.h5, .zarr, .tif ...).",
        show_default=False,
    ),
]
Loc = Annotated[
    str | None,
    typer.Option(help="Dataset inside the recording (HDF5, zarr).", show_default=False),
]
Plane = Annotated[
    str | None,
    typer.Option(
        "--plane",
        "--z",
        help="Plane (depth) to read if the file contains several: a number from 0.",
        show_default=False,
    ),
]
Position = Annotated[
    str | None,
    typer.Option(
        "--position",
        "--series",
        "--scene",
        help="Position to read if the file contains several: a name or a number from"
        " 0.",
        show_default=False,
    ),
]
Channel = Annotated[
    str | None,
    typer.Option(
        "--channel",
        help="Channel to read if the file contains several: a name or a number from 0.",
        show_default=False,
    ),
]
Axes = Annotated[
    str | None,
    typer.Option(
        "--axes",
        help="Axes of the array if the file does not name them, for example TZYX.",
        show_default=False,
    ),
]
Missing = Annotated[
    str | None,
    typer.Option(
        "--missing",
        help="If files of a folder are missing: refuse (error), blank (frames of 0) or"
        " close (the gap).",
        show_default=False,
    ),
]
OneRun = Annotated[
    Path,
    typer.Argument(
        help="Run directory (.astrocast) or event store (.roi).", show_default=False
    ),
]
RunChannel = Annotated[
    str | None,
    typer.Option(
        "--channel", help="Channel, if the run has several.", show_default=False
    ),
]
RunConfig = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", help="YAML file with parameters.", show_default=False
    ),
]
RunOutput = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        help="Directory of the results (default: ./<name>.astrocast).",
        show_default=False,
    ),
]
RunSet = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        "-s",
        help=(
            "A parameter, NAME=VALUE, for example detection.calibration.extent=0.4; may"
            " be repeated."
        ),
        show_default=False,
    ),
]
OverwriteResults = Annotated[
    bool,
    typer.Option(
        "--overwrite", help="Replace results that were computed with other parameters."
    ),
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        help=(
            "Address of a running dask scheduler, whose workers compute. They must see"
            " the recording and the output at the same paths."
        ),
        show_default=False,
    ),
]
Slurm = Annotated[
    str | None,
    typer.Option(
        help=(
            "Start workers as SLURM jobs, for example"
            " 'jobs=8,cores=4,memory=16GB,walltime=04:00:00'."
        ),
        show_default=False,
    ),
]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        help="YAML file of a whole run; the section of this stage is used.",
        show_default=False,
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        "-s",
        help="A parameter of this stage, NAME=VALUE; may be repeated.",
        show_default=False,
    ),
]
OneChannel = Annotated[
    bool,
    typer.Option(
        "--one-channel",
        help="Read the file as one channel, even if two channels seem to alternate.",
    ),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace an existing dataset.")
]


def make_address(
    loc: str | None,
    plane: str | None,
    position: str | None,
    channel: str | None,
    axes: str | None,
    missing: str | None,
) -> str | None:
    """Return dataset, plane, position and so on as one text: the address of a movie."""
    from astrocast.io.selection import Selection

    selection = Selection.of(
        loc,
        plane=plane,
        position=position,
        channel=channel,
        axes=axes,
        missing=missing,
    )
    return selection.address(selection.loc)


def list_choices_given(
    stage: str,
    plane: str | None,
    position: str | None,
    channel: str | None,
    axes: str | None,
    missing: str | None,
) -> list[str]:
    """Return the given choices as overrides ``<stage>name=value``."""
    given = {
        "plane": plane,
        "position": position,
        "channel": channel,
        "axes": axes,
        "missing": missing,
    }
    return [f"{stage}{k}={v}" for k, v in given.items() if v is not None]


def settings_of(
    stage: str, config: Path | None, overrides: list[str] | None
) -> RunSettings:
    """Return the settings of a run, from a file and overrides.

    An override names a parameter of ``stage`` or of the whole run.
    """
    from astrocast.pipeline.settings import RunSettings, read_configuration

    given = []
    for override in overrides or []:
        name = override.partition("=")[0].strip()
        of_run = name.split(".")[0] in RunSettings.model_fields
        given.append(override if of_run else f"{stage}.{override}")
    return read_configuration(config, given)


def with_options(model: type[Settings]) -> Callable[[Command], Command]:
    """Give a command an option for each parameter of ``model``.

    The command receives the options as keyword arguments; an option that was not given
    is None. `check_settings` turns them into settings and checks the limits.
    """

    def extend(command: Command) -> Command:
        own = inspect.signature(command, eval_str=True)
        stated = [
            p
            for p in own.parameters.values()
            if p.kind is not inspect.Parameter.VAR_KEYWORD
        ]
        options = [
            _make_option(name, field) for name, field in model.model_fields.items()
        ]
        # typer reads the options from the signature
        command.__signature__ = own.replace(parameters=stated + options)  # type: ignore[attr-defined]
        return command

    return extend


def check_settings(model: type[Settings], values: dict[str, Any]) -> Any:
    """Return the settings given by options; an error lists all problems at once."""
    given = {
        name: _split_pair(model.model_fields[name], v)
        for name, v in values.items()
        if v is not None
    }
    return model.checked(**given)


def _make_option(name: str, field: FieldInfo) -> inspect.Parameter:
    """Return the option of a parameter as a parameter of the command."""
    extra = field.json_schema_extra
    unit = (
        f" ({extra['unit']})" if isinstance(extra, dict) and extra.get("unit") else ""
    )
    default = "none" if field.default is None else str(field.default)
    text = f"{field.description}{unit}."
    if field.annotation is bool:
        default = f"--{'' if field.default else 'no-'}{_option_name(name)}"
        option = typer.Option(
            f"--{_option_name(name)}/--no-{_option_name(name)}",
            help=text,
            show_default=default,
        )
        return _make_parameter(name, Annotated[bool | None, option])
    option = typer.Option(
        f"--{_option_name(name)}",
        help=text,
        show_default=default,
        metavar=_metavar(field.annotation),
    )
    return _make_parameter(name, Annotated[str | None, option])


def _make_parameter(name: str, annotation: Any) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation
    )


def _option_name(name: str) -> str:
    return name.replace("_", "-")


def _metavar(annotation: Any) -> str:
    """Return the placeholder for the value in the help text."""
    if get_origin(annotation) is Literal:
        return "|".join(str(choice) for choice in get_args(annotation))
    kinds = {annotation, *get_args(annotation)}
    if Path in kinds:
        return "PATH"
    number = "INTEGER" if int in kinds else "NUMBER"
    return (
        f"{number}[,{number}]"
        if any(get_origin(kind) is tuple for kind in kinds)
        else number
    )


def _split_pair(field: FieldInfo, value: Any) -> Any:
    """Return ``3,5`` as a tuple if the parameter can be a pair."""
    paired = any(get_origin(kind) is tuple for kind in get_args(field.annotation))
    return (
        tuple(value.split(","))
        if paired and isinstance(value, str) and "," in value
        else value
    )
