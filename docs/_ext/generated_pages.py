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
        "Every parameter of every stage: its default, its unit, what it means.",
        "",
    ]
    package = importlib.import_module("astrocast.settings")
    modules = [
        importlib.import_module(f"astrocast.settings.{m.name}")
        for m in pkgutil.iter_modules(package.__path__)
    ]
    for module in modules:
        for name, model in inspect.getmembers(module, inspect.isclass):
            if (
                issubclass(model, Settings)
                and model is not Settings
                and model.__module__ == module.__name__
            ):
                lines += [f"## {name}", "", cell_free(inspect.getdoc(model) or ""), ""]
                lines += [
                    "| parameter | default | unit | meaning |",
                    "|---|---|---|---|",
                ]
                for row in parameter_rows(model):
                    lines.append(
                        f"| `{row.name}` | `{cell(row.default)}` | {row.unit or ''} |"
                        f" {cell(row.description)} |"
                    )
                lines.append("")
    return "\n".join(lines)


def columns_page() -> str:
    from astrocast.events.schema import COLUMNS, INDEX

    lines = [
        "# Columns of the event table",
        "",
        f"One row per event. The index `{INDEX}` is the event's number in the event"
        " map. x is the row, y the column, z the frame; `signal` is the unit of the"
        " recording in which events were detected.",
        "",
        "| column | type | unit | meaning | from |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| `{c.name}` | {c.dtype} | {c.unit} | {cell(c.description)} | {c.source} |"
        for c in COLUMNS
    ]
    return "\n".join(lines) + "\n"


def commands_page() -> str:
    import typer

    from astrocast.cli.app import app

    group = typer.main.get_command(app)
    lines = ["# Command line", "", "`astrocast COMMAND --help` says the same.", ""]
    for name, command in sorted(getattr(group, "commands", {}).items()):
        with command.make_context(name, [], resilient_parsing=True) as context:
            usage = command.get_usage(context).removeprefix("Usage: ")
            rows = [p.get_help_record(context) for p in command.params]
            lines += [
                f"## astrocast {name}",
                "",
                cell_free(command.help or ""),
                "",
                "```text",
                f"astrocast {usage}",
                "```",
                "",
            ]
            lines += ["| option | meaning |", "|---|---|"]
            lines += [f"| `{cell(row[0])}` | {cell(row[1])} |" for row in rows if row]
            lines.append("")
    return "\n".join(lines)


def escaped(text: str) -> str:
    text = text.replace("``", "`")
    # names in single backticks stay code; nothing in a docstring is HTML
    return re.sub(r"<(?=[A-Za-z/!])", "&lt;", text)


def cell(value: object) -> str:
    """Text that fits into one cell of a table."""
    return " ".join(str(value).split()).replace("|", "\\|").replace("``", "`")


def cell_free(text: str) -> str:
    return " ".join(escaped(text).split())
