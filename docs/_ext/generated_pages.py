"""Pages made from the code: parameters, columns of the event table, commands.

A Sphinx extension. The pages are written into ``docs/reference`` before the build and
are not kept in the repository.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from pathlib import Path
from typing import Any

REFERENCE = Path(__file__).parents[1] / "reference"
#: a picture of what each parameter does, where there is one: docs/figures/make_knobs.py
KNOBS = Path(__file__).parents[1] / "figures" / "knobs"
#: modules of settings in the order of a run; others follow
STAGES = (
    *("conversion", "motion", "denoising", "delta", "calibrated", "detection"),
    *("analysis", "simulation", "simulation_cohort"),
)
#: headings of the classes of settings: what they are for, and their name in a run
TITLES = {
    "ConversionSettings": "Conversion: `conversion`",
    "MotionSettings": "Motion correction: `motion`",
    "DenoiserSettings": "Denoising of one recording: `denoising`",
    "GeneratorSettings": "Denoising: `SubFrameGenerator`",
    "NetworkSettings": "Denoising: `Network`",
    "TrainingSettings": "Denoising: `Network.run`",
    "RetrainingSettings": "Denoising: `Network.retrain_model`",
    "DeltaSettings": "Bleach correction: `delta`",
    "CalibratedSettings": "Calibrated detection: `detection.calibration`",
    "DetectionSettings": "Documented detection: `detection`",
    "ExtensionSettings": "Traces: `Events.extend`",
    "LengthSettings": "Traces: `Events.enforce_length`",
    "NormalizationStep": "Traces: a step of `Events.normalize`",
    "PhysiologySettings": "Properties of events: `Events.physiology`",
    "SurroundingsSettings": "Noise around events: `Events.noise_traces`",
    "SimulationSettings": "Simulated recordings: `astrocast simulate`",
    "CohortSettings": "Simulated studies: `simulate_cohort`",
    "LiveSettings": "Recordings that grow: `astrocast watch`",
}


def setup(app: Any) -> dict[str, bool]:
    """Write the pages when Sphinx begins."""
    app.connect("builder-inited", write_pages)
    return {"parallel_read_safe": True}


def write_pages(app: Any) -> None:
    """Write each page whose text has changed, so that others need not be built anew."""
    pages = {
        "parameters.md": parameters_page(),
        "event-columns.md": columns_page(),
        "command-line.md": commands_page(),
        "knobs.md": knobs_page(),
    }
    for name, text in pages.items():
        path = REFERENCE / name
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, encoding="utf-8")


def parameters_page() -> str:
    from astrocast.pipeline.configuration import parameter_rows
    from astrocast.settings.base import Settings

    lines = [
        "# Parameters",
        "",
        "Every parameter of every stage: its default, its unit, what it means. Numbers"
        " without a unit are counts, fractions or ratios. Those of a run are set with"
        " `--set stage.parameter=value`, or in a YAML file that"
        " `astrocast parameters --yaml` writes. [Pictures](knobs.md) show what those of"
        " the detection do.",
        "",
    ]
    package = importlib.import_module("astrocast.settings")
    names = [m.name for m in pkgutil.iter_modules(package.__path__)]
    names.sort(key=lambda n: STAGES.index(n) if n in STAGES else len(STAGES))
    modules = [importlib.import_module(f"astrocast.settings.{n}") for n in names]
    for module in modules:
        for name, model in inspect.getmembers(module, inspect.isclass):
            if (
                issubclass(model, Settings)
                and model is not Settings
                and model.__module__ == module.__name__
            ):
                about = cell_free(inspect.getdoc(model) or "")
                lines += [f"## {TITLES.get(name, name)}", "", about, ""]
                lines += [
                    "| parameter | default | unit | meaning |",
                    "|---|---|---|---|",
                ]
                for row in parameter_rows(model):
                    shown = has_picture(name, row.name)
                    picture = f" ([picture](knobs.md#{row.name}))" if shown else ""
                    lines.append(
                        f"| `{row.name}`{picture} | `{cell(row.default)}` |"
                        f" {row.unit or ''} | {cell(row.description)} |"
                    )
                lines.append("")
    return "\n".join(lines)


def has_picture(model: str, parameter: str) -> bool:
    """Whether a picture shows what a parameter of a settings class does."""
    of_model = ("DeltaSettings",) if parameter == "window" else ("CalibratedSettings",)
    return model in of_model and (KNOBS / f"{parameter}.png").exists()


def knobs_page() -> str:
    """Return a page with the picture of each parameter, in the order of the"
    " settings."""
    from astrocast.settings.calibrated import CalibratedSettings
    from astrocast.settings.delta import DeltaSettings

    lines = [
        "# What each parameter of the detection does",
        "",
        "Each picture shows one simulated recording, detected with different values of"
        " one parameter: outlines of the events over the standard deviation of"
        " the movie,"
        " and below them when each event lasts. White dots are the peaks of the"
        " parts that"
        " an event was put together from. Colours only tell events apart. Scenes"
        " differ between pictures: each is one in which its parameter matters. Drawn by"
        " `docs/figures/make_knobs.py`.",
        "",
        "`detection.calibration.NAME` sets a parameter of a run, `delta.NAME`"
        " one of the"
        " bleach correction.",
        "",
    ]
    for name, field in CalibratedSettings.model_fields.items():
        lines += picture_of(name, field)
    lines += picture_of("window", DeltaSettings.model_fields["window"])
    return "\n".join(lines)


