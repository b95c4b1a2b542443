"""Write the report of a cohort: one HTML file that needs no internet connection."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from matplotlib.axes import Axes

from astrocast import __version__
from astrocast.io.writing.files import replacing
from astrocast.plotting.cohort import group_points
from astrocast.plotting.frame import figure_of
from astrocast.study.directory import StudyDirectory

REPORT_FILE = "report.html"
#: a recording is listed as an outlier if it differs from the median of the study by
#: more than this many robust standard deviations (Iglewicz and Hoaglin 1993)
_OUTLIER = 3.5
#: measures by group: (column of the table of recordings, title, label)
_MEASURES = (
    ("events_per_minute", "Rate", "events per minute"),
    ("median_duration_s", "Duration", "median duration (s)"),
    ("median_duration_frames", "Duration", "median duration (frames)"),
    ("median_v_length", "Duration", "median duration (frames)"),
    ("median_peak_dff", "Amplitude", "median peak dF/F"),
    ("median_peak_df", "Amplitude", "median peak dF (counts)"),
    ("median_v_max_height", "Height", "median range of the trace (counts)"),
    ("median_area_um2", "Area", "median area (µm²)"),
    ("median_area_px", "Area", "median area (px)"),
    ("median_v_fp_area", "Area", "median area (px)"),
)
_QUALITY = (
    ("largest_shift_px", "Motion", "largest shift (px)"),
    ("excluded_frames", "Frames left out", "frames"),
    ("median_snr", "Signal to noise", "median SNR of events"),
    ("median_confidence", "Confidence", "median confidence of events"),
)
_SHOWN = (
    "name",
    "group",
    "subject",
    "day",
    "status",
    "events",
    "events_per_minute",
    "frames",
    "frame_rate",
    "pixel_size",
    "excluded_frames",
    "largest_shift_px",
    "warnings",
)


@dataclass(frozen=True)
class Panel:
    """A figure of the report: title and picture, as a data URI."""

    title: str
    image: str


def write_cohort_report(study: StudyDirectory, recordings: pd.DataFrame) -> Path:
    """Write ``report.html`` of a study and return its path.

    Parameters
    ----------
    study
        The study.
    recordings
        The table of recordings from `astrocast.study.cohort.write_cohort`.
    """
    environment = Environment(
        loader=PackageLoader("astrocast.study", "templates"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = Environment(
        loader=PackageLoader("astrocast.pipeline", "templates")
    ).get_template("report.css")
    complete = recordings[recordings["status"] == "ok"]
    page = environment.get_template("cohort.html.j2").render(
        style=style.render(),
        name=study.path.resolve().name,
        version=__version__,
        headline=_write_headline(recordings, complete),
        failed=recordings.loc[
            recordings["status"] != "ok", ["name", "message"]
        ].values.tolist(),
        measures=_draw_panels(complete, _MEASURES),
        quality=_draw_panels(complete, _QUALITY),
        outliers=find_outliers(complete),
        table=_format_table(recordings),
    )
    with replacing(study.path / REPORT_FILE) as path:
        path.write_text(page, encoding="utf-8")
    return study.path / REPORT_FILE


def _write_headline(recordings: pd.DataFrame, complete: pd.DataFrame) -> str:
    """Return a sentence with the numbers of events, recordings, animals and groups."""
    events = int(complete["events"].sum()) if len(complete) else 0
    animals = complete["subject"].replace("", np.nan).nunique() if len(complete) else 0
    parts = [
        f"{events} events in {len(complete)} of {len(recordings)} recordings",
        f"{animals} animals" if animals else "no animals named",
    ]
    groups = [g for g in dict.fromkeys(recordings["group"]) if g]
    parts.append(f"groups: {', '.join(groups)}" if groups else "no groups named")
    return "; ".join(parts) + "."


def _draw_panels(
    table: pd.DataFrame, measures: tuple[tuple[str, str, str], ...]
) -> list[Panel]:
    """Return a panel for each title; the first measure with values is drawn."""
    panels, titles = [], set()
    for column, title, label in measures:
        has_values = column in table and np.isfinite(table[column].astype(float)).any()
        if has_values and title not in titles:
            titles.add(title)
            ax = group_points(table, column, label=label)
            panels.append(Panel(title, _encode_picture(ax)))
    return panels


def _encode_picture(ax: Axes) -> str:
    """Return the figure of ``ax`` as a PNG data URI."""
    buffer = io.BytesIO()
    figure_of(ax).savefig(buffer, format="png", dpi=140, metadata={"Software": None})
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def find_outliers(table: pd.DataFrame) -> list[tuple[str, str, float, float]]:
    """Return outliers: (name of the recording, measure, value, median of the study).

    By modified z-scores: difference from the median / (1.4826 x median absolute
    deviation) (Iglewicz and Hoaglin 1993, "How to detect and handle outliers"). At
    least five recordings are needed.

    Examples
    --------
    >>> rates = [5.0, 6.0, 5.5, 6.5, 60.0]
    >>> find_outliers(pd.DataFrame({"name": list("abcde"), "events_per_minute": rates}))
    [('e', 'events per minute', 60.0, 6.0)]
    """
    found = []
    for column, _, label in (*_MEASURES, *_QUALITY):
        if column not in table:
            continue
        values = table[column].to_numpy(float)
        finite = np.isfinite(values)
        if finite.sum() < 5:
            continue
        median = float(np.median(values[finite]))
        spread = 1.4826 * np.median(np.abs(values[finite] - median))
        if spread > 0:
            far = finite & (np.abs(values - median) > _OUTLIER * spread)
            for i in np.flatnonzero(far):
                name = str(table["name"].iloc[i])
                found.append((name, label, float(values[i]), median))
    return found


def _format_table(recordings: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Return the head and the cells of the table of recordings, as text."""
    columns = [c for c in _SHOWN if c in recordings]
    rows = [
        [_format_cell(value) for value in row] for row in recordings[columns].to_numpy()
    ]
    return [c.replace("_", " ") for c in columns], rows


def _format_cell(value: object) -> str:
    if isinstance(value, float):
        return "" if np.isnan(value) else f"{value:.4g}"
    return str(value)
