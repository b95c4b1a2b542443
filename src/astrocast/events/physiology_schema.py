"""Columns that `astrocast.analysis.Events.physiology` adds.

Units are physical if pixel size and frame rate are known, else pixels and frames.
"""

from __future__ import annotations

from astrocast.events.schema import Column

_SECONDS, _MICRONS, _AREA, _SPEED = "{time}", "{length}", "{length}²", "{length}/{time}"

_TIME_COURSE = (
    (
        "v_onset_time",
        _SECONDS,
        "Time at which 10% of the height is reached before the peak, from the start of"
        " the recording.",
        "trace",
    ),
    (
        "v_peak_time",
        _SECONDS,
        "Time of the largest value, from the start of the recording.",
        "trace",
    ),
    (
        "v_offset_time",
        _SECONDS,
        "Time at which 10% of the height is reached after the peak, from the start of"
        " the recording.",
        "trace",
    ),
    (
        "v_rise_time",
        _SECONDS,
        "From 10% to 90% of the height, before the peak.",
        "trace",
    ),
    (
        "v_decay_time",
        _SECONDS,
        "From 90% to 10% of the height, after the peak.",
        "trace",
    ),
    (
        "v_half_width",
        _SECONDS,
        "From 50% of the height before the peak to 50% after it.",
        "trace",
    ),
    (
        "v_df_max",
        "signal",
        "Largest dF of the trace; none if the recording is dF/F.",
        "trace",
    ),
    (
        "v_df_noise",
        "signal",
        "Standard deviation of the noise of dF, from second differences.",
        "trace",
    ),
    (
        "v_dff_max",
        "",
        "Largest dF/F of the trace; none if F0 is not known.",
        "trace",
    ),
    (
        "v_dff_noise",
        "",
        "Standard deviation of the noise of dF/F, from second differences.",
        "trace",
    ),
    ("v_auc", "signal·{time}", "Integral of the trace minus its minimum.", "trace"),
)
_SHAPE = (
    ("v_area_max", _AREA, "Largest area in any frame.", "mask"),
    ("v_area_mean", _AREA, "Mean area over the frames of the event.", "mask"),
    (
        "v_area_footprint_total",
        _AREA,
        "Area of the footprint: all pixels that belong to the event in any frame.",
        "footprint",
    ),
    (
        "v_perimeter_max",
        _MICRONS,
        "Longest outline in any frame; diagonal steps count as the square root of 2.",
        "mask",
    ),
    (
        "v_circularity_mean",
        "",
        (
            "Mean over frames of 4π area / perimeter², at most 1: 1 for a disc, less"
            " for branched shapes."
        ),
        "mask",
    ),
    (
        "v_centroid_path",
        _MICRONS,
        "Length of the path of the centre from frame to frame.",
        "mask",
    ),
    (
        "v_centroid_displacement",
        _MICRONS,
        "Distance between the centre in the first and the last frame.",
        "mask",
    ),
)
_PROPAGATION = tuple(
    column
    for end, what in (("onset", "first active"), ("offset", "last active"))
    for column in (
        (
            f"v_{end}_speed",
            _SPEED,
            f"Speed of the plane wave fitted to the times at which pixels are {what}.",
            "mask",
        ),
        (
            f"v_{end}_direction",
            "°",
            "Direction of that wave: 0 right (columns), 90 down (rows).",
            "mask",
        ),
        (
            f"v_{end}_r2",
            "",
            f"Fraction of the variance of the {end} times explained by the plane wave.",
            "mask",
        ),
    )
)
_COMPANY = (
    (
        "v_same_place",
        "event",
        "Number of other events with an overlapping footprint.",
        "footprint",
    ),
    (
        "v_same_size",
        "event",
        "Number of other events with an overlapping footprint of similar size.",
        "footprint",
    ),
    (
        "v_simultaneous",
        "event",
        "Number of other events with at least one frame in common.",
        "labels",
    ),
)
_PATHS = (
    ("area_path", _AREA, "Area per frame.", "mask"),
    ("perimeter_path", _MICRONS, "Length of the outline per frame.", "mask"),
    ("circularity_path", "", "4π area / perimeter² per frame, at most 1.", "mask"),
    ("centroid_x_path", "px", "Mean row per frame, in the recording.", "mask"),
    ("centroid_y_path", "px", "Mean column per frame, in the recording.", "mask"),
)


def physiology_columns(
    calibrated_space: bool = True, calibrated_time: bool = True
) -> tuple[Column, ...]:
    """Return the columns, with units for known pixel size (space), frame rate (time).

    >>> physiology_columns()[0].unit, physiology_columns(calibrated_time=False)[0].unit
    ('s', 'frame')
    """
    units = {
        "length": "µm" if calibrated_space else "px",
        "time": "s" if calibrated_time else "frame",
    }
    numbers = (*_TIME_COURSE, *_SHAPE, *_PROPAGATION, *_COMPANY)
    return tuple(
        Column(name, kind, unit.format(**units), text, source)  # type: ignore[arg-type] # literals, through a table
        for rows, kind in ((numbers, "float64"), (_PATHS, "float32[]"))
        for name, unit, text, source in rows
    )


def region_columns(name: str, calibrated: bool = True) -> tuple[Column, Column]:
    """Return the two columns of a landmark or region mask called ``name``."""
    unit = "µm" if calibrated else "px"
    return (
        Column(
            f"v_distance_{name}",
            "float64",
            unit,
            f"Distance of the centre to the nearest pixel of {name}.",
            "footprint",
        ),
        Column(
            f"v_direction_{name}",
            "float64",
            "°",
            f"Direction to {name}: 0 right, 90 down; none inside it.",
            "footprint",
        ),
    )