def picture_of(name: str, field: Any) -> list[str]:
    """Return heading, meaning and picture of one parameter."""
    if not (KNOBS / f"{name}.png").exists():
        return []
    extra = field.json_schema_extra or {}
    unit = f" Unit: {extra['unit']}." if extra.get("unit") else ""
    text = f"{cell_free(field.description or '')}.{unit}"
    return [f"## {name}", "", text, "", f"![{name}](../figures/knobs/{name}.png)", ""]


def columns_page() -> str:
    from astrocast.detection.calibrated.segment import CONFIDENCE, HEIGHT
    from astrocast.events.measure_schema import measure_columns
    from astrocast.events.physiology_schema import physiology_columns
    from astrocast.events.schema import COLUMNS, HIDDEN, INDEX, OVERLAP_VOXELS

    lines = [
        "# Columns of the event table",
        "",
        f"One row per event. The index `{INDEX}` is the event's number in the event"
        " map. x is the row, y the column, z the frame; `signal` is the unit of the"
        " recording in which events were detected. A file of events has the same"
        " descriptions beside it, in `events.columns.json`.",
        "",
        "## For publication",
        "",
        "A name ends in its unit. Where the frame rate is not known, times are"
        " in frames"
        " (`onset_frames` instead of `onset_s`); where the pixel size is not known,"
        " lengths are in pixels (`area_px` instead of `area_um2`)."
        " [Physiology](../algorithms/physiology.md) shows on a trace what each means.",
        "",
        *column_rows(measure_columns()),
        "",
        "## What detection measures",
        "",
        *column_rows(COLUMNS),
        "",
        "## What the calibrated detection adds",
        "",
        *column_rows((CONFIDENCE, HEIGHT, OVERLAP_VOXELS, HIDDEN)),
        "",
        "## What `Events.physiology` adds",
        "",
        *column_rows(physiology_columns(True, True)),
    ]
    return "\n".join(lines) + "\n"


def column_rows(columns: Any) -> list[str]:
    """Return a table of columns: name, type, unit, meaning, source."""
    return [
        "| column | type | unit | meaning | from |",
        "|---|---|---|---|---|",
        *(
            f"| `{c.name}` | {c.dtype} | {c.unit} | {cell(c.description)} |"
            f" {c.source} |"
            for c in columns
        ),
    ]


def commands_page() -> str:
    import typer

    from astrocast.cli.app import app

    group = typer.main.get_command(app)
    lines = [
        "# Command line",
        "",
        "`astrocast COMMAND --help` says the same. Options of `astrocast`"
        " itself, such as"
        " `--quiet`, `--verbose` and `--debug`, stand before the command.",
        "",
    ]
    for name, command in sorted(group.commands.items()):
        lines += command_section(f"astrocast {name}", command)
    return "\n".join(lines)


def command_section(name: str, command: Any, level: str = "##") -> list[str]:
    """Return heading, help, usage and options of a command, and of those below it."""
    below = getattr(command, "commands", {})
    with command.make_context(name, [], resilient_parsing=True) as context:
        usage = command.get_usage(context).removeprefix("Usage: ")
        rows = [p.get_help_record(context) for p in command.params]
        arguments = [p for p in command.params if p.param_type_name == "argument"]
    lines = [f"{level} {name}", "", cell_free(command.help or ""), ""]
    if below:
        for inner, inner_command in sorted(below.items()):
            lines += command_section(f"{name} {inner}", inner_command, level + "#")
        return lines
    lines += ["```text", " ".join(usage.split()), "```", ""]
    lines += ["| option | meaning |", "|---|---|"]
    lines += [
        f"| `{(a.metavar or a.name).strip('{}[]')}` | {cell(a.help)} |"
        for a in arguments
        if getattr(a, "help", None)
    ]
    named = [row for row in rows if row and row[0].startswith("-")]
    lines += [f"| `{cell(row[0])}` | {cell(row[1])} |" for row in named]
    return [*lines, ""]


def escaped(text: str) -> str:
    text = text.replace("``", "`")
    # names in single backticks stay code; nothing in a docstring is HTML
    return re.sub(r"<(?=[A-Za-z/!])", "&lt;", text)


def cell(value: object) -> str:
    """Text that fits into one cell of a table."""
    return " ".join(str(value).split()).replace("|", "\\|").replace("``", "`")


def cell_free(text: str) -> str:
    return " ".join(escaped(text).split())
