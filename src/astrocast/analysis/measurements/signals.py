"""Read traces from the recording: before, after and around each event."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from astrocast.analysis.trace_formats import TRACE_START, starts_of, traces_of
from astrocast.analysis.video import Video
from astrocast.errors import InvalidValueError, NotRunError
from astrocast.events.array_columns import TraceArray, as_masks
from astrocast.io.recording import Recording
from astrocast.kernels.traces.extension import (
    extend_windows,
    place_traces,
    split_windows,
)
from astrocast.kernels.traces.traces import (
    Pixels,
    Windows,
    add_means,
    list_pixels,
    list_rings,
)
from astrocast.runtime.blocks import frames_per_block, plan_blocks, read_blocks
from astrocast.runtime.progress import track
from astrocast.settings.analysis import ExtensionSettings, SurroundingsSettings


def need_video(video: Video | None, purpose: str) -> Video:
    """Return the recording; raise an error if it was not given."""
    if video is None:
        raise NotRunError(
            f"the recording is needed for {purpose}; give its path or array as `data`"
            " (or data='infer')"
        )
    return video


def event_pixels(
    table: pd.DataFrame, frame_shape: tuple[int, int], which: Any = "footprint"
) -> Pixels:
    """Return the pixels of each event: of its footprint, its first or last frame."""
    origins = table[["z0", "x0", "y0"]].to_numpy(np.int64)
    return list_pixels(as_masks(table["mask"]).masks, origins, frame_shape, which)


def check_extent(table: pd.DataFrame, video: Video) -> None:
    """Raise an error if events lie outside the recording or its slice."""
    frames = (video.first_frame, video.first_frame + video.shape[0])
    if len(table) and (
        table["z0"].min() < frames[0]
        or table["z1"].max() > frames[1]
        or table["x1"].max() > video.shape[1]
        or table["y1"].max() > video.shape[2]
    ):
        raise InvalidValueError(
            f"events extend to frame {table['z1'].max()}, row {table['x1'].max()},"
            f" column {table['y1'].max()}, but the recording has the frames {frames[0]}"
            f" to {frames[1]} of {video.shape[1]} x {video.shape[2]} pixels. Give the"
            " recording and the z_slice in which the events were detected"
        )


def mean_traces(
    video: Video, regions: list[tuple[Pixels, Windows]], labels: Recording | None = None
) -> list[NDArray[np.float32]]:
    """Return mean traces of regions, reading the recording once for all of them.

    Parameters
    ----------
    video
        The recording.
    regions
        Pixels of each event, and the frames (windows) of its trace.
    labels
        Event map of the same frames: in each frame, pixels of any event are left out.
        None: all pixels are used.

    Returns
    -------
    list of numpy.ndarray
        float32, one array per item of ``regions``, with all traces concatenated as in
        ``windows.offsets``.
    """
    first = video.first_frame
    outs = [
        np.full(int(windows.offsets[-1]), np.nan, np.float32) for _, windows in regions
    ]
    with video.open() as recording, track("traces", recording.shape[0]) as advance:
        blocks = list(plan_blocks(recording.shape[0], frames_per_block(recording)))
        for block, frames in read_blocks(recording, blocks):
            marks = None if labels is None else labels.read(block.start, block.stop)
            for (pixels, windows), out in zip(regions, outs, strict=True):
                add_means(frames, first + block.start, pixels, windows, out, marks)
            advance(block.stop - block.start)
    return outs


def extend_traces(
    table: pd.DataFrame, video: Video, settings: ExtensionSettings
) -> pd.DataFrame:
    """Return the table with traces extended beyond their events.

    Values inside an event do not change. The new column ``z0_trace`` is the first frame
    of each trace; ``z0``, ``z1``, ``dz`` and the mask do not change.
    """
    check_extent(table, video)
    traces = traces_of(table)
    z0, z1 = (table[z].to_numpy(np.int64) for z in ("z0", "z1"))
    frames = (video.first_frame, video.first_frame + video.shape[0])
    windows = extend_windows(z0, z1, *settings.sides, frames)
    kinds = ("first", "last") if settings.by == "edge" else ("footprint", "footprint")
    parts = split_windows(windows, z0, z1)
    before, after = (event_pixels(table, video.shape[1:], kind) for kind in kinds)
    outside = mean_traces(video, [(before, parts[0]), (after, parts[1])])
    out = np.empty(int(windows.offsets[-1]), np.float32)
    for values, part in zip(outside, parts, strict=True):
        place_traces(values, part, windows, out)
    place_traces(
        traces.flat.astype(np.float32, copy=False),
        Windows(starts_of(table), traces.offsets),
        windows,
        out,
    )
    changed: dict[str, Any] = {
        "trace": TraceArray(out, windows.offsets),
        TRACE_START: windows.starts,
    }
    return table.assign(**changed)


def ring_traces(
    table: pd.DataFrame,
    video: Video,
    labels: Recording | None,
    settings: SurroundingsSettings,
) -> TraceArray:
    """Return the mean of a ring around each event, without pixels of any event."""
    check_extent(table, video)
    frame_shape = video.shape[1:]
    ring = list_rings(
        event_pixels(table, frame_shape), frame_shape, settings.gap, settings.width
    )
    z0, z1 = (table[z].to_numpy(np.int64) for z in ("z0", "z1"))
    windows = extend_windows(
        z0, z1, 0, 0, (video.first_frame, video.first_frame + video.shape[0])
    )
    (values,) = mean_traces(video, [(ring, windows)], labels)
    return TraceArray(values, windows.offsets)
