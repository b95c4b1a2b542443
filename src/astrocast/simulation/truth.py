"""Truth of each event: its voxels and its row of the table."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from astrocast.kernels.rendering.formula_events import (
    FLOOR,
    LN4,
    PARAMETERS,
    TRUTH_LEVEL,
    single_event,
)
from astrocast.kernels.rendering.tissue_events import pixel_courses
from astrocast.simulation.courses import measure_course
from astrocast.simulation.events import Draft
from astrocast.simulation.tissue_events import TissueDraft, frames_of

#: voxels of one event that are rendered together
PIECE = 4 << 20

#: columns of the table with their descriptions; times in frames, lengths in pixels
COLUMNS: dict[str, str] = {
    "event": "Number of the event, from 1.",
    "kind": "Kind of the event.",
    "onset": "First frame of the true voxels.",
    "peak": "Frame of the brightest voxel.",
    "offset": "Last frame of the true voxels.",
    "duration": "Frames from onset to offset, both included.",
    "amplitude": "Largest value of the event, counts.",
    "dff": "Drawn peak / baseline under the event, before bleaching.",
    "snr": "Drawn peak / noise of a pixel at the event, before bleaching.",
    "row": "Mean row of the true voxels.",
    "column": "Mean column of the true voxels.",
    "radius": "Drawn radius, or radius of a disc of the same area, pixels.",
    "area": "Number of pixels with a true voxel in any frame.",
    "volume": "Number of true voxels.",
    "speed": "Speed of a travelling event or of a wave along its path; else 0.",
    "direction": "Direction of a travelling event, degrees; 0 is right, 90 is down.",
    "rise": "Drawn time from onset to plateau.",
    "plateau": "Drawn time at the plateau.",
    "decay": "Drawn time constant of the decay.",
    "growth": "Drawn time in which a growing event reaches its radius.",
    "z0": "First frame.",
    "z1": "Last frame + 1.",
    "x0": "First row.",
    "x1": "Last row + 1.",
    "y0": "First column.",
    "y1": "Last column + 1.",
    "peak_df": "Peak of the mean over the footprint (the pixels of `area`), counts.",
    "peak_dff": "Peak of the mean over the footprint / mean baseline there.",
    "onset_time": "Time when the mean over the footprint passes 10% of its peak.",
    "peak_time": "Time of the peak of the mean over the footprint.",
    "offset_time": "Time when the mean over the footprint falls below 10%.",
    "rise_time": "Time from 10 to 90% of the peak of the mean over the footprint.",
    "decay_time": "Time from 90 to 10% after the peak.",
    "half_width": "Time from 50% before the peak to 50% after it.",
    "auc": "Sum of dF/F of the footprint over time.",
    "path": "Length of the path of a wave, pixels; else 0.",
    "peaks": "Number of peaks.",
    "cell": "Number of the cell, from 1; 0: no single cell.",
    "group": "Equal number for events that touch or repeat at one place; 0: no group.",
    "touches": "Whether the event touches another event of its group.",
}


@dataclass(frozen=True)
class FormulaSource:
    """An event given by a formula.

    Parameters
    ----------
    draft
        The drawn event.
    parameters
        float64 (parameter,), with the amplitude in photons.
    scale
        float64 (frame,): bleaching * gain.
    shape
        Rows and columns of a frame.
    """

    draft: Draft
    parameters: NDArray[np.float64]
    scale: NDArray[np.float64]
    shape: tuple[int, int]

    def pieces(self) -> Iterator[tuple[int, NDArray[Any], NDArray[np.int64]]]:
        """Yield first frame, values (frame, pixel), flat pixels of the frame."""
        e = dict(zip(PARAMETERS, self.parameters, strict=True))
        first = max(math.floor(e["start"]), 0)
        last = min(math.ceil(e["start"] + e["end"]) + 1, len(self.scale))
        reach = e["radius"] * 2 * (-math.log(FLOOR) / LN4) ** (1 / e["exponent"])
        ends = np.array([[0.0], [e["end"]]]) * [e["row_speed"], e["column_speed"]]
        corners = np.array([[e["row"], e["column"]]]) + ends
        low = np.clip(np.floor(corners.min(0) - reach), 0, self.shape).astype(int)
        high = np.clip(np.ceil(corners.max(0) + reach) + 1, 0, self.shape).astype(int)
        rows, columns = (int(n) for n in high - low)
        if last <= first or min(rows, columns) <= 0:
            return
        moved = self.parameters.copy()
        moved[:2] -= low
        y, x = np.indices((rows, columns))
        pixels = ((y + low[0]) * self.shape[1] + x + low[1]).ravel()
        depth = max(1, PIECE // (rows * columns))
        for a in range(first, last, depth):
            scale = self.scale[a : min(a + depth, last)]
            values = single_event(moved, a, scale, (rows, columns))
            yield a, values.reshape(len(scale), -1), pixels


@dataclass(frozen=True)
class TissueSource:
    """An event that follows the tissue; for its parameters see `FormulaSource`."""

    draft: TissueDraft
    amplitude: float
    scale: NDArray[np.float64]
    shape: tuple[int, int]

    def pieces(self) -> Iterator[tuple[int, NDArray[Any], NDArray[np.int64]]]:
        """Yield first frame, values (frame, pixel), flat pixels of the frame."""
        f = self.draft.footprint
        rows, columns = self.shape
        inside = (f.row >= 0) & (f.column >= 0) & (f.row < rows) & (f.column < columns)
        pixels = f.row[inside].astype(np.int64) * columns + f.column[inside]
        frames = frames_of(self.draft, len(self.scale))
        if not len(pixels) or not len(frames):
            return
        depth = max(1, PIECE // len(pixels))
        for a in range(frames.start, frames.stop, depth):
            own = range(a, min(a + depth, frames.stop))
            yield (
                a,
                pixel_courses(
                    f.weight[inside],
                    f.delay[inside],
                    self.draft.course.values,
                    np.arange(own.start, own.stop) - self.draft.start,
                    self.scale[own.start : own.stop] * self.amplitude,
                ),
                pixels,
            )


#: an event that can be rendered alone, in pieces of some frames
EventSource = FormulaSource | TissueSource


@dataclass(frozen=True)
class Trace:
    """Peak and true voxels of one rendered event.

    Parameters
    ----------
    peak
        Largest value in counts; 0 for an event outside the recording.
    frame
        Frame of the largest value.
    voxels
        int64: flat indices in the recording of the voxels in which the event is at
        least a quarter of its peak.
    """

    peak: float
    frame: int
    voxels: NDArray[np.int64]


def trace_event(source: EventSource, frame_size: int) -> Trace:
    """Return the peak and the true voxels of one event.

    ``frame_size`` is the number of pixels in a frame.
    """
    peak, frame = 0.0, 0
    for first, values, _ in source.pieces():
        highest = values.max(axis=1)
        if highest.max() > peak:
            peak, frame = float(highest.max()), first + int(highest.argmax())
    if peak <= 0:
        return Trace(0.0, frame, np.empty(0, np.int64))
    found = []
    for first, values, pixels in source.pieces():
        t, k = np.nonzero(values >= np.float32(TRUTH_LEVEL * peak))
        found.append((t + first) * np.int64(frame_size) + pixels[k])
    return Trace(peak, frame, np.sort(np.concatenate(found)))


def footprint_trace(
    source: EventSource, footprint: NDArray[np.int64]
) -> tuple[int, NDArray[np.float64]]:
    """Return the first frame, and the mean of an event over a footprint (frame,)."""
    means: list[NDArray[np.float64]] = []
    begin = 0
    for first, values, pixels in source.pieces():
        begin = begin if means else first
        own = np.isin(pixels, footprint)
        means.append(values[:, own].sum(axis=1, dtype=np.float64) / len(footprint))
    return begin, np.concatenate(means)


def describe_event(
    source: EventSource,
    trace: Trace,
    shape: tuple[int, int, int],
    f0: NDArray[Any],
    scale: NDArray[np.float64],
) -> dict[str, Any]:
    """Return the row of the table of one event, without its number, dF/F and SNR.

    ``f0`` is the baseline (row, column) in counts, ``scale`` the bleaching factor of
    each frame.
    """
    z, rest = np.divmod(trace.voxels, shape[1] * shape[2])
    x, y = np.divmod(rest, shape[2])
    footprint = np.unique(rest)
    first, course = footprint_trace(source, footprint)
    # both `course` and the baseline include the bleaching
    relative = (
        course / scale[first : first + len(course)] / f0.ravel()[footprint].mean()
    )
    area = len(footprint)
    return {
        "kind": source.draft.kind,
        "onset": int(z.min()),
        "peak": trace.frame,
        "offset": int(z.max()),
        "duration": int(np.ptp(z)) + 1,
        "amplitude": trace.peak,
        "row": float(x.mean()),
        "column": float(y.mean()),
        "area": area,
        "volume": len(trace.voxels),
        "z0": int(z.min()),
        "z1": int(z.max()) + 1,
        "x0": int(x.min()),
        "x1": int(x.max()) + 1,
        "y0": int(y.min()),
        "y1": int(y.max()) + 1,
        "peak_df": float(course.max()),
        "peak_dff": float(relative.max()),
        "auc": float(relative.sum()),
        **measure_course(np.pad(course, 1), first - 1),
        **_describe_draft(source.draft, area),
    }


def _describe_draft(draft: Draft | TissueDraft, area: int) -> dict[str, Any]:
    """Return the columns with the drawn properties of an event."""
    if isinstance(draft, TissueDraft):
        course, footprint = draft.course, draft.footprint
        return {
            "radius": math.sqrt(area / math.pi),
            "speed": footprint.speed,
            "direction": math.nan,
            "rise": course.rise,
            "plateau": course.plateau,
            "decay": course.decay,
            "growth": 0.0,
            "path": footprint.path,
            "peaks": course.peaks,
            "cell": footprint.cell,
            "group": draft.group,
        }
    v = draft.values
    speed = math.hypot(v["row_speed"], v["column_speed"])
    angle = math.atan2(v["row_speed"], v["column_speed"])
    return {
        "radius": v["radius"],
        "speed": speed,
        "direction": math.degrees(angle) if speed else math.nan,
        **{name: v[name] for name in ("rise", "plateau", "decay", "growth")},
        "path": 0.0,
        "peaks": 1,
        "cell": 0,
        "group": draft.group,
    }


def event_table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Return the table of events; without events it has all columns, too."""
    if rows:
        return pd.DataFrame(rows)[list(COLUMNS)]
    kinds = {"kind": object, "touches": bool}
    return pd.DataFrame(
        {name: pd.Series(dtype=kinds.get(name, np.float64)) for name in COLUMNS}
    )


def find_touching(
    groups: list[int], voxels: list[NDArray[np.int64]], shape: tuple[int, int, int]
) -> list[bool]:
    """Return which events touch or overlap another event of their group.

    Voxels touch if they are 26-neighbours.
    """
    touches = [False] * len(groups)
    for number in set(groups) - {0}:
        members = [k for k, group in enumerate(groups) if group == number]
        for i, a in enumerate(members):
            for b in members[i + 1 :]:
                if _are_neighbours(voxels[a], voxels[b], shape):
                    touches[a] = touches[b] = True
    return touches


def _are_neighbours(
    a: NDArray[np.int64], b: NDArray[np.int64], shape: tuple[int, int, int]
) -> bool:
    """Return whether two sets of voxels (flat indices) touch or overlap."""
    if len(a) > len(b):
        a, b = b, a
    places = np.stack(np.unravel_index(a, shape))
    steps = np.stack(np.meshgrid(*[(-1, 0, 1)] * 3)).reshape(3, -1)
    near = places[:, :, None] + steps[:, None]
    inside = np.all((near >= 0) & (near < np.array(shape)[:, None, None]), axis=0)
    flat = np.ravel_multi_index(tuple(near[:, inside]), shape)
    return bool(np.isin(flat, b).any())
