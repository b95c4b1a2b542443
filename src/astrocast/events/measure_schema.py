"""The columns for publication: amplitude, dF/F, times, size, speed and flags of events.

Names contain the unit. If the frame rate is not known, times are in frames
(``onset_frames`` instead of ``onset_s``); if the pixel size is not known, lengths are
in pixels (``area_px`` instead of ``area_um2``). A table contains either one or the
other.
"""

from __future__ import annotations

from dataclasses import dataclass

from astrocast.events.schema import Column, ColumnSource, ColumnType


@dataclass(frozen=True)
class Units:
    """The units of a table: is the frame rate (time), the pixel size (space) known."""

    time: bool = True
    space: bool = True

    @property
    def seconds(self) -> str:
        """Last part of the names of columns of times."""
        return "s" if self.time else "frames"

    @property
    def microns(self) -> str:
        """Last part of the names of columns of lengths."""
        return "um" if self.space else "px"

    @property
    def area(self) -> str:
        """Last part of the names of columns of areas."""
        return "um2" if self.space else "px"

    @property
    def speed(self) -> str:
        """Last part of the names of columns of speeds."""
        return f"{self.microns}_{'s' if self.time else 'frame'}"


KIND = Column(
    "kind",
    "str",
    "",
    "Kind of event: 'local', 'global' (most of the field at once), or another kind"
    " of the detection; empty if unknown.",
    "detector",
)
PARTS = Column(
    "parts",
    "int64",
    "",
    "Number of pieces of the event that do not touch; 1 if the detection does not"
    " count them.",
    "detector",
)

#: name, type, unit, description, source; parts in braces depend on the recording
_Row = tuple[str, ColumnType, str, str, ColumnSource]
_AMPLITUDE: tuple[_Row, ...] = (
    (
        "peak_df",
        "float64",
        "signal",
        "Peak of dF: mean over the fixed footprint, above the local baseline, averaged"
        " over the top of the event (frames within 1.5 sd of the noise).",
        "trace",
    ),
    (
        "peak_dff",
        "float64",
        "",
        "Peak of dF/F: peak_df divided by f0; none if F0 is not known or not above 0.",
        "trace",
    ),
    (
        "f0",
        "float64",
        "signal",
        "Fluorescence of the footprint at rest, minus the camera offset if it is known;"
        " none if only dF was given.",
        "recording",
    ),
    (
        "noise_df",
        "float64",
        "signal",
        "Standard deviation of the noise of the footprint's trace from frame to frame.",
        "trace",
    ),
    ("snr", "float64", "", "peak_df divided by noise_df.", "trace"),
    (
        "local_baseline",
        "float64",
        "signal",
        "Baseline that was subtracted from the footprint's trace at the peak: a line"
        " through the frames before and after the event.",
        "trace",
    ),
    (
        "baseline_frames",
        "float64",
        "frame",
        "Number of frames from which the local baseline was estimated; 0: too few, the"
        " minimum of the trace was used.",
        "trace",
    ),
)
_TIMES: tuple[_Row, ...] = (
    (
        "onset_{s}",
        "float64",
        "{time}",
        "Time from the start of the recording at which the event rises through 10% of"
        " its peak.",
        "trace",
    ),
    (
        "peak_{s}",
        "float64",
        "{time}",
        "Time from the start of the recording of the highest frame.",
        "trace",
    ),
    (
        "offset_{s}",
        "float64",
        "{time}",
        "Time from the start of the recording at which the event falls through 10% of"
        " its peak.",
        "trace",
    ),
    ("duration_{s}", "float64", "{time}", "Offset minus onset (10% to 10%).", "trace"),
    ("rise_{s}", "float64", "{time}", "From 10% to 90% of the peak.", "trace"),
    ("decay_{s}", "float64", "{time}", "From 90% to 10% of the peak.", "trace"),
    (
        "half_width_{s}",
        "float64",
        "{time}",
        "Full width at half maximum: from 50% of the peak before it to 50% after it.",
        "trace",
    ),
    (
        "{auc}",
        "float64",
        "signal·{time}",
        "Area under dF from onset to offset; if the event is cut by the start or end of"
        " the recording, the area within the recording.",
        "trace",
    ),
)
_PLACE: tuple[_Row, ...] = (
    (
        "area_{um2}",
        "float64",
        "{area}",
        "Area of the footprint: all pixels that belong to the event in any frame.",
        "footprint",
    ),
    (
        "x_{um}",
        "float64",
        "{length}",
        "Row of the centre of the footprint (downwards), like x0; 0 is the upper edge"
        " of the frame.",
        "footprint",
    ),
    (
        "y_{um}",
        "float64",
        "{length}",
        "Column of the centre of the footprint (to the right), like y0; 0 is the left"
        " edge.",
        "footprint",
    ),
    (
        "speed_{um_s}",
        "float64",
        "{length}/{time}",
        "Speed of the onset front along the footprint (geodesic); none if no movement"
        " can be measured.",
        "mask",
    ),
    (
        "speed_error_{um_s}",
        "float64",
        "{length}/{time}",
        "Standard error of the speed.",
        "mask",
    ),
    (
        "direction_deg",
        "float64",
        "°",
        "Direction in which the onset front moves: 0 right (columns), 90 down (rows).",
        "mask",
    ),
    ("direction_error_deg", "float64", "°", "Standard error of the direction.", "mask"),
)
_FLAGS: tuple[_Row, ...] = (
    (
        "touches_start",
        "int64",
        "",
        "1 if the event is active in the first frame: its onset is not in the"
        " recording.",
        "labels",
    ),
    (
        "touches_end",
        "int64",
        "",
        "1 if the event is active in the last frame: its end is not in the recording.",
        "labels",
    ),
    (
        "touches_border",
        "int64",
        "",
        "1 if the event reaches the edge of the analysed part of the frame: its area is"
        " not complete.",
        "labels",
    ),
    (
        "in_bad_frames",
        "float64",
        "frame",
        "Number of bad frames in the event; empty if the quality of frames is unknown.",
        "recording",
    ),
    (
        "left_out_share",
        "float64",
        "",
        "Fraction of the voxels (footprint x frames) that belong to other events and"
        " were left out of the trace.",
        "labels",
    ),
)
#: trace over the fixed footprint, before, during and after the event, and its first
#: frame
FOOTPRINT_TRACE = Column(
    "footprint_trace",
    "float32[]",
    "signal",
    "Mean over the fixed footprint per frame, before, during and after the event,"
    " without pixels of other events; the local baseline is not subtracted.",
    "trace",
)
FOOTPRINT_TRACE_START = Column(
    "footprint_trace_z0",
    "int64",
    "frame",
    "First frame of footprint_trace.",
    "trace",
)


