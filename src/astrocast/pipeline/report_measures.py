"""Measures of events that a report shows, in the units of the event table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from astrocast.events.measure_schema import column_in
from astrocast.pipeline.report_content import ReportContent
from astrocast.plotting.frame import pixel_sides

Question = Literal["large", "fast"]
#: events with fewer pixels come last in the table of the largest events
_FEWEST_PIXELS = 4
_UNITS = {
    "s": "s",
    "frames": "frames",
    "um2": "µm²",
    "px": "px",
    "um_s": "µm/s",
    "px_s": "px/s",
    "um_frame": "µm/frame",
    "px_frame": "px/frame",
}
#: flags of events that are cut by the start or the end of the recording
_CUT_IN_TIME = ("touches_start", "touches_end")
#: (stem of the column, name, question that it answers, meaning, flags that leave out an
#: event)
_MEASURES: tuple[tuple[str, str, Question, str, tuple[str, ...]], ...] = (
    (
        "peak_dff",
        "peak dF/F",
        "large",
        "Peak of the mean dF/F over the footprint.",
        (),
    ),
    ("peak_df", "peak dF", "large", "Peak of the mean dF over the footprint.", ()),
    (
        "area",
        "area",
        "large",
        "Area of the footprint.",
        ("touches_border",),
    ),
    (
        "duration",
        "duration",
        "fast",
        "From 10% of the peak in the rise to 10% in the decay.",
        _CUT_IN_TIME,
    ),
    (
        "half_width",
        "half width",
        "fast",
        "From 50% of the peak in the rise to 50% in the decay.",
        _CUT_IN_TIME,
    ),
    ("rise", "rise time", "fast", "From 10% to 90% of the peak.", ("touches_start",)),
    ("decay", "decay time", "fast", "From 90% to 10% of the peak.", ("touches_end",)),
    (
        "speed",
        "speed",
        "fast",
        "Speed of the front through the footprint, for events whose front moves.",
        (),
    ),
)


@dataclass(frozen=True)
class Measure:
    """One number per event, with its unit.

    Parameters
    ----------
    name, unit, meaning
        Texts for labels and captions.
    values
        (events,); NaN for events without a value.
    step
        Smallest possible difference between values; None if they are continuous.
    question
        Section of the report in which it is shown.
    cut
        Number of events that are left out because they are cut by the recording or by
        the edge of the frame.
    """

    name: str
    values: NDArray[np.float64]
    unit: str
    meaning: str
    step: float | None = None
    question: Question = "large"
    cut: int = 0

    @property
    def label(self) -> str:
        """The name with its unit."""
        return f"{self.name} ({self.unit})" if self.unit else self.name

    @property
    def median(self) -> float:
        """Median over the events that have a value; NaN if no event has one."""
        finite = self.values[np.isfinite(self.values)]
        return float(np.median(finite)) if finite.size else float("nan")


def measures(content: ReportContent) -> list[Measure]:
    """Return the measures of the events, except those for which no event has a value.

    Events that are cut by the recording or by the edge of the frame are left out of the
    measures that cannot be determined for them.
    """
    events = content.events
    if events is None or not len(events):
        return []
    rows = (_read_measure(content, events, row) for row in _MEASURES)
    found = [measure for measure in rows if measure]
    names = {measure.name for measure in found}
    if not names & {"duration", "area", "peak dF", "peak dF/F"}:
        found = _plain_measures(content, events)
    return [measure for measure in found if np.isfinite(measure.values).any()]


def _read_measure(
    content: ReportContent,
    events: pd.DataFrame,
    row: tuple[str, str, Question, str, tuple[str, ...]],
) -> Measure | None:
    """Return one of `_MEASURES` from the event table; None without its column."""
    stem, name, question, meaning, flags = row
    column = column_in(events.columns, stem)
    if column is None:
        return None
    values = events[column].to_numpy(np.float64).copy()
    cut = np.zeros(len(events), bool)
    for flag in flags:
        if flag in events:
            cut |= events[flag].to_numpy() > 0
    values[cut] = np.nan
    unit = _UNITS.get(column.removeprefix(f"{stem}_"), "")
    if stem == "peak_df":
        unit = content.signal.partition(" (")[2].rstrip(")")
    return Measure(name, values, unit, meaning, None, question, int(cut.sum()))


def _plain_measures(content: ReportContent, events: pd.DataFrame) -> list[Measure]:
    """Return duration, area and amplitude from a table of version 0.4 columns only."""
    found = []
    if {"z0", "z1"} <= set(events):
        per_frame = 1.0 / content.frame_rate if content.frame_rate is not None else 1.0
        frames = (events["z1"] - events["z0"]).to_numpy(np.float64)
        unit = "s" if content.frame_rate is not None else "frames"
        meaning = "From the first to the last frame."
        found.append(
            Measure("duration", frames * per_frame, unit, meaning, per_frame, "fast")
        )
    if "v_fp_area" in events:
        sides = pixel_sides(content.pixel_size)
        per_pixel, unit = (sides[0] * sides[1], "µm²") if sides else (1.0, "px")
        area = events["v_fp_area"].to_numpy(np.float64) * per_pixel
        meaning = "Pixels that belong to the event in at least one frame."
        found.append(Measure("area", area, unit, meaning, per_pixel))
    if "v_max_height" in events:
        what, _, unit = content.signal.partition(" (")
        height = events["v_max_height"].to_numpy(np.float64)
        meaning = f"Largest minus smallest value of the event's {what} trace."
        found.append(Measure("amplitude", height, unit.rstrip(")"), meaning))
    return found


def by_size(events: pd.DataFrame) -> NDArray[np.intp]:
    """Return the order of events by decreasing amplitude, intp (events,).

    Events with very few pixels come last. Equal amplitudes keep the order of the table.
    """
    small = np.zeros(len(events), bool)
    if "v_fp_area" in events:
        small = events["v_fp_area"].to_numpy(np.float64) < _FEWEST_PIXELS
    for name in ("peak_df", "peak_dff", "v_max_height", "v_area"):
        if name in events and events[name].notna().any():
            size = events[name].to_numpy(np.float64)
            size = np.where(np.isfinite(size), size, -np.inf)
            return np.lexsort((-size, small))
    return np.arange(len(events))


def is_cut(events: pd.DataFrame) -> NDArray[np.bool_]:
    """Return which events the start or end of the recording cuts, bool (events,)."""
    cut = np.zeros(len(events), bool)
    for flag in _CUT_IN_TIME:
        if flag in events:
            cut |= events[flag].to_numpy() > 0
    return cut
