"""Physiological columns: time course, shape, propagation, neighbours and landmarks.

They follow the features of AQuA (Wang et al. 2019,
https://doi.org/10.1038/s41593-019-0492-2), in physical units.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from astrocast.analysis.measurements.signals import event_pixels
from astrocast.analysis.trace_formats import starts_of, traces_of
from astrocast.errors import DatasetNotFoundError, InvalidValueError
from astrocast.events.array_columns import TraceArray, as_masks, as_traces
from astrocast.events.measure_schema import FOOTPRINT_TRACE, FOOTPRINT_TRACE_START
from astrocast.events.physiology_schema import region_columns
from astrocast.kernels.event_features.neighbours import (
    nearest_of_region,
    same_place,
    simultaneous,
)
from astrocast.kernels.event_features.physiology import noise_level, time_courses
from astrocast.kernels.event_features.propagation import direction_of, fronts
from astrocast.kernels.event_features.time_course import event_courses
from astrocast.kernels.masks.packed_masks import footprints, shapes_over_time
from astrocast.kernels.ragged import ragged
from astrocast.settings.analysis import PhysiologySettings

Columns = dict[str, Any]


@dataclass(frozen=True)
class Calibration:
    """Height and width of a pixel (µm) and duration of a frame (s); 1 if unknown."""

    pixel: tuple[float, float] = (1.0, 1.0)
    frame: float = 1.0

    @classmethod
    def of(cls, pixel_size: Any, frame_rate: float | None) -> Calibration:
        """Return the calibration of a pixel size in µm and a frame rate in Hz.

        ``pixel_size`` is one number, or height and width.
        """
        size = (
            (1.0, 1.0)
            if pixel_size is None
            else tuple(np.broadcast_to(np.asarray(pixel_size, float), 2).tolist())
        )
        if min(size) <= 0 or (frame_rate is not None and frame_rate <= 0):
            raise InvalidValueError(
                f"pixel_size is {pixel_size} µm and frame_rate {frame_rate} Hz; both"
                " must be above 0"
            )
        return cls((size[0], size[1]), 1.0 if frame_rate is None else 1.0 / frame_rate)


def time_columns(
    table: pd.DataFrame,
    calibration: Calibration,
    settings: PhysiologySettings,
    f0: NDArray[np.float64] | None,
) -> Columns:
    """Return onset, peak, offset, rise, decay, width, height and area of each trace.

    Parameters
    ----------
    table
        Events with their traces.
    calibration
        Duration of a frame.
    settings
        Kind of the signal of the recording.
    f0
        Baseline fluorescence of each event, for a dF recording; None: unknown.
    """
    if settings.context is None and FOOTPRINT_TRACE.name in table:
        return _footprint_time_columns(table, calibration)
    traces = traces_of(table)
    course = time_courses(traces.flat, traces.offsets)
    noise = noise_level(traces.flat, traces.offsets)
    first, dt = starts_of(table), calibration.frame
    top = course.baseline + course.height
    unknown = np.full(len(table), np.nan)
    # (dF, F0): in a dF recording dF is the value itself; in fluorescence it is the
    # height above the baseline of the trace; in dF/F both are unknown
    df, base = {
        "dF": (top, unknown if f0 is None else f0),
        "dFF": (unknown, unknown),
        "F": (course.height, course.baseline),
    }[settings.signal]
    base = np.where(base > 0, base, np.nan)
    relative = settings.signal == "dFF"
    return {
        "v_onset_time": (first + course.onset) * dt,
        "v_peak_time": (first + course.peak) * dt,
        "v_offset_time": (first + course.offset) * dt,
        "v_rise_time": course.rise * dt,
        "v_decay_time": course.decay * dt,
        "v_half_width": course.half_width * dt,
        "v_df_max": df,
        "v_df_noise": unknown if relative else noise,
        "v_dff_max": top if relative else df / base,
        "v_dff_noise": noise if relative else noise / base,
        "v_auc": course.area * dt,
    }


def _footprint_time_columns(table: pd.DataFrame, calibration: Calibration) -> Columns:
    """Return the columns of `time_columns` from stored traces over footprints."""
    traces = as_traces(table[FOOTPRINT_TRACE.name])
    start = table[FOOTPRINT_TRACE_START.name].to_numpy(np.int64)
    begin, end = (table[name].to_numpy(np.int64) - start for name in ("z0", "z1"))
    course = event_courses(traces.flat, traces.offsets, begin, end)
    dt = calibration.frame
    height = {
        name: table[name].to_numpy(np.float64)
        for name in ("peak_df", "peak_dff", "noise_df", "f0")
    }
    f0 = np.where(height["f0"] > 0, height["f0"], np.nan)
    # in a dF/F recording, the noise of the trace is the noise of dF/F
    relative = np.isnan(height["peak_df"]) & ~np.isnan(height["peak_dff"])
    return {
        "v_onset_time": (start + course.onset) * dt,
        "v_peak_time": (start + course.peak) * dt,
        "v_offset_time": (start + course.offset) * dt,
        "v_rise_time": course.rise * dt,
        "v_decay_time": course.decay * dt,
        "v_half_width": course.half_width * dt,
        "v_df_max": height["peak_df"],
        "v_df_noise": height["noise_df"],
        "v_dff_max": height["peak_dff"],
        "v_dff_noise": np.where(relative, course.noise, height["noise_df"] / f0),
        "v_auc": course.area * dt,
    }


def shape_columns(table: pd.DataFrame, calibration: Calibration) -> Columns:
    """Return area, outline and centre over time, and their summaries."""
    masks = as_masks(table["mask"]).masks
    over_time = shapes_over_time(masks)
    height, width = calibration.pixel
    # scale lengths of outlines by the side of a square with the area of a pixel
    side = np.sqrt(height * width)
    origin = np.repeat(
        table[["x0", "y0"]].to_numpy(np.float64), masks.shapes[:, 0], axis=0
    )
    row, column = over_time.row + origin[:, 0], over_time.column + origin[:, 1]
    area, perimeter = over_time.area * height * width, over_time.perimeter * side
    pixels, offsets = footprints(masks)
    covered = np.nan_to_num(
        ragged.reduce_each(pixels.astype(np.float32), offsets, "mean")
    ) * np.diff(offsets)
    path, displacement = _measure_paths(row * height, column * width, over_time.offsets)
    paths = {
        "area_path": area,
        "perimeter_path": perimeter,
        "circularity_path": over_time.circularity,
        "centroid_x_path": row,
        "centroid_y_path": column,
    }
    return {
        "v_area_max": ragged.reduce_each(area, over_time.offsets, "max"),
        "v_area_mean": ragged.reduce_each(area, over_time.offsets, "mean"),
        "v_area_footprint_total": covered * height * width,
        "v_perimeter_max": ragged.reduce_each(perimeter, over_time.offsets, "max"),
        "v_circularity_mean": ragged.reduce_each(
            over_time.circularity, over_time.offsets, "mean"
        ),
        "v_centroid_path": path,
        "v_centroid_displacement": displacement,
        **{
            name: TraceArray(values.astype(np.float32), over_time.offsets)
            for name, values in paths.items()
        },
    }


def _measure_paths(
    row: NDArray[np.float64], column: NDArray[np.float64], offsets: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return length of the centre's path and distance between its ends, float64.

    Frames without a pixel are interpolated.
    """
    down, right = (ragged.interpolate_nan(v, offsets) for v in (row, column))
    steps = np.hypot(
        ragged.difference(down, offsets), ragged.difference(right, offsets)
    )
    length = ragged.reduce_each(steps, offsets, "mean") * np.diff(offsets)
    ends = np.maximum(offsets[1:] - 1, 0)
    starts = np.minimum(offsets[:-1], ends)
    if not down.size:
        return length, np.full(len(length), np.nan)
    return length, np.hypot(down[ends] - down[starts], right[ends] - right[starts])


