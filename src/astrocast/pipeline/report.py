"""Write the report of a run: one HTML file that needs no internet connection."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from astrocast.io.writing.files import replacing
from astrocast.pipeline.directory import REPORT_FILE
from astrocast.pipeline.report_content import ReportContent

__all__ = [
    "ReportContent",
    "export_figures",
    "report_page",
    "write_report",
]

#: increase it when the report of the same run changes
ALGORITHM_VERSION = 2


def write_report(run_directory: Path, *contents: ReportContent) -> Path:
    """Write ``report.html`` into a directory, and return its path.

    Parameters
    ----------
    run_directory
        An existing directory. An existing report is replaced.
    contents
        Content of the report, one for each channel.

    Returns
    -------
    Path
        The file. It contains all pictures and loads nothing from elsewhere. The same
        content gives the same bytes.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    path = Path(run_directory) / REPORT_FILE
    page = report_page(*contents)
    with replacing(path) as beside:
        beside.write_text(page, encoding="utf-8")
    return path


def report_page(*contents: ReportContent) -> str:
    """Return the report of one or several channels as HTML.

    All text is escaped; the page loads nothing and runs no script.
    """
    # imported here because they import matplotlib
    from astrocast.pipeline import report_figures, report_methods, report_tables

    environment = Environment(
        loader=PackageLoader("astrocast.pipeline", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    first = contents[0]
    summaries = [
        {
            "headline": report_tables.headline(content),
            "facts": report_tables.facts(content),
        }
        for content in contents
    ]
    return environment.get_template("report.html.j2").render(
        name=first.name,
        created=report_tables.moment(first.created),
        summaries=summaries,
        warnings=list(first.warnings),
        score=report_tables.score(first),
        coincidence=report_tables.coincidence(first),
        sections=[
            section
            for content in contents
            for section in report_figures.figure_sections(content)
        ],
        methods=report_methods.methods_text(first),
        citations=report_methods.citations(first),
        provenance=report_tables.provenance(first),
    )


def export_figures(
    folder: Path, contents: Sequence[ReportContent], formats: Sequence[str]
) -> list[Path]:
    """Write each figure of a report as a separate file; return the paths.

    Parameters
    ----------
    folder
        Created if it does not exist; files of the same names are replaced.
    contents
        Content of the report, one for each channel.
    formats
        "svg", "png" or both.
    """
    from astrocast.pipeline import report_figures
    from astrocast.plotting.frame import figure_of

    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for content in contents:
        for section in report_figures.figure_sections(content):
            for panel in section.panels:
                if panel.draw is None:
                    continue
                figure = figure_of(panel.draw())
                name = "".join(c if c.isalnum() else "_" for c in panel.title.lower())
                for ending in formats:
                    path = folder / f"{section.id}_{name}.{ending}"
                    figure.savefig(path, dpi=300)
                    written.append(path)
    return written
