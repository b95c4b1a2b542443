"""Duration, area and amplitude of the events, in the units a reader wants."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from astrocast.pipeline.report_content import ReportContent
from astrocast.plotting.frame import pixel_sides


@dataclass(frozen=True)
class Measure:
    """One number per event, in the unit a reader wants."""

    name: str
    values: NDArray[np.float64]
    unit: str
    meaning: str
    step: float | None = None

    @property
    def label(self) -> str:
        """The name with its unit."""
        return f"{self.name} ({self.unit})" if self.unit else self.name


def measures(content: ReportContent) -> list[Measure]:
    """Return duration, area and amplitude of the events, in physical units where they
    are known.
    """
    events = content.events
    if events is None or not len(events):
        return []
    found = []
    if {"z0", "z1"} <= set(events):
        per_frame = 1.0 / content.frame_rate if content.frame_rate is not None else 1.0
        frames = (events["z1"] - events["z0"]).to_numpy(np.float64)
        unit = "s" if content.frame_rate is not None else "frames"
        found.append(
            Measure(
                "duration",
                frames * per_frame,
                unit,
                "From the first to the last frame.",
                per_frame,
            )
        )
    if "v_fp_area" in events:
        sides = pixel_sides(content.pixel_size)
        per_pixel, unit = (sides[0] * sides[1], "µm²") if sides else (1.0, "px")
        area = events["v_fp_area"].to_numpy(np.float64) * per_pixel
        found.append(
            Measure(
                "area",
                area,
                unit,
                "Pixels that were part of the event in any frame.",
                per_pixel,
            )
        )
    if "v_max_height" in events:
        what, _, unit = content.signal.partition(" (")
        height = events["v_max_height"].to_numpy(np.float64)
        meaning = f"Largest minus smallest value of the event's {what} trace."
        found.append(Measure("amplitude", height, unit.rstrip(")"), meaning))
    return [measure for measure in found if np.isfinite(measure.values).any()]


def by_size(events: pd.DataFrame) -> NDArray[np.intp]:
    """Return the order from the largest amplitude to the smallest, of equal ones the
    earlier first.
    """
    for name in ("v_max_height", "v_area"):
        if name in events:
            size = events[name].to_numpy(np.float64)
            return np.argsort(
                -np.where(np.isfinite(size), size, -np.inf), kind="stable"
            )
    return np.arange(len(events))