def measure_columns(units: Units = Units()) -> tuple[Column, ...]:
    """Return the columns for publication; their names contain the units.

    >>> names = [c.name for c in measure_columns(Units(time=False))]
    >>> [n for n in names if n.endswith("_frames")][:3]
    ['baseline_frames', 'onset_frames', 'peak_frames']
    """
    endings = {
        "s": units.seconds,
        "um": units.microns,
        "um2": units.area,
        "um_s": units.speed,
        "auc": "auc" if units.time else "auc_frames",
    }
    words = {
        "time": "s" if units.time else "frame",
        "length": "µm" if units.space else "px",
        "area": "µm²" if units.space else "px²",
    }
    columns = tuple(
        Column(name.format(**endings), kind, unit.format(**words), text, source)
        for name, kind, unit, text, source in (
            *_AMPLITUDE,
            *_TIMES,
            *_PLACE,
            *_FLAGS,
        )
    )
    return (KIND, PARTS, *columns, FOOTPRINT_TRACE_START, FOOTPRINT_TRACE)


def column_in(table: object, stem: str) -> str | None:
    """Return the name of a measure's column in a table, with any unit, or None.

    >>> column_in(["onset_frames", "area_um2"], "onset"), column_in([], "area")
    ('onset_frames', None)
    """
    names = list(table)  # type: ignore[call-overload] # columns of a table, or names
    for ending in (
        "s",
        "frames",
        "um2",
        "um",
        "px",
        "um_s",
        "px_s",
        "um_frame",
        "px_frame",
    ):
        if f"{stem}_{ending}" in names:
            return f"{stem}_{ending}"
    return stem if stem in names else None
