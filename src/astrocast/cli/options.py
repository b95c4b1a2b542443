"""Options of the commands of single stages, made from the settings."""

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
        help="File to write; its suffix decides the format (.h5, .zarr, .tif ...).",
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
        help="Plane (depth) of a file with several, from 0.",
        show_default=False,
    ),
]
Position = Annotated[
    str | None,
    typer.Option(
        "--position",
        "--series",
        "--scene",
        help="Position of a file with several: its name, or its number from 0.",
        show_default=False,
    ),
]
Channel = Annotated[
    str | None,
    typer.Option(
        "--channel",
        help="Channel of a file with several: its name, or its number from 0.",
        show_default=False,
    ),
]
Axes = Annotated[
    str | None,
    typer.Option(
        "--axes",
        help="Axes of an array whose file does not name them, for example TZYX.",
        show_default=False,
    ),
]
Missing = Annotated[
    str | None,
    typer.Option(
        "--missing",
        help="Missing files of a folder: refuse, blank or close.",
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
        help="YAML file of a whole run; the stage takes its section.",
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
        help="Read a file as one channel even where two seem to alternate in it.",
    ),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace a dataset that is there already.")
]


def make_address(
    loc: str | None,
    plane: str | None,
    position: str | None,
    channel: str | None,
    axes: str | None,
    missing: str | None,
) -> str | None:
    """Return dataset and choices as one text that names the recording in its file."""
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
    """Return the choices as overrides of the conversion settings."""
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
    """Return the settings of a run; overrides name parameters of a stage or the run."""
    from astrocast.pipeline.settings import RunSettings, read_configuration

    given = []
    for override in overrides or []:
        name = override.partition("=")[0].strip()
        of_run = name.split(".")[0] in RunSettings.model_fields
        given.append(override if of_run else f"{stage}.{override}")
    return read_configuration(config, given)


def with_options(model: type[Settings]) -> Callable[[Command], Command]:
    """Give a command an option for each parameter of ``model``.

    The command gets them as keyword arguments.

    An option that is not used is None. `check_settings` turns them into settings, which
    hold the limits.
    """

    def extend(command: Command) -> Command:
        own = inspect.signature(command, eval_str=True)
        stated = [
            p
            for p in own.parameters.values()
            if p.kind is not inspect.Parameter.VAR_KEYWORD
        ]
        options = [_option(name, field) for name, field in model.model_fields.items()]
        # typer reads the signature, not the function
        command.__signature__ = own.replace(parameters=stated + options)  # type: ignore[attr-defined]
        return command

    return extend


def check_settings(model: type[Settings], values: dict[str, Any]) -> Any:
    """Return the settings that options give; an error lists all problems at once."""
    given = {
        name: _parts(model.model_fields[name], v)
        for name, v in values.items()
        if v is not None
    }
    return model.checked(**given)


def _option(name: str, field: FieldInfo) -> inspect.Parameter:
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
        return _parameter(name, Annotated[bool | None, option])
    option = typer.Option(
        f"--{_option_name(name)}",
        help=text,
        show_default=default,
        metavar=_metavar(field.annotation),
    )
    return _parameter(name, Annotated[str | None, option])


def _parameter(name: str, annotation: Any) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation
    )


def _option_name(name: str) -> str:
    return name.replace("_", "-")


def _metavar(annotation: Any) -> str:
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


def _parts(field: FieldInfo, value: Any) -> Any:
    """Return ``3,5`` as its parts where a parameter may be a pair."""
    paired = any(get_origin(kind) is tuple for kind in get_args(field.annotation))
    return (
        tuple(value.split(","))
        if paired and isinstance(value, str) and "," in value
        else value
    )
