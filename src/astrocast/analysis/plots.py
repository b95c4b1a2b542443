"""Figures of events: what `astrocast.plotting` draws, with what the events know filled
in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from astrocast import plotting
from astrocast.analysis.groups import column_of
from astrocast.analysis.trace_formats import starts_of, traces_of
from astrocast.events.array_columns import as_masks
from astrocast.kernels.masks.packed_masks import unpack_mask

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from astrocast.analysis.events import Events


class EventPlots:
    """``events.plot``: each method draws into ``ax``, or new axes, and returns them."""

    def __init__(self, events: Events) -> None:
        self._events = events

    def traces(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw traces one above the other, see `astrocast.plotting.traces`."""
        table = self._events.events
        options = {
            "names": table.index.tolist(),
            "frame_rate": self._events.metadata.frame_rate,
        } | options
        return plotting.traces(
            list(traces_of(table)), ax, starts=starts_of(table).tolist(), **options
        )

    def raster(self, ax: Axes | None = None, group: str | None = None) -> Axes:
        """Draw a bar per event over time, coloured by a column, see
        `astrocast.plotting.raster`.
        """
        stop = max(s.first_frame + s.shape[0] for s in self._events.sources)
        rate = self._events.metadata.frame_rate
        return plotting.raster(
            self._events.events, ax, frames=stop, frame_rate=rate, group=group
        )

    def footprints(self, ax: Axes | None = None, background: Any = None) -> Axes:
        """Draw where events were, coloured by their onset, over an image; see
        `astrocast.plotting.footprints`.

        ``background`` is an image (row, column); the mean of the recording where it is
        known, else black, when None.
        """
        events = self._events
        source = events.source
        if background is None:
            background = (
                source.video.mean()
                if source.video is not None
                else np.zeros(source.shape[1:])
            )
        onset_map = np.full(np.shape(background), np.nan)
        table = events.events
        masks = as_masks(table["mask"]).masks
        # the earliest event of a pixel is drawn last
        order = np.argsort(-table["z0"].to_numpy(), kind="stable")
        for i in order:
            box = table.iloc[i]
            part = onset_map[
                int(box["x0"]) : int(box["x1"]), int(box["y0"]) : int(box["y1"])
            ]
            part[unpack_mask(masks, i).any(axis=0)] = box["z0"]
        meta = events.metadata
        return plotting.footprints(
            background,
            ax,
            onset_map=onset_map,
            frames=source.first_frame + source.shape[0],
            frame_rate=meta.frame_rate,
            pixel_size=meta.pixel_size,
        )

    def distribution(
        self, column: str, ax: Axes | None = None, label: str | None = None
    ) -> Axes:
        """Draw the histogram of a column, see `astrocast.plotting.distribution`."""
        values = column_of(self._events.events, column).to_numpy(np.float64)
        return plotting.distribution(values, ax, label=label or column)

    def density(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw how many events lie where, see `astrocast.plotting.density`."""
        events = self._events
        options = {"pixel_size": events.metadata.pixel_size} | options
        return plotting.density(
            events.events, events.sources[0].shape[1:], ax, **options
        )

    def average_trace(
        self, group: str | None = None, ax: Axes | None = None, **options: Any
    ) -> Axes:
        """Draw the mean trace per group or cluster, see
        `astrocast.plotting.average_trace`.
        """
        table = self._events.events
        values = list(traces_of(table))
        names = None if group is None else column_of(table, group).tolist()
        options = {"frame_rate": self._events.metadata.frame_rate} | options
        return plotting.average_trace(values, ax, groups=names, **options)
