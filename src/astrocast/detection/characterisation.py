"""Third pass: the rows of the event table, in batches of events."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrocast.detection.measurement import Measured
from astrocast.detection.segmentation import Segmentation
from astrocast.io.event_store import EventTableWriter
from astrocast.kernels.event_shapes import EventRuns, event_shapes
from astrocast.kernels.features import trace_properties
from astrocast.kernels.shape import FOOTPRINT_PROPERTIES, MASK_PROPERTIES

#: events, and voxels of their boxes, that are worked on together
_EVENTS, _VOXELS = 2000, 64 << 20


def write_table(
    segmentation: Segmentation,
    measured: Measured,
    writer: EventTableWriter,
    *,
    first_frame: int = 0,
    bad_frames: NDArray[np.bool_] | None = None,
    pool: Executor | None = None,
    advance: Callable[[int], None] = lambda n: None,
) -> None:
    """Write the row of every event.

    Parameters
    ----------
    segmentation, measured
        What the passes before found.
    writer
        Of the event table.
    first_frame
        Frame of the recording that the segmentation's frame 0 is (`z_slice`).
    bad_frames
        Frames that motion correction flagged, (frames of the segmentation,).
    pool
        Threads to share the work with.
    advance
        Called with the number of events after each batch.
    """
    for a, b in _batches(segmentation):
        writer.write(np.arange(a + 1, b + 1), _rows(segmentation, measured, a, b, first_frame, bad_frames, pool))
        advance(b - a)


def _batches(segmentation: Segmentation) -> Iterator[tuple[int, int]]:
    boxes = segmentation.boxes
    voxels = np.cumsum((boxes.high - boxes.low).prod(axis=1))
    a = 0
    while a < len(voxels):
        limit = (voxels[a - 1] if a else 0) + _VOXELS
        b = int(min(a + _EVENTS, max(a + 1, np.searchsorted(voxels, limit, side="right"))))
        yield a, b
        a = b


def _runs_of(segmentation: Segmentation, a: int, b: int) -> EventRuns:
    boxes = segmentation.boxes
    z0, z1 = boxes.low[a:b, 0].min(), boxes.high[a:b, 0].max()
    parts: list[NDArray[np.int64]] = []
    for index, block in enumerate(segmentation.blocks):
        if block.start < z1 and block.stop > z0:
            runs, labels = segmentation.load(index)
            own = np.flatnonzero((labels > a) & (labels <= b))
            columns = (labels, runs.frame() + block.start, runs.row(), runs.start, runs.stop)
            parts.append(np.stack([c[own].astype(np.int64) for c in columns]))
    label, frame, row, start, stop = np.concatenate(parts, axis=1)
    order = np.argsort(label, kind="stable")
    first = np.searchsorted(label[order], np.arange(a + 1, b + 2))
    return EventRuns(frame[order], row[order], start[order], stop[order], first)


def _rows(
    segmentation: Segmentation,
    measured: Measured,
    a: int,
    b: int,
    first_frame: int,
    bad_frames: NDArray[np.bool_] | None,
    pool: Executor | None,
) -> dict[str, Any]:
    boxes = segmentation.boxes
    low, high, area = boxes.low[a:b], boxes.high[a:b], boxes.area[a:b]
    size = high - low
    shapes = event_shapes(_runs_of(segmentation, a, b), low, high, pool)
    values = slice(measured.offsets[a], measured.offsets[b])
    offsets = measured.offsets[a : b + 1] - measured.offsets[a]
    trace, noise = measured.trace[values], measured.noise[values]
    rows: dict[str, Any] = {"name": [str(i) for i in range(a + 1, b + 1)], "part_of": np.zeros(b - a, np.int64)}
    for axis, letter in enumerate("zxy"):
        shift = first_frame if letter == "z" else 0
        rows |= {f"{letter}0": low[:, axis] + shift, f"{letter}1": high[:, axis] + shift, f"d{letter}": size[:, axis]}
    rows |= {
        "v_length": size[:, 0],
        "v_diameter": np.hypot(size[:, 1], size[:, 2]),
        "v_area": area,
        "v_bbox_pix_num": size.prod(axis=1),
    }
    rows |= {f"v_mask_{name}": shapes.mask[:, i] for i, name in enumerate(MASK_PROPERTIES)}
    rows |= {f"v_fp_{name}": shapes.footprint[:, i] for i, name in enumerate(FOOTPRINT_PROPERTIES)}
    rows["v_fp_cx"] = low[:, 1] + rows["v_fp_centroid_local-0"] * size[:, 1]
    rows["v_fp_cy"] = low[:, 2] + rows["v_fp_centroid_local-1"] * size[:, 2]
    rows |= trace_properties(trace, noise, offsets)
    rows["error"] = np.maximum.reduceat(np.isnan(trace), offsets[:-1]).astype(np.int64)
    rows["invalid_voxels"] = measured.invalid[a:b]
    rows["bad_frames_share"] = _bad_share(low[:, 0], high[:, 0], bad_frames)
    rows |= {"trace": (trace, offsets), "noise_mask_trace": (noise, offsets)}
    rows |= {
        "mask": (shapes.mask_bits, shapes.mask_offsets),
        "footprint": (shapes.footprint_bits, shapes.footprint_offsets),
    }
    return rows


def _bad_share(
    z0: NDArray[np.int64], z1: NDArray[np.int64], bad_frames: NDArray[np.bool_] | None
) -> NDArray[np.float64]:
    if bad_frames is None:
        return np.full(len(z0), np.nan)
    before = np.concatenate([[0], np.cumsum(bad_frames)])
    return (before[z1] - before[z0]) / (z1 - z0)
