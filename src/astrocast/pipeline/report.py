"""The report of a run: one HTML file that opens offline, on a laptop, on a phone and on
paper.
"""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from astrocast.io.writing.files import replacing
from astrocast.pipeline.report_content import ReportContent

__all__ = ["REPORT_FILE", "ReportContent", "report_page", "write_report"]

#: raise it when the report of the same run shows something else
ALGORITHM_VERSION = 1
REPORT_FILE = "report.html"


def write_report(run_directory: Path, content: ReportContent) -> Path:
    """Write ``report.html`` into a directory, whole or not at all, and return its path.

    Parameters
    ----------
    run_directory
        An existing directory; a report that is there already is replaced, it is derived
        from the run beside it.
    content
        What to show.

    Returns
    -------
    Path
        The file: self-contained, pictures included, nothing is loaded from anywhere.
        The same content gives the same bytes.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    path = Path(run_directory) / REPORT_FILE
    page = report_page(content)
    with replacing(path) as beside:
        beside.write_text(page, encoding="utf-8")
    return path


def report_page(content: ReportContent) -> str:
    """Return the report as HTML. All text is escaped, the page may load nothing and run
    no script.
    """
    # matplotlib is imported when a report is made
    from astrocast.pipeline import report_figures, report_tables

    environment = Environment(
        loader=PackageLoader("astrocast.pipeline", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2").render(
        name=content.name,
        created=report_tables.moment(content.created),
        headline=report_tables.headline(content),
        facts=report_tables.facts(content),
        warnings=list(content.warnings),
        score=report_tables.score(content),
        sections=report_figures.figure_sections(content),
        largest=report_tables.largest_events(content),
        provenance=report_tables.provenance(content),
    )
