"""Measure events over their fixed footprints: traces, and the columns made from them.

This is one pass over the movie after the detection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.detection.events.footprint_blocks import (
    TraceFootprints,
    add_part,
    footprints_of_block,
)
from astrocast.detection.events.segmentation import Segmentation
from astrocast.events.measure_schema import (
    FOOTPRINT_TRACE,
    FOOTPRINT_TRACE_START,
    KIND,
    PARTS,
    Units,
)
from astrocast.io.recording import Metadata, Recording
from astrocast.kernels.event_features.event_shapes import (
    EventRuns,
    EventShapes,
    footprint_pixels,
)
from astrocast.kernels.event_features.features import Boxes
from astrocast.kernels.event_features.front_speed import front_speed
from astrocast.kernels.event_features.time_course import EventCourses, event_courses
from astrocast.kernels.frames.moments import sum_finite
from astrocast.kernels.masks.packed_masks import Masks
from astrocast.kernels.traces.extension import extend_windows
from astrocast.kernels.traces.footprint_traces import (
    FootprintTraces,
)
from astrocast.kernels.traces.traces import Pixels, Windows
from astrocast.runtime.blocks import (
    IMAGE_FRAMES,
    Block,
    map_blocks,
    plan_blocks,
)
from astrocast.runtime.reduction import reduce_blocks

#: number of frames before and after an event: as long as the event, within these
#: limits. This covers its decay and enough baseline on either side
LEAST_CONTEXT, MOST_CONTEXT = 30, 90


@dataclass(frozen=True)
class MeasuredMovies:
    """Movies on which events are measured; all of the shape (frame, row, column).

    Parameters
    ----------
    signal
        dF, or the fluorescence itself where `reference` is given.
    fluorescence
        Fluorescence, for F0; None if only dF is available.
    reference
        float32 (row, column): mean image of the fluorescence, which is subtracted from
        each frame; None if the signal is dF.
    relative
        Whether the signal is dF/F.
    """

    signal: Recording
    fluorescence: Recording | None
    reference: NDArray[np.float32] | None = None
    relative: bool = False


@dataclass(frozen=True)
class FootprintMeasures:
    """Traces over fixed footprints of all events, and their heights and times.

    Parameters
    ----------
    traces
        The traces.
    courses
        Height and times of each event.
    pixels_count
        Pixels of each footprint, int64, (events,).
    """

    traces: FootprintTraces
    courses: EventCourses
    pixels_count: NDArray[np.int64]

    def of_events(self, a: int, b: int) -> FootprintMeasures:
        """Return the measures of the events with the numbers ``a + 1`` to ``b``."""
        own, whole = slice(a, b), self.traces
        first, last = whole.windows.offsets[a], whole.windows.offsets[b]
        traces = FootprintTraces(
            Windows(
                whole.windows.starts[own], whole.windows.offsets[a : b + 1] - first
            ),
            whole.mean[first:last],
            whole.fluorescence[own],
            whole.fluorescence_frames[own],
            whole.left_out[own],
        )
        courses = {
            f.name: getattr(self.courses, f.name)[own] for f in fields(EventCourses)
        }
        return FootprintMeasures(
            traces, EventCourses(**courses), self.pixels_count[own]
        )


#: sum of frames, and number of finite values, of each pixel (row, column)
Sums = tuple[NDArray[np.float64], NDArray[np.int64]]


def mean_image(
    recording: Recording,
    blocks: list[Any],
    advance: Callable[[int], None],
    pool: Executor | None = None,
) -> NDArray[np.float32]:
    """Return the mean of all frames without NaN, float32 (row, column)."""
    total = np.zeros(recording.shape[1:])
    count = np.zeros(recording.shape[1:], np.int64)
    if blocks[0].stop - blocks[0].start < IMAGE_FRAMES:
        blocks = list(plan_blocks(len(recording), IMAGE_FRAMES))
    for frames, (added, finite) in reduce_blocks(
        recording, sum_frames, blocks, add_sums, pool
    ):
        total += added
        count += finite
        advance(frames)
    return (total / np.maximum(count, 1)).astype(np.float32)


def add_sums(one: Sums, other: Sums) -> Sums:
    """Return the sums of two runs of frames together."""
    return one[0] + other[0], one[1] + other[1]


def sum_frames(frames: NDArray[Any], block: Block, pool: Executor | None) -> Sums:
    """Return sum and count of the finite values of each pixel in a block."""
    return sum_finite(frames, pool)


def measure_footprints(
    movies: MeasuredMovies,
    segmentation: Segmentation,
    batches: Iterator[tuple[EventRuns, Boxes]],
    pool: Executor | None,
    advance: Callable[[int], None],
) -> FootprintMeasures:
    """Read the movies once, block by block, and measure every event.

    Parameters
    ----------
    movies
        The movies.
    segmentation
        The events.
    batches
        Runs and boxes of all events, in the order of their numbers.
    pool, advance
        Threads and progress of the run.
    """
    pixels = _join(
        [
            footprint_pixels(runs, boxes.low, boxes.high, segmentation.shape[2])
            for runs, boxes in batches
        ]
    )
    low, high = segmentation.boxes.low[:, 0], segmentation.boxes.high[:, 0]
    context = np.clip(high - low, LEAST_CONTEXT, MOST_CONTEXT)
    frames = segmentation.shape[0]
    windows = extend_windows(low, high, context, context, (0, frames))
    traces = FootprintTraces.empty(windows)
    light = movies.fluorescence
    same = light is None or light is movies.signal
    blocks = segmentation.blocks
    given = (
        footprints_of_block(segmentation, index, pixels, windows)
        for index in range(len(blocks))
    )
    task = TraceFootprints(
        None if same else light, light is movies.signal, movies.reference
    )
    for block, (near, part) in map_blocks(
        movies.signal, task, blocks, given, pool=pool, beside=() if same else (light,)
    ):
        add_part(traces, near, part)
        advance(block.stop - block.start)
    courses = event_courses(
        traces.mean, windows.offsets, low - windows.starts, high - windows.starts
    )
    return FootprintMeasures(traces, courses, np.diff(pixels.offsets))


def _join(parts: list[Pixels]) -> Pixels:
    """Return the footprints of all batches, concatenated."""
    if not parts:
        return Pixels(np.empty(0, np.int64), np.zeros(1, np.int64))
    sizes = np.concatenate([np.diff(part.offsets) for part in parts])
    offsets = np.zeros(len(sizes) + 1, np.int64)
    np.cumsum(sizes, out=offsets[1:])
    return Pixels(np.concatenate([part.flat for part in parts]), offsets)


@dataclass(frozen=True)
class MeasureContext:
    """What the columns for publication depend on, besides the traces.

    Parameters
    ----------
    metadata
        Frame rate and pixel size of the recording.
    first_frame
        Number of frame 0 of the boxes in the whole recording.
    frames
        Frames of the whole recording.
    looked_at
        Part of the frame in which events were detected: (first row, last row + 1, first
        column, last column + 1).
    bad_frames
        bool (frame,): bad frames; None if the quality is unknown.
    relative
        Whether the signal is dF/F.
    """

    metadata: Metadata
    first_frame: int
    frames: int
    looked_at: tuple[int, int, int, int]
    bad_frames: NDArray[np.bool_] | None
    relative: bool = False

    @property
    def units(self) -> Units:
        """Units of the columns."""
        known = self.metadata
        return Units(known.frame_rate is not None, known.pixel_size is not None)


def measure_rows(
    measures: FootprintMeasures,
    events: slice,
    boxes: Boxes,
    shapes: EventShapes,
    context: MeasureContext,
    pool: Executor | None = None,
) -> dict[str, Any]:
    """Return the columns for publication of a batch of events.

    Parameters
    ----------
    measures
        Measures of all events.
    events
        Indices of the events of the batch.
    boxes, shapes
        Boxes, masks and shapes of the batch.
    context
        Units and frames.
    pool
        Threads that share the work.
    """
    rows: dict[str, Any] = dict(_list_amplitudes(measures, events, context.relative))
    rows |= _list_times(measures, events, context)
    rows |= _list_places(measures, events, boxes, shapes, context, pool)
    rows |= _list_flags(measures, events, boxes, context)
    count = events.stop - events.start
    rows[KIND.name] = [""] * count
    rows[PARTS.name] = np.ones(count, np.int64)
    windows = measures.traces.windows
    first, last = windows.offsets[events.start], windows.offsets[events.stop]
    rows[FOOTPRINT_TRACE_START.name] = windows.starts[events] + context.first_frame
    rows[FOOTPRINT_TRACE.name] = (
        measures.traces.mean[first:last],
        windows.offsets[events.start : events.stop + 1] - first,
    )
    return rows


def _list_amplitudes(
    measures: FootprintMeasures, events: slice, relative: bool
) -> dict[str, NDArray[Any]]:
    """Return the columns of amplitude, F0, noise, SNR and local baseline."""
    found = measures.courses
    height, noise = found.height[events], found.noise[events]
    # the local baseline corrects errors of the background that was subtracted for dF
    f0 = measures.traces.f0[events] + found.baseline[events]
    if relative:
        dff = height
        df = height * np.nan
    else:
        df = height
        dff = np.divide(height, f0, out=np.full(len(f0), np.nan), where=f0 > 0)
    ratio = np.divide(height, noise, out=np.full(len(noise), np.nan), where=noise > 0)
    return {
        "peak_df": df,
        "peak_dff": dff,
        "f0": f0 * np.nan if relative else f0,
        "noise_df": noise * np.nan if relative else noise,
        "snr": ratio,
        "local_baseline": found.baseline[events],
        "baseline_frames": found.baseline_frames[events],
    }


def _list_times(
    measures: FootprintMeasures, events: slice, context: MeasureContext
) -> dict[str, NDArray[Any]]:
    """Return the columns of onset, peak, offset, durations and area under the curve."""
    found, rate = measures.courses, context.metadata.frame_rate
    frame = 1.0 if rate is None else 1.0 / rate
    start = measures.traces.windows.starts[events] + context.first_frame
    ending = context.units.seconds
    onset, offset = found.onset[events], found.offset[events]
    times = {
        "onset": start + onset,
        "peak": start + found.peak[events],
        "offset": start + offset,
        "duration": offset - onset,
        "rise": found.rise[events],
        "decay": found.decay[events],
        "half_width": found.half_width[events],
    }
    rows = {f"{name}_{ending}": values * frame for name, values in times.items()}
    area = "auc" if context.units.time else "auc_frames"
    return rows | {area: found.area[events] * frame}


def _list_places(
    measures: FootprintMeasures,
    events: slice,
    boxes: Boxes,
    shapes: EventShapes,
    context: MeasureContext,
    pool: Executor | None,
) -> dict[str, NDArray[Any]]:
    """Return the columns of area, position, speed and direction."""
    units, rate = context.units, context.metadata.frame_rate
    height, width = context.metadata.pixel_size or (1.0, 1.0)
    size = boxes.high - boxes.low
    # centre of the pixels, in pixels from the edge of the frame
    row = boxes.low[:, 1] + shapes.footprint[:, 0] * size[:, 1] + 0.5
    column = boxes.low[:, 2] + shapes.footprint[:, 1] * size[:, 2] + 0.5
    masks = Masks(shapes.mask_bits, shapes.mask_offsets, size)
    front = front_speed(masks, (height, width), pool)
    per_time = 1.0 if rate is None else rate
    return {
        f"area_{units.area}": measures.pixels_count[events] * (height * width),
        f"x_{units.microns}": row * height,
        f"y_{units.microns}": column * width,
        f"speed_{units.speed}": front.speed * per_time,
        f"speed_error_{units.speed}": front.speed_error * per_time,
        "direction_deg": front.direction,
        "direction_error_deg": front.direction_error,
    }


def _list_flags(
    measures: FootprintMeasures,
    events: slice,
    boxes: Boxes,
    context: MeasureContext,
) -> dict[str, NDArray[Any]]:
    """Return the columns that mark incomplete or unreliable events."""
    low, high = boxes.low, boxes.high
    z0, z1 = low[:, 0] + context.first_frame, high[:, 0] + context.first_frame
    top, bottom, left, right = context.looked_at
    at_border = (
        (low[:, 1] <= top)
        | (high[:, 1] >= bottom)
        | (low[:, 2] <= left)
        | (high[:, 2] >= right)
    )
    bad = np.full(len(low), np.nan)
    if context.bad_frames is not None:
        before = np.concatenate([[0], np.cumsum(context.bad_frames)])
        bad = (before[high[:, 0]] - before[low[:, 0]]).astype(np.float64)
    voxels = measures.pixels_count[events] * (high[:, 0] - low[:, 0])
    return {
        "touches_start": (z0 <= 0).astype(np.int64),
        "touches_end": (z1 >= context.frames).astype(np.int64),
        "touches_border": at_border.astype(np.int64),
        "in_bad_frames": bad,
        "left_out_share": measures.traces.left_out[events] / np.maximum(voxels, 1),
    }