def propagation_columns(table: pd.DataFrame, calibration: Calibration) -> Columns:
    """Return speed and direction of the fronts of each event."""
    onset, offset = fronts(as_masks(table["mask"]).masks, calibration.pixel)
    return {
        name: values
        for end, front in (("onset", onset), ("offset", offset))
        for name, values in (
            (f"v_{end}_speed", front.speed / calibration.frame),
            (f"v_{end}_direction", front.direction),
            (f"v_{end}_r2", front.r2),
        )
    }


def neighbour_columns(
    table: pd.DataFrame, frame_shape: tuple[int, int], settings: PhysiologySettings
) -> Columns:
    """Return the numbers of other events with the same place, size or time."""
    out = np.zeros((3, len(table)), np.float64)
    recordings = (
        table["file_name"].cat.codes.to_numpy()
        if "file_name" in table
        else np.zeros(len(table))
    )
    for recording in np.unique(recordings):
        chosen = recordings == recording
        part = table[chosen]
        pixels = event_pixels(part, frame_shape)
        out[0, chosen], out[1, chosen] = same_place(
            pixels, frame_shape[0] * frame_shape[1], settings.share, settings.size_ratio
        )
        out[2, chosen] = simultaneous(
            part["z0"].to_numpy(np.int64), part["z1"].to_numpy(np.int64)
        )
    return dict(
        zip(("v_same_place", "v_same_size", "v_simultaneous"), out, strict=True)
    )


def landmark_columns(
    table: pd.DataFrame, landmarks: Mapping[str, Any], calibration: Calibration
) -> Columns:
    """Return distance and direction from the centre of each event to each landmark.

    A landmark is a point (row, column) in pixels, or a mask, bool (row, column).
    """
    if "v_fp_cx" in table:
        row, column = (
            table["v_fp_cx"].to_numpy(np.float64),
            table["v_fp_cy"].to_numpy(np.float64),
        )
    elif "cx" in table:
        row, column = table["cx"].to_numpy(np.float64), table["cy"].to_numpy(np.float64)
    else:
        raise DatasetNotFoundError(
            "distances need the centre of the footprint, but the columns v_fp_cx,"
            " v_fp_cy and cx, cy are missing; add cx and cy to custom_columns"
        )
    out: Columns = {}
    height, width = calibration.pixel
    for name, landmark in landmarks.items():
        where = np.asarray(landmark)
        if where.ndim == 2 and where.any():
            down, right = nearest_of_region(
                where.astype(bool), row, column, (height, width)
            )
        elif where.shape == (2,):
            down, right = (where[0] - row) * height, (where[1] - column) * width
        else:
            raise InvalidValueError(
                f"landmark {name!r} has shape {where.shape}; give a point (row, column)"
                " or a mask (rows, columns) with at least one pixel"
            )
        distance = np.hypot(down, right)
        direction = np.where(distance > 0, direction_of(down, right), np.nan)
        for described, values in zip(
            region_columns(name), (distance, direction), strict=True
        ):
            out[described.name] = values
    return out
