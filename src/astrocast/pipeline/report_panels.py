"""Panels of a report: a figure with its caption, embedded in the page."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass, field

import matplotlib as mpl
from matplotlib.axes import Axes

from astrocast.pipeline.report_tables import (
    Table,
)
from astrocast.plotting.frame import figure_of


@dataclass(frozen=True)
class Panel:
    """One figure of the report, or the sentence that replaces it (``missing``).

    ``draw`` draws the figure again, to write it to a file of its own.
    """

    title: str
    caption: str
    alt: str = ""
    image: str = ""  # a data URI
    wide: bool = False
    missing: str = ""
    draw: Callable[[], Axes] | None = None


@dataclass(frozen=True)
class Section:
    """Panels and tables under a heading."""

    id: str
    title: str
    lead: str
    panels: list[Panel]
    tables: list[Table] = field(default_factory=list)


def panel(
    title: str,
    caption: str,
    alt: str,
    draw: Callable[[], Axes] | str,
    wide: bool = False,
) -> Panel:
    """Return a panel with a figure, or with a sentence if ``draw`` is a text."""
    if isinstance(draw, str):
        return Panel(title, caption, wide=wide, missing=draw)
    return Panel(title, caption, alt=alt, image=data_uri(draw()), wide=wide, draw=draw)


def data_uri(ax: Axes) -> str:
    """Return the figure of ``ax`` as a data URI.

    PNG if it shows an image, else SVG.
    """
    figure = figure_of(ax)
    buffer = io.BytesIO()
    if any(axes.images for axes in figure.axes):
        figure.savefig(buffer, format="png", dpi=140, metadata={"Software": None})
        kind = "image/png"
    else:
        # the same content gives the same bytes: no random ids, no date
        with mpl.rc_context({"svg.hashsalt": "astrocast", "svg.fonttype": "path"}):
            figure.savefig(buffer, format="svg", dpi=160, metadata={"Date": None})
        kind = "image/svg+xml"
    return f"data:{kind};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
